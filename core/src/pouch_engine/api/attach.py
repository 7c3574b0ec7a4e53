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
from .keys import ENDLESS, ENGINE, WORKERS
from .logs import Wanted, batches
from .streams import Selection, Streams
from .versions import version_of
from .workers import give_up

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
        if not queries.boolean(request, "stream"):
            await _serve(request, container, selection, sequence, None)
            return TakenOver()
        # Registered before the client hears the answer: it starts the container right after.
        promised = await workers.acquire(Future.cancel, engine.container_attach, container.id)
        try:
            await _serve(request, container, selection, sequence, promised)
        finally:
            give_up(promised, socket.socket.close)
    return TakenOver()


async def _serve(
    request: web.Request,
    container: Container,
    selection: Selection,
    sequence: bytes,
    promised: Future[socket.socket] | None,
) -> None:
    """Take the connection over, show the log if that is wanted, then the streams, which are there after the start."""
    form = content_type(version_of(request), terminal=selection.terminal)
    client = take_over(request, form)
    try:
        streams = None
        if promised is not None:
            keys = DetachKeys(sequence) if selection.terminal and selection.stdin else None
            patient = not container.state.running
            task = await asyncio.wrap_future(promised)
            streams = Streams(client, task, selection, keys=keys, patient=patient)
        if queries.boolean(request, "logs"):
            await _replay(request, container, selection, client)
        if streams is not None:
            await streams.run()
    except asyncio.CancelledError:
        client.abort()
        raise
    except PouchError as error:
        log.info("attaching to container %s ended: %s", container.id[:12], error)
    finally:
        client.close()


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
