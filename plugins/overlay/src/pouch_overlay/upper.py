"""What an overlay's upper directory says of the tree below it.

Kernel documentation, Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories": a
character device 0:0 hides a name, `trusted.overlay.opaque` = "y" hides all that a directory has below.
Hard links and redirects do not occur: see `overlay.py`, mount options.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pouch_hookspecs import Change, ChangeKind

from .walk import walk


def changes(upper: Path, parent: Path) -> Iterator[Change]:
    """Yield what differs in `upper` from the merged tree `parent`, in no order.

    As with docker, whatever was copied up is modified, also where only its metadata was touched, and so
    are the directories above a change.
    """
    # Directories of `upper` that have a counterpart in `parent`, and whether they hide what is in it.
    # All others are new, and so is what is in them. The components of a path that is looked up in
    # `parent` are thus real directories there: no link of it is ever followed.
    hiding = {"": _is_opaque(str(upper))}
    yield from _hidden("", parent, upper) if hiding[""] else ()
    for entry in walk(upper):
        above = os.path.dirname(entry.path)
        below = _lstat(parent / entry.path) if above in hiding else None
        if is_whiteout(entry.status):
            if below is not None:
                yield Change(path="/" + entry.path, kind=ChangeKind.DELETED)
            continue
        kind = ChangeKind.ADDED if below is None else ChangeKind.MODIFIED
        yield Change(path="/" + entry.path, kind=kind)
        if entry.is_dir and below is not None and stat.S_ISDIR(below.st_mode):
            hiding[entry.path] = hiding[above] or _is_opaque(entry.at)
            if hiding[entry.path]:
                yield from _hidden(entry.path, parent, Path(entry.at))


def _hidden(path: str, parent: Path, above: Path) -> Iterator[Change]:
    for name in set(os.listdir(parent / path)) - set(os.listdir(above)):
        yield Change(path=os.path.join("/", path, name), kind=ChangeKind.DELETED)


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether it stands for a removed name."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(directory: str) -> bool:
    try:
        return os.getxattr(directory, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
