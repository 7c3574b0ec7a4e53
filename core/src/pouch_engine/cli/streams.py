"""Between a container's taken-over connection and our own stdin, stdout and stderr: one poll loop, no threads."""

from __future__ import annotations

import os
import select
from _socket import MSG_DONTWAIT, MSG_NOSIGNAL, SHUT_WR, socket

from pouch_engine.cli.demultiplex import STDOUT, Demultiplexer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pouch_engine.cli.detach_keys import DetachKeys

_PIECE = 262144
_IN = select.POLLIN | select.POLLHUP | select.POLLERR


class Relay:
    """Carries the streams of one container process over `connection`, whose first bytes are `early`.

    `stdin` is the descriptor to read input from, None for no input; its end closes our half of the connection.
    `terminal` says that the output is one raw stream, not frames. `keys` detach when they are typed.
    """

    def __init__(
        self,
        connection: socket,
        early: bytes,
        *,
        terminal: bool,
        stdin: int | None = None,
        keys: DetachKeys | None = None,
        stdout: int = 1,
        stderr: int = 2,
    ) -> None:
        self._connection = connection
        self._early = early
        self._stdin = stdin
        self._keys = keys
        self._outputs = (stdout, stderr)
        self._frames = None if terminal else Demultiplexer()
        self._pending = memoryview(b"")
        self._detached = False

    def run(self) -> bool:
        """Serve both directions until the container's side ends. Return False if the user detached.

        Raises BrokenPipeError when nobody reads our output, CommandError for a broken stream.
        """
        buffer = memoryview(bytearray(_PIECE))
        self._show(memoryview(self._early))
        while not self._detached:
            ready = self._wait()
            if ready.get(self._connection.fileno(), 0) & _IN:
                count = self._receive(buffer)
                if not count:
                    return True
                self._show(buffer[:count])
            if self._pending:
                self._send()
            elif self._stdin is not None and ready.get(self._stdin):
                self._read_input(self._stdin)
        return False

    def _wait(self) -> dict[int, int]:
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN | (select.POLLOUT if self._pending else 0))
        if self._stdin is not None and not self._pending:
            poll.register(self._stdin, select.POLLIN)
        return dict(poll.poll())

    def _receive(self, buffer: memoryview) -> int:
        try:
            return self._connection.recv_into(buffer)
        except ConnectionResetError:
            return 0

    def _show(self, data: memoryview) -> None:
        if self._frames is None:
            write_all(self._outputs[0], data)
            return
        for stream, part in self._frames.feed(data):
            write_all(self._outputs[0] if stream == STDOUT else self._outputs[1], part)

    def _read_input(self, stdin: int) -> None:
        data = os.read(stdin, _PIECE)
        if not data:
            self._close_input()
            return
        if self._keys:
            data, self._detached = self._keys.scan(data)
        self._pending = memoryview(data)
        self._send()

    def _send(self) -> None:
        try:
            self._pending = self._pending[self._connection.send(self._pending, MSG_DONTWAIT | MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            # The container takes no more input; its output goes on until it ends.
            self._pending, self._stdin = memoryview(b""), None

    def _close_input(self) -> None:
        self._stdin = None
        try:
            self._connection.shutdown(SHUT_WR)
        except OSError:  # ENOTCONN: the other side is gone already, which the next read tells
            return


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of `data`, also to a descriptor that somebody made non-blocking. Raises BrokenPipeError."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def show_stream(pieces: Iterable[bytes], *, terminal: bool) -> None:
    """Write the pieces of a container's output (frames, unless it has a terminal) to our stdout and stderr.

    Raises BrokenPipeError when nobody reads our output, CommandError for a broken stream.
    """
    frames = Demultiplexer()
    for piece in pieces:
        if terminal:
            write_all(1, memoryview(piece))
        else:
            for stream, part in frames.feed(memoryview(piece)):
                write_all(1 if stream == STDOUT else 2, part)
