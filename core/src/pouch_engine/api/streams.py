"""Between a client's taken-over connection and the attach socket of a task (hookspecs/task-contract.md, 2).

No threads and no queues of our own: the event loop calls us when the one can be read, and we stop reading it while the
other can not be written. docs/decisions/0001-attach-backpressure.md says who waits for whom.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass

from .detach_keys import DetachKeys
from .frames import STDERR, STDOUT, header
from .hijack import Hijacked

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
"""How long a client that attached to a running container may hold it up."""

_PACKET_LIMIT = 65536
_PACKETS_AT_ONCE = 32
_INPUT_LIMIT = 32768
_STREAMS = {2: STDOUT, 3: STDERR}


@dataclass(frozen=True)
class Selection:
    """What of the streams a client wants.

    Attributes:
        stdin: what it sends goes to the process.
        stdout: it gets standard output.
        stderr: it gets standard error.
        terminal: the process has a terminal: all output is one stream, without frames.
    """

    stdin: bool
    stdout: bool
    stderr: bool
    terminal: bool


class Streams:
    """Carries bytes both ways until the task ends, the client goes, or the user detaches.

    Args:
        client: the taken-over connection; the caller closes it.
        task: the attach socket; closed at the end.
        selection: see `Selection`.
        keys: that detach; None: none do.
        patient: a client that reads slowly stops the container's output, rather than losing its place.
    """

    def __init__(
        self, client: Hijacked, task: socket.socket, selection: Selection, *, keys: DetachKeys | None, patient: bool
    ) -> None:
        self._client = client
        self._task = task
        self._selection = selection
        self._keys = keys
        self._patient = patient
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[bool] = self._loop.create_future()
        self._wanted = {
            code: stream
            for code, stream in _STREAMS.items()
            if (selection.stdout if stream == STDOUT else selection.stderr)
        }
        self._to_task = bytearray()
        self._sending = False
        self._input_open = selection.stdin
        self._input_ended = False
        self._deadline: asyncio.TimerHandle | None = None

    async def run(self) -> bool:
        """Serve to the end: True for the task's, False for a detach. Cancelled when the client goes."""
        self._task.setblocking(False)
        try:
            self._loop.add_reader(self._task, self._task_sent)
            self._client.deliver(self)
            return await self._ended
        finally:
            self._loop.remove_reader(self._task)
            self._loop.remove_writer(self._task)
            if self._deadline is not None:
                self._deadline.cancel()
            self._task.close()

    # from the task to the client

    def _task_sent(self) -> None:
        pieces: list[bytes] = []
        ended = False
        for _ in range(_PACKETS_AT_ONCE):
            try:
                packet = self._task.recv(_PACKET_LIMIT)
            except BlockingIOError:
                break
            except ConnectionError:  # the supervisor was killed
                packet = b""
            if not packet:
                ended = True
                break
            stream = self._wanted.get(packet[0])
            if stream is not None and len(packet) > 1:
                if not self._selection.terminal:
                    pieces.append(header(stream, len(packet) - 1))
                pieces.append(packet[1:])
        if pieces:
            self._client.write(b"".join(pieces))
        if ended:
            self._finish(by_task=True)

    def client_slow(self) -> None:
        """Stop reading the container's output; let an impatient container's client go if it stays slow."""
        self._loop.remove_reader(self._task)
        if not self._patient and self._deadline is None:
            self._deadline = self._loop.call_later(GRACE_SECONDS, self._drop)

    def client_caught_up(self) -> None:
        """Go on."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if not self._ended.done():
            self._loop.add_reader(self._task, self._task_sent)

    def _drop(self) -> None:
        log.warning("an attached client was dropped: it did not read for %g s", GRACE_SECONDS)
        self._client.abort()
        self._finish(by_task=False)

    # from the client to the task

    def client_sent(self, data: bytes) -> None:
        """Pass it on to standard input; detach keys end the connection."""
        if not self._input_open or self._ended.done():
            return
        detached = False
        if self._keys is not None:
            data, detached = self._keys.scan(data)
        self._to_task += data
        self._send()
        if detached:
            self._finish(by_task=False)

    def client_ended(self) -> None:
        """The end of standard input, behind what is still to be sent."""
        self._input_ended = True
        if not self._sending:
            self._end_input()

    def _send(self) -> None:
        try:
            while self._to_task:
                piece = bytes(self._to_task[:_INPUT_LIMIT])
                self._task.send(piece)
                del self._to_task[: len(piece)]
        except BlockingIOError:
            if not self._sending:
                self._sending = True
                self._client.pause_reading()
                self._loop.add_writer(self._task, self._send)
            return
        except OSError:  # the process takes no more input; its output goes on until its end
            self._input_open = False
            self._to_task.clear()
        if self._sending:
            self._sending = False
            self._loop.remove_writer(self._task)
            self._client.resume_reading()
        if self._input_ended:
            self._end_input()

    def _end_input(self) -> None:
        if self._input_open:
            self._input_open = False
            try:
                self._task.shutdown(socket.SHUT_WR)
            except OSError:  # ENOTCONN: the task has ended, which reading tells
                return

    def _finish(self, *, by_task: bool) -> None:
        if not self._ended.done():
            self._ended.set_result(by_task)
