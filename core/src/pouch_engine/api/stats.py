"""GET /containers/{id}/stats: the figures of a container, once or every second."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.spec.granted import this_host
from pouch_hookspecs.errors import Conflict, NotFound
from pouch_linux.cgroups import Mode

from . import queries
from .errors import broken_off_on_error
from .keys import ENDLESS, ENGINE, WORKERS
from .views.stats import stats_document

if TYPE_CHECKING:
    from pouch_engine.containers.stats import Sample

INTERVAL_SECONDS = 1.0


async def container_stats(request: web.Request) -> web.StreamResponse:
    """Answer with a document each second (`stream`, the default) until the container is removed, or with one.

    That one has figures of a second before to compare with, unless `one-shot` asks for the plain look.
    """
    stream, one_shot = queries.boolean(request, "stream", default=True), queries.boolean(request, "one-shot")
    if stream and one_shot:
        raise Conflict("cannot have stream=true and one-shot=true")
    first = await _sample(request)
    if stream:
        return await _stream(request, first)
    if one_shot or first.stats is None:
        return web.Response(body=_line(first, None), content_type="application/json")
    with request.app[ENDLESS].until_shutdown():
        await asyncio.sleep(INTERVAL_SECONDS)
    return web.Response(body=_line(await _sample(request), first), content_type="application/json")


async def _stream(request: web.Request, sample: Sample) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    before: Sample | None = None
    with request.app[ENDLESS].until_shutdown(), broken_off_on_error(request):
        await response.prepare(request)
        with suppress(NotFound):  # it was removed: the end
            while True:
                await response.write(_line(sample, before))
                await asyncio.sleep(INTERVAL_SECONDS)
                before, sample = sample, await _sample(request)
    await response.write_eof()
    return response


async def _sample(request: web.Request) -> Sample:
    return await request.app[WORKERS].look(request.app[ENGINE].container_stats, request.match_info["name"])


def _line(sample: Sample, before: Sample | None) -> bytes:
    old_cgroups = this_host().cgroups is not Mode.V2
    return json.dumps(stats_document(sample, before, old_cgroups=old_cgroups)).encode() + b"\n"


ROUTES = (("GET", "/containers/{name}/stats", container_stats),)
