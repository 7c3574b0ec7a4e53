"""/volumes: Docker's routes for volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.volumes.store import Volume
from pouch_hookspecs.errors import Conflict, InvalidArgument

from . import queries
from .create_body import VolumeBody, read_body
from .keys import ENGINE, WORKERS
from .queries import Filters
from .views.volumes import volume_document

if TYPE_CHECKING:
    from pouch_engine.engine import Engine

_FILTERS = ("dangling", "driver", "label", "name")
_PRUNE_FILTERS = ("all", "label")


async def list_volumes(request: web.Request) -> web.Response:
    """GET /volumes."""
    engine = request.app[ENGINE]
    filters = queries.filters(request, _FILTERS)

    def find() -> list[dict[str, object]]:
        engine.settle()
        return [volume_document(engine.volumes, volume) for volume in select(engine, filters)]

    return web.json_response({"Volumes": await request.app[WORKERS].look(find), "Warnings": []})


def select(engine: Engine, filters: Filters) -> list[Volume]:
    """The volumes that pass every filter.

    Raises:
        InvalidArgument: `dangling` is neither true nor false.
    """
    return [volume for volume in engine.volumes.all() if _fits(engine, volume, filters)]


def _fits(engine: Engine, volume: Volume, filters: Filters) -> bool:
    for name, values in filters.items():
        if name == "name" and not any(value in volume.name for value in values):
            return False
        if name == "driver" and volume.driver not in values:
            return False
        if name == "label" and not _has_labels(volume, values):
            return False
        if name == "dangling" and (not engine.volume_users(volume.name)) not in _switches(name, values):
            return False
    return True


def _has_labels(volume: Volume, values: Sequence[str]) -> bool:
    pairs = (value.partition("=") for value in values)
    return all(key in volume.labels and (not equals or volume.labels[key] == value) for key, equals, value in pairs)


def _switches(name: str, values: Sequence[str]) -> set[bool]:
    known = {"true": True, "1": True, "false": False, "0": False}
    for value in values:
        if value.lower() not in known:
            raise InvalidArgument(f"invalid filter {name}={value[:80]!r}: expected true or false")
    return {known[value.lower()] for value in values}


async def create_volume(request: web.Request) -> web.Response:
    """POST /volumes/create."""
    volumes = request.app[ENGINE].volumes
    body = read_body(VolumeBody, await queries.json_object(request, optional=True))

    def create() -> dict[str, object]:
        return volume_document(volumes, volumes.create(body.name, body.driver, body.driver_opts, body.labels))

    return web.json_response(await request.app[WORKERS].change(create), status=201)


async def inspect_volume(request: web.Request) -> web.Response:
    """GET /volumes/{name}."""
    volumes = request.app[ENGINE].volumes

    def look() -> dict[str, object]:
        return volume_document(volumes, volumes.get(request.match_info["name"]))

    return web.json_response(await request.app[WORKERS].look(look))


async def remove_volume(request: web.Request) -> web.Response:
    """DELETE /volumes/{name}."""
    engine = request.app[ENGINE]
    await request.app[WORKERS].look(engine.settle)
    await request.app[WORKERS].change(
        engine.volumes.remove,
        request.match_info["name"],
        engine.volume_users,
        force=queries.boolean(request, "force"),
    )
    return web.Response(status=204)


async def prune_volumes(request: web.Request) -> web.Response:
    """POST /volumes/prune: those that no container uses; only anonymous ones without the filter `all`."""
    engine = request.app[ENGINE]
    filters = queries.filters(request, _PRUNE_FILTERS)
    everything = True in _switches("all", filters.get("all", ()))

    def prune() -> list[str]:
        engine.settle()
        removed = []
        for volume in select(engine, {"label": filters["label"]} if "label" in filters else {}):
            if (volume.anonymous or everything) and not engine.volume_users(volume.name):
                try:
                    engine.volumes.remove(volume.name, engine.volume_users, force=True)
                except Conflict:
                    continue  # a container took it meanwhile
                removed.append(volume.name)
        return removed

    removed = await request.app[WORKERS].change(prune)
    return web.json_response({"VolumesDeleted": removed, "SpaceReclaimed": 0})


ROUTES = (
    ("GET", "/volumes", list_volumes),
    ("POST", "/volumes/create", create_volume),
    ("POST", "/volumes/prune", prune_volumes),
    ("GET", "/volumes/{name}", inspect_volume),
    ("DELETE", "/volumes/{name}", remove_volume),
)
