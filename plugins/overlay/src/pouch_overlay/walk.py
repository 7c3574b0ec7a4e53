"""Walking a tree that a container has made: any depth, two descriptors, no link followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pouch_linux.xattrs import is_image_xattr


@dataclass(frozen=True, slots=True)
class Entry:
    """Something in the tree.

    Attributes:
        path: relative to the tree's root; may be longer than the kernel takes.
        status: lstat(2).
        at: a path for system calls that do not follow links; good until the next entry is asked for.
    """

    path: str
    status: os.stat_result
    at: str

    @property
    def is_dir(self) -> bool:
        """Whether it is a directory, not a link to one."""
        return stat.S_ISDIR(self.status.st_mode)

    def xattrs(self) -> dict[str, bytes]:
        """Read the extended attributes that an image can have. Raises OSError."""
        return image_xattrs(self.at)


@dataclass(slots=True)
class _Level:
    prefix: str
    identity: tuple[int, int]
    directories: list[str] = field(default_factory=list)


def walk(root: Path) -> Iterator[Entry]:
    """Yield all entries below `root`, a directory's own before what is in it, names in order.

    Raises OSError; ESTALE if a directory that it is in was moved meanwhile: `..` is trusted only where it
    leads back to the directory that it came from.
    """
    here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    levels = [_Level("", _identity(here))]
    try:
        yield from _entries(here, levels[-1])
        while levels:
            if levels[-1].directories:
                name = levels[-1].directories.pop()
                try:
                    here = _step(here, name)
                except (FileNotFoundError, NotADirectoryError):
                    continue  # removed or replaced by a container that runs
                levels.append(_Level(f"{levels[-1].prefix}{name}/", _identity(here)))
                yield from _entries(here, levels[-1])
                continue
            levels.pop()
            if levels:
                here = _step(here, "..")
                if _identity(here) != levels[-1].identity:
                    raise OSError(errno.ESTALE, "moved while it was read", str(root / levels[-1].prefix))
    finally:
        os.close(here)


def _entries(here: int, level: _Level) -> Iterator[Entry]:
    for name in sorted(os.listdir(here)):
        try:
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed by a container that runs
        if stat.S_ISDIR(status.st_mode):
            level.directories.append(name)
        yield Entry(level.prefix + name, status, f"/proc/self/fd/{here}/{name}")
    level.directories.reverse()


def _step(here: int, name: str) -> int:
    there = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    os.close(here)
    return there


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def image_xattrs(path: str | Path) -> dict[str, bytes]:
    """Read the extended attributes of `path` itself that an image can have, see pouch_linux.xattrs.

    Empty where the file system has none. Raises OSError.
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in names if is_image_xattr(name)}


def disk_usage(root: Path) -> tuple[int, int]:
    """Tell bytes on disk (blocks × 512) and inodes of a tree, its root included; a hard link counts once."""
    status = os.lstat(root)
    size, inodes = status.st_blocks * 512, 1
    linked: set[int] = set()
    for entry in walk(root):
        if entry.status.st_nlink > 1 and not entry.is_dir:
            if entry.status.st_ino in linked:
                continue
            linked.add(entry.status.st_ino)
        size += entry.status.st_blocks * 512
        inodes += 1
    return size, inodes
