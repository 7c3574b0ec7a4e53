"""Streams of bytes in chunks, and the pipe between one that makes them and one that reads a descriptor."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from pouch_hookspecs.errors import ResourceExhausted

CHUNK = 1 << 18
_PIPE = 1 << 20

T = TypeVar("T")


def read_chunks(descriptor: int) -> Iterator[bytes]:
    """Read a descriptor to its end. It stays open; it may be a file, a pipe or a socket."""
    while chunk := os.read(descriptor, CHUNK):
        yield chunk


def piped(chunks: Iterator[bytes], consume: Callable[[int], T]) -> T:
    """Run `consume` on the reading end of a pipe that a thread feeds with `chunks`.

    When `consume` has succeeded, chunks that it did not read are still taken from the iterator, so that
    checks at its end happen. When it has failed, the rest is left alone.

    Raises:
        Exception: what the iterator raised, or else what `consume` raised.
    """
    reader, writer = os.pipe()
    with suppress(OSError):  # a user's limit of pipe memory (pipe(7)): smaller is only slower
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
    feeder = _Feeder(chunks, writer)
    feeder.start()
    try:
        return consume(reader)
    except BaseException:
        feeder.abandoned.set()
        raise
    finally:
        os.close(reader)  # a feeder that is stuck in write(2) gets EPIPE
        feeder.join()
        if feeder.failure is not None:
            raise feeder.failure


@contextmanager
def produced(write: Callable[[int], object]) -> Iterator[Iterator[bytes]]:
    """Give the chunks that `write`, on a thread of its own, writes to a descriptor, a pipe's end.

    Raises:
        Exception: at the end of the chunks, what `write` raised.
    """
    reader, writer = os.pipe()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            write(writer)
        except BaseException as error:
            failures.append(error)
        finally:
            os.close(writer)

    def chunks() -> Iterator[bytes]:
        yield from read_chunks(reader)
        if failures:
            raise failures[0]

    thread = threading.Thread(target=run, name="image-stream", daemon=True)
    thread.start()
    try:
        yield chunks()
    finally:
        os.close(reader)  # a writer that is stuck gets EPIPE
        thread.join()


class _Feeder(threading.Thread):
    def __init__(self, chunks: Iterator[bytes], writer: int) -> None:
        super().__init__(name="image-stream", daemon=True)
        self.abandoned = threading.Event()
        self.failure: BaseException | None = None
        self._chunks = chunks
        self._writer = writer

    def run(self) -> None:
        try:
            self._feed()
        except BaseException as error:
            self.failure = error
        finally:
            os.close(self._writer)

    def _feed(self) -> None:
        heard = True
        for chunk in self._chunks:
            if self.abandoned.is_set():
                return
            left = memoryview(chunk)
            try:
                while heard and left:
                    left = left[os.write(self._writer, left) :]
            except BrokenPipeError:
                heard = False


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a full disk into ResourceExhausted that names what was being written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ResourceExhausted(
            f"{what} can not be written: {os.strerror(error.errno)}",
            hint="free some disk space, for instance with `pouch rmi`",
        ) from error
