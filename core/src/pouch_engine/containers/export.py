"""export: the root file system as a tar archive, without what is mounted in it."""

from __future__ import annotations

from pouch_linux.view import export_root

from .archive import told, view_of
from .context import Context


def export(context: Context, container_id: str, archive_fd: int) -> None:
    """See `Engine.container_export`."""
    with view_of(context, container_id, bare=True) as view, told(context, container_id, "/"):
        export_root(view, archive_fd)
    context.tell("export", context.table.get(container_id))
