"""/pouch: what docker has no name for: plugins, runtimes, findings, options."""

from __future__ import annotations

from aiohttp import web

from .keys import ENGINE, WORKERS


async def list_plugins(request: web.Request) -> web.Response:
    """GET /pouch/plugins."""
    rows = await request.app[WORKERS].look(request.app[ENGINE].registry.describe_plugins)
    return web.json_response({"plugins": rows})


async def inspect_plugin(request: web.Request) -> web.Response:
    """GET /pouch/plugins/{name}."""
    registry = request.app[ENGINE].registry
    return web.json_response(await request.app[WORKERS].look(registry.inspect_plugin, request.match_info["name"]))


async def list_runtimes(request: web.Request) -> web.Response:
    """GET /pouch/runtimes."""
    rows = await request.app[WORKERS].look(request.app[ENGINE].registry.describe_runtimes)
    return web.json_response({"runtimes": rows})


async def inspect_runtime(request: web.Request) -> web.Response:
    """GET /pouch/runtimes/{name}."""
    registry = request.app[ENGINE].registry
    return web.json_response(await request.app[WORKERS].look(registry.inspect_runtime, request.match_info["name"]))


async def doctor(request: web.Request) -> web.Response:
    """GET /pouch/doctor: every check made anew, which may take a while."""
    findings = await request.app[WORKERS].change(request.app[ENGINE].registry.doctor)
    return web.json_response({"findings": findings})


async def options(request: web.Request) -> web.Response:
    """GET /pouch/options: what plugins add to `run`, `create` and `update`."""
    return web.json_response(await request.app[WORKERS].look(request.app[ENGINE].registry.options))


ROUTES = (
    ("GET", "/pouch/plugins", list_plugins),
    ("GET", "/pouch/plugins/{name}", inspect_plugin),
    ("GET", "/pouch/runtimes", list_runtimes),
    ("GET", "/pouch/runtimes/{name}", inspect_runtime),
    ("GET", "/pouch/doctor", doctor),
    ("GET", "/pouch/options", options),
)
