"""POST /containers/{name}/attach: a container's streams over the connection itself."""

from __future__ import annotations

import asyncio
import logging
import socket
from concurrent.futures import Future

from aiohttp import web

from pouch_engine.containers.record import Container
from pouch_hookspecs.errors import PouchError

from . import queries
from .detach_keys import DetachKeys, parse_keys
from .frames import content_type
from .hijack import Hijacked, TakenOver, take_over
from .keys import ENDLESS, ENGINE, HANGUPS, WORKERS
from .logs import Wanted, batches
from .streams import Selection, Streams
from .versions import version_of
from .workers import received

log = logging.getLogger(__name__)


async def attach_container(request: web.Request) -> web.StreamResponse:
    """Answer at once, also for a container that is started later: clients attach before they start it."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    container = await workers.look(engine.container, request.match_info["name"])
    terminal = container.config.terminal
    selection = Selection(
        stdin=queries.boolean(request, "stdin") and container.config.stdin,
        stdout=queries.boolean(request, "stdout"),
        stderr=queries.boolean(request, "stderr"),
        terminal=terminal,
    )
    sequence = parse_keys(request.query.get("detachKeys", ""))
    await request.read()
    with request.app[ENDLESS].until_shutdown():
        # Registered before the client hears the answer: it starts the container right after.
        promised = await _promise(request, container) if queries.boolean(request, "stream") else None
        client = take_over(request, request.app[HANGUPS], content_type(version_of(request), terminal=terminal))
        try:
            task = await _kept(promised) if promised is not None else None
            if queries.boolean(request, "logs"):
                await _replay(request, container, selection, client)
            if task is not None:
                keys = DetachKeys(sequence) if terminal and selection.stdin else None
                patient = not container.state.running
                await Streams(client, task, selection, keys=keys, patient=patient).run()
        except asyncio.CancelledError:
            client.abort()
            raise
        except PouchError as error:
            log.info("attaching to container %s ended: %s", container.id[:12], error)
        finally:
            client.close()
    return TakenOver()


async def _promise(request: web.Request, container: Container) -> Future[socket.socket]:
    """A connection to the task, made before the container's first instruction if it is not started yet."""
    return await request.app[WORKERS].acquire(
        lambda unwanted: unwanted.cancel(), request.app[ENGINE].container_attach, container.id
    )


async def _kept(promised: Future[socket.socket]) -> socket.socket:
    return await received(promised, socket.socket.close)


async def _replay(request: web.Request, container: Container, selection: Selection, client: Hijacked) -> None:
    """What was written so far (`logs=1`). What comes between the connection and the end of this is seen twice, rather
    than never.
    """
    wanted = Wanted(stdout=selection.stdout, stderr=selection.stderr, terminal=selection.terminal)
    files = await request.app[WORKERS].look(request.app[ENGINE].container_logs, container.id)
    pieces = batches(wanted.encode(files.read()))
    while data := await request.app[WORKERS].look(next, pieces, b""):
        await client.send(data)


ROUTES = (("POST", "/containers/{name}/attach", attach_container),)
