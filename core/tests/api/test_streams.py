"""Between a client and a task's attach socket: real sockets of the kinds that there are."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from pouch_engine.api import streams
from pouch_engine.api.detach_keys import DetachKeys
from pouch_engine.api.hijack import TakenOver, take_over
from pouch_engine.api.streams import Selection, Streams

from .conftest import serving
from .test_hijack import UPGRADE, answered, head, rest

BOTH = Selection(stdin=True, stdout=True, stderr=True, terminal=False)
TERMINAL = Selection(stdin=True, stdout=True, stderr=True, terminal=True)


class Attached:
    """A client attached to a task: `task` is the supervisor's end of the attach socket."""

    def __init__(self, task: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.task = task
        self.reader = reader
        self.writer = writer
        self.ended_by_task: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def says(self, stream: int, data: bytes) -> None:
        """The process writes."""
        await asyncio.get_running_loop().sock_sendall(self.task, bytes([stream]) + data)

    async def hears(self) -> bytes:
        """What the process gets on its standard input."""
        async with asyncio.timeout(5):
            return await asyncio.get_running_loop().sock_recv(self.task, 65536)


@asynccontextmanager
async def attached(
    place: Path, selection: Selection = BOTH, *, keys: bytes = b"", patient: bool = True
) -> AsyncIterator[Attached]:
    """Attach a client to a task."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ends: list[Attached] = []

    async def attach(request: web.Request) -> web.StreamResponse:
        client = take_over(request, "test/stream")
        watched = DetachKeys(keys) if keys else None
        try:
            result = await Streams(client, theirs, selection, keys=watched, patient=patient).run()
            ends[0].ended_by_task.set_result(result)
        finally:
            client.close()
        return TakenOver()

    with ours:
        async with serving(place, attach=attach) as site:
            reader, writer = await site.connect()
            ends.append(Attached(ours, reader, writer))
            writer.write(head(b"attach", UPGRADE))
            assert await answered(reader) == b"HTTP/1.1 101 UPGRADED"
            yield ends[0]
            writer.close()


def test_output_comes_in_dockers_frames(place: Path) -> None:
    """Packets of stdout (2) and stderr (3) become frames 1 and 2; the end comes after the last byte."""

    async def scenario() -> None:
        async with attached(place) as end:
            await end.says(2, b"out")
            await end.says(3, b"err")
            end.task.close()
            assert await rest(end.reader) == b"\1\0\0\0\0\0\0\3out\2\0\0\0\0\0\0\3err"
            assert await end.ended_by_task is True

    asyncio.run(scenario())


def test_a_terminals_output_is_raw(place: Path) -> None:
    """With a terminal there are no frames."""

    async def scenario() -> None:
        async with attached(place, TERMINAL) as end:
            await end.says(2, b"$ ")
            end.task.close()
            assert await rest(end.reader) == b"$ "

    asyncio.run(scenario())


def test_streams_that_are_not_wanted_are_left_out(place: Path) -> None:
    """A client that attached to stderr alone gets nothing else."""

    async def scenario() -> None:
        async with attached(place, Selection(stdin=False, stdout=False, stderr=True, terminal=False)) as end:
            await end.says(2, b"out")
            await end.says(3, b"err")
            end.task.close()
            assert await rest(end.reader) == b"\2\0\0\0\0\0\0\3err"

    asyncio.run(scenario())


def test_input_and_its_end(place: Path) -> None:
    """The client's bytes and its end reach the process; output goes on after it."""

    async def scenario() -> None:
        async with attached(place) as end:
            end.writer.write(b"question")
            end.writer.write_eof()
            assert await end.hears() == b"question"
            assert await end.hears() == b""
            await end.says(2, b"answer")
            end.task.close()
            assert await rest(end.reader) == b"\1\0\0\0\0\0\0\6answer"

    asyncio.run(scenario())


def test_input_is_dropped_without_stdin(place: Path) -> None:
    """A client that did not ask for standard input can not write to it, and its end closes nothing."""

    async def scenario() -> None:
        async with attached(place, Selection(stdin=False, stdout=True, stderr=True, terminal=False)) as end:
            end.writer.write(b"x")
            end.writer.write_eof()
            await end.says(2, b"out")
            assert await end.reader.readexactly(11) == b"\1\0\0\0\0\0\0\3out"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.get_running_loop().sock_recv(end.task, 10), 0.05)

    asyncio.run(scenario())


