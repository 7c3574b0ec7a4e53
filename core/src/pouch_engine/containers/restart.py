"""restart: stop, and start again. With `--rm` this end does not count."""

from __future__ import annotations

from contextlib import suppress

from pouch_hookspecs.errors import Conflict, NotFound

from . import start, stop
from .context import Context
from .record import Status


def restart(context: Context, container_id: str, timeout_seconds: int | None, signal_name: str) -> None:
    """See `Engine.container_restart`."""
    container = context.table.get(container_id)
    if container.state.status is Status.REMOVING:
        raise Conflict(f"container {container.name} is being removed")
    context.table.update_state(container_id, kept_at_end=True)
    try:
        stop.stop(context, container_id, timeout_seconds, signal_name)
        start.start(context, container_id)
    except BaseException:
        with suppress(NotFound):
            context.table.update_state(container_id, kept_at_end=False)
        raise
    context.tell("restart", container)
