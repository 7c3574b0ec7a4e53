"""The application: routes, what surrounds each request, and the server on its unix socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from . import archive, attach, containers, events, execs, images, pouch, prune, stats, system, updates, volumes
from .activity import Activity
from .endless import Endless
from .errors import Handler, answer_errors
from .hijack import Hangups, HijackableHandler
from .keys import ACTIVITY, ENDLESS, ENGINE, HANGUPS, WORKERS
from .queries import JSON_LIMIT
from .unix_socket import Listener
from .versions import NEWEST, POUCH_VERSION, PREFIXES, text, version_of
from .workers import Workers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pouch_engine.engine import Engine

ROUTES = (
    *system.ROUTES,
    *events.ROUTES,
    *containers.ROUTES,
    *stats.ROUTES,
    *updates.ROUTES,
    *prune.ROUTES,
    *archive.ROUTES,
    *attach.ROUTES,
    *execs.ROUTES,
    *images.ROUTES,
    *volumes.ROUTES,
)

_LINE_LIMIT = 65536
"""Of a request line or header: filters can be long."""

_ENDING_SECONDS = 5.0
"""For requests in progress when the server stops; streams and waits end at once."""


def create_application(engine: Engine) -> web.Application:
    """Make the application on an engine, which stays the caller's to close."""
    app = web.Application(middlewares=[_count, answer_errors, _check_version], client_max_size=JSON_LIMIT)
    app[ENGINE] = engine
    app[ACTIVITY] = Activity()
    app.cleanup_ctx.append(_resources)
    app.on_response_prepare.append(_add_headers)
    for method, path, handler in ROUTES:
        for prefix in PREFIXES:
            app.router.add_route(method, prefix + path, handler)
    for method, path, handler in pouch.ROUTES:
        app.router.add_route(method, path, handler)
    return app


async def _resources(app: web.Application) -> AsyncIterator[None]:
    workers, hangups, endless = Workers(), Hangups(), Endless()
    app[WORKERS], app[HANGUPS], app[ENDLESS] = workers, hangups, endless
    app.on_shutdown.append(endless.end_all)
    yield
    hangups.close()
    workers.close()


@web.middleware
async def _count(request: web.Request, handler: Handler) -> web.StreamResponse:
    with request.app[ACTIVITY].request():
        return await handler(request)


@web.middleware
async def _check_version(request: web.Request, handler: Handler) -> web.StreamResponse:
    version_of(request)
    return await handler(request)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Docker's, on every answer: clients read the version from any of them."""
    response.headers.setdefault("Api-Version", text(NEWEST))
    response.headers.setdefault("Docker-Experimental", "false")
    response.headers.setdefault("Ostype", "linux")
    response.headers["Server"] = f"Pouch/{POUCH_VERSION} (linux)"


class Server:
    """The API of an engine on a unix socket.

    Args:
        engine: stays the caller's to close, after `stop`.
        path: of the socket; its directory is made if it is missing.
        group: may use it besides root; empty: nobody may.
        inherited: listening sockets from a service manager, served besides; one at `path` takes our own's place.
    """

    def __init__(self, engine: Engine, path: Path, *, group: str = "", inherited: Sequence[socket.socket] = ()) -> None:
        self.path = path
        self._inherited = tuple(inherited)
        self._group = group
        self._app = create_application(engine)
        self._runner = web.AppRunner(
            self._app, handler_cancellation=True, access_log=None, shutdown_timeout=_ENDING_SECONDS
        )
        self._servers: list[asyncio.Server] = []
        self._listener: Listener | None = None

    async def start(self) -> None:
        """Listen. Requests are answered from its return on.

        Raises:
            Conflict: somebody else listens there.
            InvalidArgument: there is no such group, or the path is no place for a socket.
            PermissionDenied: the directory lets others replace the socket.
        """
        sockets = list(self._inherited)
        if str(self.path) not in self.addresses:
            self._listener = Listener(self.path, self._group)
            sockets.append(self._listener.socket)
        await self._runner.setup()
        for each in sockets:
            self._servers.append(await asyncio.get_running_loop().create_unix_server(self._connected, sock=each))

    async def stop(self) -> None:
        """Stop listening, end streams and waits, let other requests finish for a moment, and remove our own socket."""
        for server in self._servers:
            server.close()
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()

    @property
    def addresses(self) -> tuple[str, ...]:
        """The paths that are served, or will be by `start`."""
        inherited = tuple(str(each.getsockname()) for each in self._inherited)
        return inherited if self._listener is None else (str(self.path), *inherited)

    @property
    def open_connections(self) -> int:
        """Requests that are being answered: a stream or a wait is one as long as it lasts."""
        return self._app[ACTIVITY].requests

    @property
    def last_activity(self) -> float:
        """When the last request ended, by time.monotonic()."""
        return self._app[ACTIVITY].last_end

    def _connected(self) -> HijackableHandler:
        server = self._runner.server
        assert server is not None  # it is made before the first connection
        return HijackableHandler(
            server,
            self._app[HANGUPS],
            loop=asyncio.get_running_loop(),
            access_log=None,
            auto_decompress=False,
            max_line_size=_LINE_LIMIT,
            max_field_size=_LINE_LIMIT,
        )
