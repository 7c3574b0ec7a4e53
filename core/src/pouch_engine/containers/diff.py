"""diff: what a container has changed in its root file system."""

from __future__ import annotations

import posixpath

from pouch_hookspecs import Change, ChangeKind

from .context import Context
from .record import Container

# What a runtime makes in every root file system to have something to mount on (docker's "init layer").
_MOUNT_POINTS = (
    "/dev",
    "/dev/console",
    "/dev/mqueue",
    "/dev/pts",
    "/dev/shm",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/sys",
)


def diff(context: Context, container_id: str) -> tuple[Change, ...]:
    """See `Engine.container_diff`."""
    container = context.table.get(container_id)
    return changes(context, container)


def changes(context: Context, container: Container) -> tuple[Change, ...]:
    """What differs from the image, sorted by path, without the mount points that are the engine's own."""
    found = context.storage(container).storage_diff(key=container.id)
    own = {change.path for change in found if change.kind is ChangeKind.ADDED and change.path in _MOUNT_POINTS}
    if not own:
        return found
    others = {change.path for change in found if change.path not in own}
    above = {posixpath.dirname(path) for path in own}
    return tuple(
        change
        for change in found
        if change.path not in own and not (change.path in above and not _has_more_below(change.path, others))
    )


def _has_more_below(directory: str, paths: set[str]) -> bool:
    return any(path.startswith(f"{directory}/") for path in paths)
