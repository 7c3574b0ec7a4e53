"""GET /containers/{id}/logs: what a container wrote, and goes on writing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from aiohttp import web

from pouch_engine.containers.logs import Entry, Follower, LogFiles
from pouch_engine.containers.record import Container
from pouch_engine.containers.waits import Exit
from pouch_engine.engine import Engine
from pouch_hookspecs.errors import InvalidArgument

from . import queries
from .errors import broken_off_on_error
from .frames import STDERR, STDOUT, content_type, frame
from .handover import Handover
from .keys import ENDLESS, ENGINE, WORKERS
from .versions import version_of

_BATCH = 65536


@dataclass(frozen=True)
class Wanted:
    """What of a log a client wants, and how.

    Attributes:
        stdout: entries of standard output.
        stderr: entries of standard error.
        timestamps: before each line, docker's form of its time.
        since: not older.
        until: not younger.
        tail: the last so many lines; None: all.
        terminal: no frames.
    """

    stdout: bool
    stderr: bool
    timestamps: bool = False
    since: datetime | None = None
    until: datetime | None = None
    tail: int | None = None
    terminal: bool = False

    def encode(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Give the entries of the chosen streams as the client gets them."""
        begins = {"stdout": True, "stderr": True}
        for entry in entries:
            first, begins[entry.stream] = begins[entry.stream], entry.whole
            if not (self.stdout if entry.stream == "stdout" else self.stderr):
                continue
            data = entry.data
            if self.timestamps and first:
                data = f"{docker_time(entry.time)} ".encode() + data
            yield data if self.terminal else frame(STDOUT if entry.stream == "stdout" else STDERR, data)


def docker_time(text: str) -> str:
    """RFC 3339 in UTC with nanoseconds, from the log's time, which has the zone of the host."""
    head, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :]
    try:
        moment = datetime.fromisoformat(head + zone).astimezone(UTC)
    except ValueError:  # a damaged entry is shown as it is
        return text
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits:0<9.9}Z"


def batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: a write for each line of a big log takes too long."""
    batch = bytearray()
    for piece in pieces:
        batch += piece
        if len(batch) >= _BATCH:
            yield bytes(batch)
            batch.clear()
    if batch:
        yield bytes(batch)


async def container_logs(request: web.Request) -> web.StreamResponse:
    """Answer with the log."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    name = request.match_info["name"]
    container = await workers.look(engine.container, name)
    wanted = _wanted(request, container)
    log = await workers.look(engine.container_logs, container.id)
    response = web.StreamResponse(headers={"Content-Type": content_type(version_of(request), terminal=wanted.terminal)})
    follow = queries.boolean(request, "follow") and container.state.running
    handover = Handover()
    reader = await workers.look(_Reader, engine, log, wanted, handover, container.id if follow else None)
    with request.app[ENDLESS].until_shutdown():
        try:
            await response.prepare(request)
            with broken_off_on_error(request):
                reader.start()
                while data := await handover.take():
                    await response.write(data)
                reader.raise_failure()
        finally:
            reader.stop()
            handover.close()
    await response.write_eof()
    return response


def _wanted(request: web.Request, container: Container) -> Wanted:
    stdout, stderr = queries.boolean(request, "stdout"), queries.boolean(request, "stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream (stdout=1, stderr=1)")
    tail = request.query.get("tail", "all")
    if tail not in ("all", "") and not (tail.isascii() and tail.isdecimal() and len(tail) < 10):
        tail = "all"  # docker: what is no number of lines means all
    return Wanted(
        stdout=stdout,
        stderr=stderr,
        timestamps=queries.boolean(request, "timestamps"),
        since=queries.moment(request, "since"),
        until=queries.moment(request, "until"),
        tail=None if tail in ("all", "") else int(tail),
        terminal=container.config.terminal,
    )


class _Reader(threading.Thread):
    """Reads the log, and follows it to the container's end if `follow` names it: reading files blocks."""

    def __init__(self, engine: Engine, log: LogFiles, wanted: Wanted, handover: Handover, follow: str | None) -> None:
        super().__init__(name="api-logs", daemon=True)
        self._log = log
        self._wanted = wanted
        self._handover = handover
        self._follower = Follower(log) if follow is not None else None
        self._end: Future[Exit] | None = None
        if follow is not None and self._follower is not None:
            self._end = engine.container_wait(follow, "not-running")
            self._end.add_done_callback(self._ended)
        self._failure: Exception | None = None

    def _ended(self, _: Future[Exit]) -> None:
        if self._follower is not None:
            self._follower.finish()

    def run(self) -> None:
        """Hand over what there is, then what comes."""
        try:
            if all(self._handover.put(data) for data in batches(self._wanted.encode(self._history()))):
                self._follow()
        except Exception as error:
            self._failure = error
        finally:
            if self._end is not None:
                self._end.cancel()
            if self._follower is not None:
                self._follower.close()
            self._handover.finish()

    def stop(self) -> None:
        """Nobody reads any longer. Also of a reader that was never started."""
        if self._follower is not None:
            self._follower.stop()
            if self.ident is None:
                self._follower.close()

    def raise_failure(self) -> None:
        """Let the request fail with what failed here."""
        if self._failure is not None:
            raise self._failure

    def _history(self) -> Iterator[Entry]:
        wanted, end = self._wanted, self._follower.start if self._follower is not None else None
        if self._follower is not None and end is None:
            return iter(())  # nothing was written before the follower was there
        return self._log.read(since=wanted.since, until=wanted.until, tail=wanted.tail, end=end)

    def _follow(self) -> None:
        if self._follower is not None:
            entries = cast("Generator[Entry, None, None]", self._follower.entries())
            with contextlib.closing(entries):
                for data in self._wanted.encode(self._until(entries)):
                    if not self._handover.put(data):
                        return

    def _until(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        for entry in entries:
            if self._wanted.until is not None and entry.moment() > self._wanted.until:
                return
            yield entry
