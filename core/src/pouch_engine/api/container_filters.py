"""Docker's filters of container lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from pouch_engine.containers.record import Container, Status
from pouch_hookspecs.errors import InvalidArgument, NotFound

from .queries import Filters

if TYPE_CHECKING:
    from pouch_engine.engine import Engine

Test = Callable[[Container], bool]


def look_at_all(filters: Filters) -> bool:
    """A filter for ended containers asks for them, also without `all`."""
    return "status" in filters or "exited" in filters


def select(engine: Engine, filters: Filters) -> list[Container]:
    """The containers that pass every filter, newest first. Of one filter's values any fits, but of `label` all must.

    Raises:
        InvalidArgument: a value is wrong.
        NotFound: the container of `before` or `since`.
    """
    containers = engine.containers()
    for name, values in filters.items():
        if values:
            test = _TESTS[name](engine, values)
            containers = [container for container in containers if test(container)]
    return containers


def _id(_: Engine, values: tuple[str, ...]) -> Test:
    return lambda container: any(container.id.startswith(value) for value in values)


def _name(_: Engine, values: tuple[str, ...]) -> Test:
    """Regular expressions, with or without docker's leading slash; what is none is compared as it is."""

    def fits(value: str, name: str) -> bool:
        try:
            return bool(re.search(value, f"/{name}") or re.search(value, name))
        except re.error:
            return value == name

    return lambda container: any(fits(value, container.name) for value in values)


def _label(_: Engine, values: tuple[str, ...]) -> Test:
    def fits(wanted: str, container: Container) -> bool:
        key, equals, value = wanted.partition("=")
        return key in container.labels and (not equals or container.labels[key] == value)

    return lambda container: all(fits(value, container) for value in values)


def _status(_: Engine, values: tuple[str, ...]) -> Test:
    for value in values:
        if value not in tuple(Status):
            raise InvalidArgument(f"invalid filter status={value[:80]!r}: expected one of {', '.join(Status)}")
    return lambda container: container.state.status in values


def _exited(_: Engine, values: tuple[str, ...]) -> Test:
    for value in values:
        if not re.fullmatch(r"-?[0-9]{1,9}", value, re.ASCII):
            raise InvalidArgument(f"invalid filter exited={value[:80]!r}: expected an exit code")
    codes = {int(value) for value in values}
    return lambda container: container.state.status is Status.EXITED and container.state.exit_code in codes


def _ancestor(engine: Engine, values: tuple[str, ...]) -> Test:
    ids = set()
    for value in values:
        try:
            ids.add(engine.images.resolve(value).id)
        except (NotFound, InvalidArgument):
            continue  # docker: an image that is not there has no containers
    return lambda container: container.image_id in ids or container.image_name in values


def _before(engine: Engine, values: tuple[str, ...]) -> Test:
    limit = min(engine.container(value).created_at for value in values)
    return lambda container: container.created_at < limit


def _since(engine: Engine, values: tuple[str, ...]) -> Test:
    limit = max(engine.container(value).created_at for value in values)
    return lambda container: container.created_at > limit


def _volume(_: Engine, values: tuple[str, ...]) -> Test:
    return lambda container: any(mount.volume in values or mount.target in values for mount in container.mounts)


def _network(_: Engine, values: tuple[str, ...]) -> Test:
    return lambda container: (container.config.network_mode or "none") in values


_TESTS: dict[str, Callable[[Engine, tuple[str, ...]], Test]] = {
    "ancestor": _ancestor,
    "before": _before,
    "exited": _exited,
    "id": _id,
    "label": _label,
    "name": _name,
    "network": _network,
    "since": _since,
    "status": _status,
    "volume": _volume,
}
KNOWN = tuple(_TESTS)
