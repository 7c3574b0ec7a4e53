"""rename: another name, at any time; of several who want the same name one gets it."""

from __future__ import annotations

from pouch_hookspecs.errors import Conflict

from .context import Context
from .record import Status


def rename(context: Context, container_id: str, new_name: str) -> None:
    """See `Engine.container_rename`."""
    container = context.table.get(container_id)
    if container.state.status is Status.REMOVING:
        raise Conflict(f"container {container.name} is being removed")
    renamed = context.table.rename(container_id, new_name)
    context.tell("rename", renamed, oldName=container.name)
