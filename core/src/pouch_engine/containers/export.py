"""export: the root file system as a tar archive, without what is mounted in it."""

from __future__ import annotations

from pouch_linux.view import View, export_root

from .archive import mounted_root, told
from .context import Context


def export(context: Context, container_id: str, archive_fd: int) -> None:
    """See `Engine.container_export`."""
    container = context.table.get(container_id)
    if container.state.running:
        with mounted_root(context, container) as root, told(context, container_id, "/"):
            export_root(View(root=root), archive_fd)
    else:
        with context.table.changing(container_id):
            container = context.table.get(container_id)
            with mounted_root(context, container) as root, told(context, container_id, "/"):
                export_root(View(root=root), archive_fd)
    context.tell("export", container)
