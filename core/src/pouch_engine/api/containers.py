"""/containers: Docker's routes for containers, but for attach (`attach`) and logs (`logs`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.containers.waits import Exit
from pouch_hookspecs import Size
from pouch_hookspecs.errors import InvalidArgument, Unsupported

from . import container_filters, queries
from .keys import ENDLESS, ENGINE, WORKERS
from .logs import container_logs
from .requests import read_create
from .views.containers import inspected, listed, shown_as_running
from .views.processes import chosen_columns, processes
from .workers import received

if TYPE_CHECKING:
    pass

NO_CONTENT = 204
NOT_MODIFIED = 304


async def list_containers(request: web.Request) -> web.Response:
    """GET /containers/json: running ones, or all."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    filters = queries.filters(request, container_filters.KNOWN)
    limit = queries.integer(request, "limit")
    everything = queries.boolean(request, "all") or bool(limit and limit > 0) or container_filters.look_at_all(filters)

    def find() -> list[dict[str, object]]:
        if everything:
            engine.settle(0.5)
        chosen = container_filters.select(engine, filters)
        if not everything:
            chosen = [container for container in chosen if shown_as_running(container.state)]
        return [listed(container) for container in (chosen[:limit] if limit and limit > 0 else chosen)]

    return web.json_response(await workers.look(find))


async def create_container(request: web.Request) -> web.Response:
    """POST /containers/create."""
    document = await queries.json_object(request)
    config, ignored = read_create(document, request.query.get("name", ""))
    if not config.image:
        raise InvalidArgument("Image is missing: name the image that the container is made from")
    container, warnings = await request.app[WORKERS].change(request.app[ENGINE].container_create, config)
    return web.json_response({"Id": container.id, "Warnings": [*ignored, *warnings]}, status=201)


async def inspect_container(request: web.Request) -> web.Response:
    """GET /containers/{name}/json."""
    engine = request.app[ENGINE]

    def look() -> dict[str, object]:
        container = engine.container(request.match_info["name"])
        return inspected(container, engine.container_isolation(container.id))

    return web.json_response(await request.app[WORKERS].look(look))


async def start_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/start."""
    started = await request.app[WORKERS].change(request.app[ENGINE].container_start, request.match_info["name"])
    return web.Response(status=NO_CONTENT if started else NOT_MODIFIED)


async def stop_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/stop."""
    stopped = await request.app[WORKERS].change(
        request.app[ENGINE].container_stop,
        request.match_info["name"],
        queries.integer(request, "t"),
        request.query.get("signal", ""),
    )
    return web.Response(status=NO_CONTENT if stopped else NOT_MODIFIED)


async def restart_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/restart."""
    await request.app[WORKERS].change(
        request.app[ENGINE].container_restart,
        request.match_info["name"],
        queries.integer(request, "t"),
        request.query.get("signal", ""),
    )
    return web.Response(status=NO_CONTENT)


async def pause_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/pause."""
    await request.app[WORKERS].change(request.app[ENGINE].container_pause, request.match_info["name"])
    return web.Response(status=NO_CONTENT)


async def unpause_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/unpause."""
    await request.app[WORKERS].change(request.app[ENGINE].container_unpause, request.match_info["name"])
    return web.Response(status=NO_CONTENT)


async def kill_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/kill; without a signal it is SIGKILL. It never waits for a thread that a change holds."""
    signal = request.query.get("signal") or "KILL"
    await request.app[WORKERS].look(request.app[ENGINE].container_kill, request.match_info["name"], signal)
    return web.Response(status=NO_CONTENT)


async def remove_container(request: web.Request) -> web.Response:
    """DELETE /containers/{name}."""
    if queries.boolean(request, "link"):
        raise Unsupported("links between containers do not exist here; leave link out")
    await request.app[WORKERS].change(
        request.app[ENGINE].container_remove,
        request.match_info["name"],
        force=queries.boolean(request, "force"),
        volumes=queries.boolean(request, "v"),
    )
    return web.Response(status=NO_CONTENT)


async def rename_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/rename."""
    new = queries.required(request, "name").removeprefix("/")
    await request.app[WORKERS].change(request.app[ENGINE].container_rename, request.match_info["name"], new)
    return web.Response(status=NO_CONTENT)


async def resize_container(request: web.Request) -> web.Response:
    """POST /containers/{name}/resize."""
    await request.app[WORKERS].look(
        request.app[ENGINE].container_resize, request.match_info["name"], terminal_size(request)
    )
    return web.Response(status=200)


def terminal_size(request: web.Request) -> Size:
    """The query's `h` and `w`.

    Raises:
        InvalidArgument: one is missing or no size of a terminal (ioctl_tty(2): 16 bits).
    """
    height, width = queries.integer(request, "h"), queries.integer(request, "w")
    if height is None or width is None or not (0 <= height < 65536 and 0 <= width < 65536):
        raise InvalidArgument(f"h={height} and w={width} are no size: expected numbers from 0 to 65535")
    return Size(width=width, height=height)


async def top_container(request: web.Request) -> web.Response:
    """GET /containers/{name}/top."""
    columns = chosen_columns(request.query.get("ps_args", ""))
    found = await request.app[WORKERS].look(request.app[ENGINE].container_top, request.match_info["name"])
    return web.json_response(processes(found, columns))


async def wait_container(request: web.Request) -> web.StreamResponse:
    """POST /containers/{name}/wait: the head comes at once, and tells that nothing is missed; the body at the end."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    condition = request.query.get("condition", "")
    future = await workers.look(engine.container_wait, request.match_info["name"], condition)
    with request.app[ENDLESS].until_shutdown():
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            await response.prepare(request)
            exit_ = await received(future, lambda _: None)
        finally:
            future.cancel()
    await response.write(json.dumps(_exit_document(exit_)).encode() + b"\n")
    await response.write_eof()
    return response


def _exit_document(exit_: Exit) -> dict[str, object]:
    document: dict[str, object] = {"StatusCode": exit_.code}
    if exit_.error:
        document["Error"] = {"Message": exit_.error}
    return document


ROUTES = (
    ("GET", "/containers/json", list_containers),
    ("POST", "/containers/create", create_container),
    ("GET", "/containers/{name}/json", inspect_container),
    ("GET", "/containers/{name}/logs", container_logs),
    ("GET", "/containers/{name}/top", top_container),
    ("POST", "/containers/{name}/start", start_container),
    ("POST", "/containers/{name}/stop", stop_container),
    ("POST", "/containers/{name}/restart", restart_container),
    ("POST", "/containers/{name}/pause", pause_container),
    ("POST", "/containers/{name}/unpause", unpause_container),
    ("POST", "/containers/{name}/kill", kill_container),
    ("POST", "/containers/{name}/rename", rename_container),
    ("POST", "/containers/{name}/resize", resize_container),
    ("POST", "/containers/{name}/wait", wait_container),
    ("DELETE", "/containers/{name}", remove_container),
)
