"""POST /containers/prune and /images/prune: what nobody uses goes, as far as the filters say."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_hookspecs.errors import Conflict, InvalidArgument, NotFound

from . import queries
from .images import removed_lines, users
from .keys import ENGINE, WORKERS
from .queries import Filters

if TYPE_CHECKING:
    from pouch_engine.containers.record import Container
    from pouch_engine.engine import Engine
    from pouch_engine.images.catalog import ImageRecord

_CONTAINER_FILTERS = ("label", "label!", "until")
_IMAGE_FILTERS = ("dangling", "label", "label!", "until")
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:h|m|s|ms|us|µs|ns))+", re.ASCII)
_PART = re.compile(r"([0-9.]+)(h|ms|m|us|ns|s|µs)")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]+)?", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


async def prune_containers(request: web.Request) -> web.Response:
    """All stopped containers; with `until` those made before, with `label` and `label!` those (not) labelled so."""
    fits = _test(queries.filters(request, _CONTAINER_FILTERS))

    def wanted(container: Container) -> bool:
        return fits(container.created_at, container.labels)

    await request.app[WORKERS].look(request.app[ENGINE].settle)
    pruned = await request.app[WORKERS].change(request.app[ENGINE].containers_prune, wanted)
    return web.json_response({"ContainersDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.bytes})


async def prune_images(request: web.Request) -> web.Response:
    """Images without a name that no container uses; with `dangling=false` also those with one."""
    engine = request.app[ENGINE]
    filters = queries.filters(request, _IMAGE_FILTERS)
    named = any(value.lower() in ("false", "0") for value in filters.get("dangling", ()))
    fits = _test(filters)
    removed, size = await request.app[WORKERS].change(_prune_images, engine, named, fits)
    return web.json_response({"ImagesDeleted": removed or None, "SpaceReclaimed": size})


def _prune_images(
    engine: Engine, named: bool, fits: Callable[[datetime, Mapping[str, str]], bool]
) -> tuple[list[dict[str, str]], int]:
    removed: list[dict[str, str]] = []
    engine.settle()
    before = engine.images.layers_bytes()
    for image in engine.images.images():
        if (image.names and not named) or users(engine, image.id) or not fits(_created(image), image.labels):
            continue
        for name in image.names or (image.id,):
            with suppress(Conflict, NotFound):  # a container took it meanwhile, or it is gone
                removed += removed_lines(engine.images.remove(name, in_use=lambda id_: users(engine, id_)))
    size = max(0, before - engine.images.layers_bytes())
    engine.events.emit("image", "prune", "", {"reclaimed": str(size)})
    return removed, size


def _created(image: ImageRecord) -> datetime:
    created = image.created or datetime.fromtimestamp(0, UTC)
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def _test(filters: Filters) -> Callable[[datetime, Mapping[str, str]], bool]:
    """Tell whether something that was made then and is labelled so fits; all filters must."""
    until = [_until(text) for text in filters.get("until", ())]
    having, lacking = filters.get("label", ()), filters.get("label!", ())

    def fits(created: datetime, labels: Mapping[str, str]) -> bool:
        return (
            all(created.timestamp() < moment for moment in until)
            and all(_has(labels, text) for text in having)
            and not any(_has(labels, text) for text in lacking)
        )

    return fits


def _has(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _until(text: str) -> float:
    """Seconds since 1970 of a time, or of a length of time (Go's form) before now, by the daemon's clock.

    Raises:
        InvalidArgument: it is neither.
    """
    if _DURATION.fullmatch(text):
        return time.time() - sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise InvalidArgument(
            f"invalid filter until={text[:80]!r}: expected a length of time such as 24h, seconds since 1970, or a time "
            "such as 2026-11-24T06:20:00Z"
        ) from None


ROUTES = (("POST", "/containers/prune", prune_containers), ("POST", "/images/prune", prune_images))
