"""prune: all stopped containers are removed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pouch_hookspecs.errors import Conflict, PouchError

from . import remove
from .context import Context
from .record import Container, Status

log = logging.getLogger(__name__)

STOPPED = (Status.CREATED, Status.EXITED, Status.DEAD)


@dataclass(frozen=True)
class Pruned:
    """What was removed.

    Attributes:
        ids: of containers.
        bytes: that their writable layers took.
    """

    ids: tuple[str, ...]
    bytes: int


def prune(context: Context, wanted: Callable[[Container], bool]) -> Pruned:
    """See `Engine.containers_prune`."""
    ids, total = [], 0
    for container in context.table.all():
        if container.state.status in STOPPED and not container.intent and wanted(container):
            size = _size(context, container)
            try:
                remove.remove(context, container.id, force=False, volumes=False)
            except Conflict:
                continue  # started meanwhile
            except Exception:
                log.exception("container %s could not be removed", container.id[:12])
                continue
            ids.append(container.id)
            total += size
    context.events.emit("container", "prune", "", {"reclaimed": str(total)})
    return Pruned(tuple(ids), total)


def _size(context: Context, container: Container) -> int:
    try:
        return context.storage(container).storage_usage(key=container.id).size_bytes
    except PouchError:
        return 0  # removing it is what counts
