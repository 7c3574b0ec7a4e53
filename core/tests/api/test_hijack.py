"""Taking a connection over, held against the installed aiohttp."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from pouch_engine.api.hijack import Hijacked, TakenOver, take_over
from pouch_hookspecs.errors import Conflict

from .conftest import Site, serving

UPGRADE = b"Connection: Upgrade\r\nUpgrade: tcp\r\n"


class Echo:
    """A receiver that sends back what comes, and says when the client has ended."""

    def __init__(self, client: Hijacked) -> None:
        self._client = client
        self.ended = asyncio.Event()

    def client_sent(self, data: bytes) -> None:
        """Send it back."""
        self._client.write(data)

    def client_ended(self) -> None:
        """Say so, which needs the sending half."""
        self._client.write(b"END")
        self.ended.set()

    def client_slow(self) -> None:
        """Nothing to stop."""

    def client_caught_up(self) -> None:
        """Nothing to go on with."""


async def echo(request: web.Request) -> web.StreamResponse:
    """Take over after the body is read; end when the client has ended."""
    body = await request.read()
    client = take_over(request, "test/stream")
    client.write(b"<" + body + b">")
    receiver = Echo(client)
    client.deliver(receiver)
    await receiver.ended.wait()
    client.close()
    return TakenOver()


async def plain(_: web.Request) -> web.Response:
    """An ordinary answer."""
    return web.Response(text="plain")


async def refuse(_: web.Request) -> web.Response:
    """An error instead of a take-over."""
    raise Conflict("not now")


def head(path: bytes, *fields: bytes, length: int = 0) -> bytes:
    """A request's head."""
    return b"POST /%b HTTP/1.1\r\nHost: \r\nContent-Length: %d\r\n" % (path, length) + b"".join(fields) + b"\r\n"


async def answered(reader: asyncio.StreamReader) -> bytes:
    """The status line of the answer's head."""
    async with asyncio.timeout(5):
        return (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0]


async def rest(reader: asyncio.StreamReader) -> bytes:
    """Everything to the end."""
    async with asyncio.timeout(5):
        return await reader.read()


def test_bytes_and_half_close(place: Path) -> None:
    """After 101, bytes go both ways, and the client's end leaves the way back open."""

    async def scenario() -> None:
        async with serving(place, echo=echo) as site:
            reader, writer = await site.connect()
            writer.write(head(b"echo", UPGRADE))
            assert await answered(reader) == b"HTTP/1.1 101 UPGRADED"
            writer.write(b"hello")
            writer.write_eof()
            assert await rest(reader) == b"<>helloEND"
            writer.close()

    asyncio.run(scenario())


def test_without_upgrade_it_is_an_ordinary_200(place: Path) -> None:
    """Old clients take over without asking; the answer is 200 and ends with the connection."""

    async def scenario() -> None:
        async with serving(place, echo=echo) as site:
            reader, writer = await site.connect()
            writer.write(head(b"echo"))
            assert await answered(reader) == b"HTTP/1.1 200 OK"
            writer.write(b"x")
            assert await reader.readexactly(3) == b"<>x"
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [1, 7, 64, 4096], ids=lambda size: f"pieces-of-{size}")
def test_early_bytes_are_no_next_request(place: Path, size: int) -> None:
    """What comes behind head and body, in pieces of any size, is the stream's, also what looks like HTTP."""

    async def scenario() -> None:
        async with serving(place, echo=echo) as site:
            reader, writer = await site.connect()
            sent = head(b"echo", UPGRADE, length=4) + b"body" + b"POST /plain HTTP/1.1\r\n\r\n"
            for at in range(0, len(sent), size):
                writer.write(sent[at : at + size])
                await asyncio.sleep(0)
            assert await answered(reader) == b"HTTP/1.1 101 UPGRADED"
            writer.write_eof()
            assert await rest(reader) == b"<body>POST /plain HTTP/1.1\r\n\r\nEND"
            writer.close()

    asyncio.run(scenario())


def test_a_pooled_connection_can_be_taken_over(place: Path) -> None:
    """docker-py sends an exec's start over a connection that has served other requests."""

    async def scenario() -> None:
        async with serving(place, echo=echo, plain=plain) as site:
            reader, writer = await site.connect()
            for _ in range(3):
                writer.write(head(b"plain"))
                assert await answered(reader) == b"HTTP/1.1 200 OK"
                assert await reader.readexactly(5) == b"plain"
            writer.write(head(b"echo", UPGRADE))
            assert await answered(reader) == b"HTTP/1.1 101 UPGRADED"
            writer.write_eof()
            assert await rest(reader) == b"<>END"
            writer.close()

    asyncio.run(scenario())


def test_a_refused_upgrade_leaves_http_as_it_was(place: Path) -> None:
    """The error comes as HTTP, without `Connection: close` (docker 20.10 takes that for a stream), and HTTP goes on."""

    async def scenario() -> None:
        async with serving(place, refuse=refuse, plain=plain) as site:
            reader, writer = await site.connect()
            writer.write(head(b"refuse", UPGRADE) + head(b"plain"))
            async with asyncio.timeout(5):
                answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 409")
            assert b"close" not in answer.lower()
            assert await reader.readexactly(len(b'{"message": "not now"}\n')) == b'{"message": "not now"}\n'
            assert await answered(reader) == b"HTTP/1.1 200 OK"
            writer.close()

    asyncio.run(scenario())


def test_an_upload_that_speaks_of_upgrades_is_an_upload(place: Path) -> None:
    """Only heads are searched: a body with the words in it arrives whole."""
    body = head(b"echo", UPGRADE) * 1000

    async def size(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async def scenario() -> None:
        async with serving(place, size=size) as site:
            reader, writer = await site.connect()
            writer.write(head(b"size", length=len(body)))
            await writer.drain()
            writer.write(body)
            assert await answered(reader) == b"HTTP/1.1 200 OK"
            assert await reader.readexactly(len(str(len(body)))) == str(len(body)).encode()
            writer.close()

    asyncio.run(scenario())


def test_a_client_that_goes_after_ending_its_half_is_noticed(place: Path) -> None:
    """Without this, each aborted attach of a silent container would stay for ever."""
    gone = asyncio.Event()

    async def silent(request: web.Request) -> web.StreamResponse:
        take_over(request, "test/stream")
        try:
            await asyncio.Event().wait()
        finally:
            gone.set()
        raise AssertionError  # it can only be cancelled

    async def scenario() -> None:
        async with serving(place, silent=silent) as site:
            reader, writer = await site.connect()
            writer.write(head(b"silent", UPGRADE))
            await answered(reader)
            writer.write_eof()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(gone.wait(), 0.1)
            writer.close()
            await asyncio.wait_for(gone.wait(), 5)

    asyncio.run(scenario())


def test_the_server_keeps_no_books_of_ended_streams(place: Path) -> None:
    """aiohttp's own list of connections is empty again after many streams that ended in every way."""

    async def one(site: Site, way: int) -> None:
        reader, writer = await site.connect()
        writer.write(head(b"echo", UPGRADE))
        await answered(reader)
        if way == 0:
            writer.write_eof()
            await rest(reader)
        elif way == 1:
            writer.transport.abort()
        writer.close()

    async def scenario() -> None:
        async with serving(place, echo=echo) as site:
            for number in range(60):
                await one(site, number % 3)
            server = site.runner.server
            assert server is not None
            async with asyncio.timeout(5):
                while server.connections:
                    await asyncio.sleep(0.01)

    asyncio.run(scenario())
