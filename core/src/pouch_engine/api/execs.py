"""/exec: further processes in running containers."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.containers.exec import Exec, ExecConfig
from pouch_engine.containers.record import Status
from pouch_hookspecs import Size
from pouch_hookspecs.errors import Conflict, InvalidArgument, PouchError

from . import queries
from .containers import terminal_size
from .create_body import ExecBody, ExecStartBody, read_body
from .detach_keys import DetachKeys, parse_keys
from .frames import STDERR, content_type, frame
from .hijack import Hijacked, TakenOver, take_over
from .keys import ENDLESS, ENGINE, WORKERS
from .streams import Selection, Streams
from .versions import version_of
from .views.execs import exec_document

if TYPE_CHECKING:
    from pouch_engine.engine import Engine


async def create_exec(request: web.Request) -> web.Response:
    """POST /containers/{name}/exec."""
    body = read_body(ExecBody, await queries.json_object(request))
    if not body.cmd:
        raise InvalidArgument("Cmd is missing: no exec command specified")
    parse_keys(body.detach_keys)
    config = ExecConfig(
        args=body.cmd,
        env=body.env,
        working_dir=body.working_dir,
        user=body.user,
        terminal=body.tty,
        stdin=body.attach_stdin,
        privileged=body.privileged,
        attach_stdin=body.attach_stdin,
        attach_stdout=body.attach_stdout,
        attach_stderr=body.attach_stderr,
        detach_keys=body.detach_keys,
    )
    made = await request.app[WORKERS].change(request.app[ENGINE].exec_create, request.match_info["name"], config)
    return web.json_response({"Id": made.id}, status=201)


async def start_exec(request: web.Request) -> web.StreamResponse:
    """POST /exec/{id}/start: detached, or with its streams over the connection itself."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    body = read_body(ExecStartBody, await queries.json_object(request, optional=True))
    size = Size(height=body.console_size[0], width=body.console_size[1]) if body.console_size else None
    id_ = request.match_info["id"]
    if body.detach:
        await workers.change(engine.exec_start, id_, detach=True, size=size)
        return web.Response(status=200)
    exec_ = await workers.look(_startable, engine, id_)
    with request.app[ENDLESS].until_shutdown():
        # The answer's head goes before the start: docker-py loses output that comes together with it.
        client = take_over(request, content_type(version_of(request), terminal=exec_.config.terminal))
        try:
            await _serve(request, exec_, client, size)
        except PouchError as error:
            _show_failure(exec_, client, error)
        except asyncio.CancelledError:
            client.abort()
            raise
        finally:
            client.close()
    return TakenOver()


def _startable(engine: Engine, exec_id: str) -> Exec:
    """What can be refused while there still is an answer to refuse it in."""
    exec_ = engine.exec_inspect(exec_id)
    container = engine.container(exec_.container_id)
    if not container.state.running or container.state.status is Status.PAUSED:
        raise Conflict(f"container {container.name} is {container.state.status}: nothing can be started in it")
    if exec_.started:
        raise Conflict(f"exec {exec_id[:12]} was started already")
    return exec_


async def _serve(request: web.Request, exec_: Exec, client: Hijacked, size: Size | None) -> None:
    config = exec_.config
    selection = Selection(
        stdin=config.attach_stdin,
        stdout=config.attach_stdout,
        stderr=config.attach_stderr,
        terminal=config.terminal,
    )
    keys = DetachKeys(parse_keys(config.detach_keys)) if config.terminal and config.attach_stdin else None
    task = await request.app[WORKERS].acquire(_let_go, request.app[ENGINE].exec_start, exec_.id, size=size)
    assert task is not None  # it is not detached
    if await Streams(client, task, selection, keys=keys, patient=True).run():
        # The client asks for the exit code as soon as its stream has ended: it must be known by then.
        await asyncio.shield(asyncio.wrap_future(exec_.exit))  # shielded: it is everybody's


def _let_go(task: socket.socket | None) -> None:
    if task is not None:
        task.close()


def _show_failure(exec_: Exec, client: Hijacked, error: PouchError) -> None:
    """Docker's way: the error is the process's output, its exit code (126, 127) is found by inspect."""
    text = f"{error}\r\n".encode()
    client.write(text if exec_.config.terminal else frame(STDERR, text))


async def inspect_exec(request: web.Request) -> web.Response:
    """GET /exec/{id}/json."""
    found = await request.app[WORKERS].look(request.app[ENGINE].exec_inspect, request.match_info["id"])
    return web.json_response(exec_document(found))


async def resize_exec(request: web.Request) -> web.Response:
    """POST /exec/{id}/resize."""
    await request.app[WORKERS].look(request.app[ENGINE].exec_resize, request.match_info["id"], terminal_size(request))
    return web.Response(status=200)


ROUTES = (
    ("POST", "/containers/{name}/exec", create_exec),
    ("POST", "/exec/{id}/start", start_exec),
    ("GET", "/exec/{id}/json", inspect_exec),
    ("POST", "/exec/{id}/resize", resize_exec),
)
