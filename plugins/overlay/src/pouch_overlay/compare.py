"""What differs between two whole trees: the copy driver's `diff` and `commit`.

As with docker's plain-copy driver, a file counts as changed if its kind, mode, owner, size, time of
modification, link target, device number or extended attributes are: contents are not compared.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pouch_hookspecs import Change, ChangeKind

from .store import make_like
from .walk import Entry, walk


class _Print(NamedTuple):
    mode: int
    owner: tuple[int, int]
    size: int
    modified: int
    device: int
    link: str
    xattrs: tuple[tuple[str, bytes], ...]

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


def changes(tree: Path, parent: Path | None) -> dict[str, ChangeKind]:
    """Give the paths, relative to the root, that differ from `parent` (None: an empty one), and how.

    The directories above a change are modified. Of a removed directory, only itself is listed. Raises
    OSError.
    """
    before = _prints(parent) if parent else {}
    found: dict[str, ChangeKind] = {}
    now = _prints(tree)
    for path, mark in now.items():
        if path not in before:
            found[path] = ChangeKind.ADDED
        elif mark != before[path]:
            found[path] = ChangeKind.MODIFIED
    for path in before.keys() - now.keys():
        above = os.path.dirname(path)
        if not above or (above in now and now[above].is_dir):
            found[path] = ChangeKind.DELETED
    for path in list(found):
        while path := os.path.dirname(path):
            found.setdefault(path, ChangeKind.MODIFIED)
    return found


def as_changes(found: Mapping[str, ChangeKind]) -> tuple[Change, ...]:
    """Give the result of `changes` in the contract's form."""
    return tuple(Change(path=f"/{path}", kind=kind) for path, kind in sorted(found.items()))


def stage_layer(tree: Path, found: Mapping[str, ChangeKind], stage: Path) -> None:
    """Lay out what was added and modified in `stage`, an empty directory on the same file system.

    Files are linked into it, not copied. Raises OSError.
    """
    make_like(stage, tree)
    directories = [(stage, os.lstat(tree))]
    for entry in walk(tree):
        if entry.path not in found:
            continue
        if entry.is_dir:
            make_like(stage / entry.path, Path(entry.at))
            directories.append((stage / entry.path, entry.status))
        else:
            os.link(entry.at, stage / entry.path, follow_symlinks=False)
    for directory, status in directories:
        os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))


def whiteouts(found: Mapping[str, ChangeKind]) -> bytes:
    """Give the tar entries of what was deleted, to stand before an archive's others (OCI image spec, layer).

    They are written and not staged: a file `.wh.NAME` in a container is a file, not a whiteout.
    """
    removed = sorted(path for path, kind in found.items() if kind is ChangeKind.DELETED)
    return b"".join(_whiteout(path) for path in removed)


def _whiteout(path: str) -> bytes:
    above, name = os.path.split(path)
    entry = tarfile.TarInfo(os.path.join(above, f".wh.{name}"))
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _prints(tree: Path) -> dict[str, _Print]:
    prints = {}
    for entry in walk(tree):
        try:
            prints[entry.path] = _print(entry)
        except FileNotFoundError:
            continue  # removed by a container that runs
    return prints


def _print(entry: Entry) -> _Print:
    status = entry.status
    return _Print(
        mode=status.st_mode,
        owner=(status.st_uid, status.st_gid),
        size=0 if entry.is_dir else status.st_size,
        modified=status.st_mtime_ns,
        device=status.st_rdev,
        link=os.readlink(entry.at) if stat.S_ISLNK(status.st_mode) else "",
        xattrs=tuple(sorted(entry.xattrs().items())),
    )
