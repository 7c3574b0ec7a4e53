"""stats: the figures of a container, with those of the host that they are compared with."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime

from pouch_hookspecs import Stats
from pouch_hookspecs.errors import Conflict, NotFound
from pouch_linux.procfs import processor_time_ns

from .context import Context
from .record import Container


@dataclass(frozen=True)
class Sample:
    """Figures of one moment.

    Attributes:
        container: whose they are.
        taken_at: UTC.
        stats: None: it does not run.
        host_cpu_ns: processor time of the whole host since its start, idle time included, of all processors.
        host_processors: online.
        host_memory_bytes: all of the host's: the limit of a container that has none.
    """

    container: Container
    taken_at: datetime
    stats: Stats | None
    host_cpu_ns: int
    host_processors: int
    host_memory_bytes: int


def sample(context: Context, container_id: str) -> Sample:
    """See `Engine.container_stats`."""
    container = context.table.get(container_id)
    return Sample(
        container=container,
        taken_at=datetime.now(UTC),
        stats=_stats(context, container) if container.state.running else None,
        host_cpu_ns=processor_time_ns(),
        host_processors=os.cpu_count() or 1,
        host_memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def _stats(context: Context, container: Container) -> Stats | None:
    try:
        return context.runtime(container).runtime_stats(task=context.task(container))
    except (Conflict, NotFound):
        return None  # it has ended meanwhile