def test_detach_keys_end_the_connection_and_not_the_input(place: Path) -> None:
    """What was typed before the keys arrives; the keys do not; the process's input is not ended by us."""

    async def scenario() -> None:
        async with attached(place, TERMINAL, keys=b"\x10\x11") as end:
            end.writer.write(b"ab\x10")
            end.writer.write(b"\x11c")
            assert await end.hears() == b"ab"
            assert await rest(end.reader) == b""
            assert await end.ended_by_task is False

    asyncio.run(scenario())


def test_a_process_that_takes_no_input_does_not_stop_output(place: Path) -> None:
    """Its closed standard input is no end of the stream."""

    async def scenario() -> None:
        async with attached(place) as end:
            end.task.shutdown(socket.SHUT_RD)
            end.writer.write(b"x" * 100_000)
            await end.writer.drain()
            await end.says(2, b"still here")
            end.task.close()
            assert await rest(end.reader) == b"\1\0\0\0\0\0\0\x0astill here"

    asyncio.run(scenario())


def test_large_streams_both_ways_at_once(place: Path) -> None:
    """32 MiB each way, unharmed, while both sides block now and then."""
    there, back = os.urandom(1 << 25), os.urandom(1 << 25)

    async def scenario() -> None:
        async with attached(place, TERMINAL) as end:

            async def feed() -> None:
                for at in range(0, len(there), 1 << 18):
                    end.writer.write(there[at : at + (1 << 18)])
                    await end.writer.drain()
                end.writer.write_eof()

            async def speak() -> None:
                for at in range(0, len(back), 8192):
                    await end.says(2, back[at : at + 8192])

            async def listen() -> str:
                digest = hashlib.sha256()
                while data := await end.hears():
                    digest.update(data)
                return digest.hexdigest()

            async def read() -> str:
                return hashlib.sha256(await end.reader.readexactly(len(back))).hexdigest()

            async with asyncio.timeout(60):
                _, _, heard, got = await asyncio.gather(feed(), speak(), listen(), read())
            assert (heard, got) == (hashlib.sha256(there).hexdigest(), hashlib.sha256(back).hexdigest())

    asyncio.run(scenario())


async def _fill(end: Attached) -> int:
    """Write until nobody has read for a while; gives the bytes."""
    sent = 0
    try:
        while True:
            await asyncio.wait_for(end.says(2, b"x" * 8192), 0.3)
            sent += 8192
    except TimeoutError:
        return sent


async def _talk(end: Attached) -> None:
    """Write without end."""
    while True:
        await end.says(2, b"x" * 8192)


def test_a_client_from_the_start_stops_the_container(place: Path) -> None:
    """It reads nothing: some megabytes later the process can not write, and nothing is lost when it reads again."""

    async def scenario() -> None:
        async with attached(place, TERMINAL) as end:
            end.reader._transport.pause_reading()  # type: ignore[attr-defined]
            sent = await _fill(end)
            assert sent < 8 << 20
            end.reader._transport.resume_reading()  # type: ignore[attr-defined]
            async with asyncio.timeout(5):
                await end.reader.readexactly(sent)

    asyncio.run(scenario())


def test_a_late_client_that_does_not_read_is_dropped(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container is held up for the grace at most; then the connection ends and the supervisor is let go."""
    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.2)

    async def scenario() -> None:
        async with attached(place, TERMINAL, patient=False) as end:
            end.reader._transport.pause_reading()  # type: ignore[attr-defined]
            with pytest.raises((BrokenPipeError, ConnectionResetError)):
                await asyncio.wait_for(_talk(end), 5)

    asyncio.run(scenario())


def test_a_client_that_goes_lets_the_task_go(place: Path) -> None:
    """The supervisor sees that nobody is attached any more."""

    async def scenario() -> None:
        async with attached(place) as end:
            end.writer.transport.abort()
            assert await end.hears() == b""

    asyncio.run(scenario())


def test_a_thousand_aborted_attaches_leave_nothing(place: Path) -> None:
    """No descriptor and no task stays (CVE-2022-23471, 2025-64329)."""

    async def scenario() -> None:
        waiting: list[socket.socket] = []

        async def attach(request: web.Request) -> web.StreamResponse:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            waiting.append(ours)
            client = take_over(request, "test/stream")
            try:
                await Streams(client, theirs, BOTH, keys=None, patient=True).run()
            finally:
                client.close()
                ours.close()
            return TakenOver()

        async with serving(place, attach=attach) as site:
            before = len(os.listdir("/proc/self/fd"))
            for number in range(1000):
                reader, writer = await site.connect()
                writer.write(head(b"attach", UPGRADE))
                if number % 3:
                    await answered(reader)
                if number % 2:
                    writer.write_eof()
                writer.transport.abort()
            async with asyncio.timeout(10):
                while len(os.listdir("/proc/self/fd")) > before or len(asyncio.all_tasks()) > 1:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
