"""A real aiohttp server on a unix socket, with the handlers of a test."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from pouch_engine.api.errors import answer_errors
from pouch_engine.api.hijack import Hangups, HijackableHandler

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="pouch-api-", dir="/run") as directory:
        yield Path(directory)


class Site:
    """A server that runs: its application, and connections to it."""

    def __init__(self, path: Path, app: web.Application, runner: web.AppRunner) -> None:
        self.path = path
        self.app = app
        self.runner = runner
        self._writers: list[asyncio.StreamWriter] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A client's connection; closed at the end."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        self._writers.append(writer)
        return reader, writer

    async def disconnect(self) -> None:
        """Close all connections that a test has left open."""
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(path: Path, **handlers: Handler) -> AsyncIterator[Site]:
    """Serve POST /NAME by each handler, as the daemon does, and end with nothing left."""
    app = web.Application(middlewares=[answer_errors])
    for name, handler in handlers.items():
        app.router.add_post(f"/{name}", handler)
    hangups = Hangups()
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1)
    await runner.setup()
    loop = asyncio.get_running_loop()

    server_of_app = runner.server
    assert server_of_app is not None

    def connected() -> HijackableHandler:
        return HijackableHandler(server_of_app, hangups, loop=loop, access_log=None, auto_decompress=False)

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / "s"))
    server = await loop.create_unix_server(connected, sock=listener)
    site = Site(path / "s", app, runner)
    try:
        yield site
    finally:
        await site.disconnect()
        server.close()
        await runner.cleanup()
        hangups.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        if rest:
            await asyncio.wait(rest, timeout=5)
        assert asyncio.all_tasks() == {asyncio.current_task()}
