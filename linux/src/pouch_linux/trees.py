"""Walking, copying and removing a tree that is hostile or changes meanwhile: nothing is followed out of its
root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pouch_linux._libc import PathLike
from pouch_linux.mounts import mounts_below
from pouch_linux.paths import Root
from pouch_linux.xattrs import is_image_xattr

_CHUNK = 1 << 24
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """One thing in a tree. `directory` is a descriptor of where it is, valid until the next step of the
    walk.
    """

    path: str  # relative to the top of the walk; "." is the top itself
    directory: int
    name: str  # in `directory`; "." for the directory itself
    status: os.stat_result

    def is_dir(self) -> bool:
        """Whether it is a directory, no link."""
        return stat.S_ISDIR(self.status.st_mode)

    def open(self) -> int:
        """A descriptor to read a directory or regular file. OSError (ESTALE) if it has become another
        thing.
        """
        descriptor = os.open(
            self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.directory
        )
        status = os.fstat(descriptor)
        if (status.st_dev, status.st_ino) != (self.status.st_dev, self.status.st_ino):
            os.close(descriptor)
            raise OSError(errno.ESTALE, "changed while it was read", self.path)
        return descriptor


def walk(root: Root, top: str = "/") -> Iterator[Found]:
    """Yields each directory before its content, in an order that depends on names only. Raises OSError."""
    ahead = ["."]
    while ahead:
        path = ahead.pop()
        directory = root.open(os.path.join(top, path), os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK)
        try:
            yield Found(path, directory, ".", os.fstat(directory))
            below = []
            for name in sorted(os.listdir(directory)):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                here = name if path == "." else f"{path}/{name}"
                if stat.S_ISDIR(status.st_mode):
                    below.append(here)
                else:
                    yield Found(here, directory, name, status)
            ahead += reversed(below)
        finally:
            os.close(directory)


def copy_tree(source_root: PathLike, source_path: str, target: PathLike) -> None:
    """Copies the directory `source_path` inside `source_root` into the empty directory `target`.

    Owner, mode, times, extended attributes, links, hard links and devices are kept, also those of the
    directory itself; sockets are left out. Links in `source_path` are resolved inside the root. Raises
    OSError; what was copied then stays.
    """
    with Root(source_root) as source, Root(target) as copy:
        links: dict[tuple[int, int], str] = {}
        directories: list[tuple[str, os.stat_result]] = []
        for found in walk(source, source_path):
            if found.is_dir():
                copy.mkdirs(found.path, 0o700)
                directories.append((found.path, found.status))
                _copy_directory(found, copy)
            elif not stat.S_ISSOCK(found.status.st_mode):
                _copy_other(found, copy, links)
        # Times last, deepest first: making an entry changes its directory's.
        for path, status in reversed(directories):
            descriptor = copy.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))
            finally:
                os.close(descriptor)


def _copy_directory(found: Found, copy: Root) -> None:
    descriptor = copy.open(found.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _copy_metadata(found.directory, descriptor, found.status)
    finally:
        os.close(descriptor)


def _copy_other(found: Found, copy: Root, links: dict[tuple[int, int], str]) -> None:
    parent = copy.open(os.path.dirname(found.path) or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        if found.status.st_nlink > 1:
            first = links.setdefault((found.status.st_dev, found.status.st_ino), found.path)
            if first != found.path:
                _link(copy, first, parent, found.name)
                return
        if stat.S_ISREG(found.status.st_mode):
            _copy_file(found, parent)
            return
        if stat.S_ISLNK(found.status.st_mode):
            os.symlink(os.readlink(found.name, dir_fd=found.directory), found.name, dir_fd=parent)
        else:
            os.mknod(found.name, stat.S_IFMT(found.status.st_mode) | 0o600, found.status.st_rdev, dir_fd=parent)
        os.chown(found.name, found.status.st_uid, found.status.st_gid, dir_fd=parent, follow_symlinks=False)
        if not stat.S_ISLNK(found.status.st_mode):
            # Made by us in a directory that nobody else has yet: no link can stand there.
            os.chmod(found.name, stat.S_IMODE(found.status.st_mode), dir_fd=parent)
        times = (found.status.st_atime_ns, found.status.st_mtime_ns)
        os.utime(found.name, ns=times, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


def _link(copy: Root, first: str, parent: int, name: str) -> None:
    directory = copy.open(os.path.dirname(first) or ".", os.O_PATH | os.O_DIRECTORY)
    try:
        os.link(os.path.basename(first), name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(directory)


def _copy_file(found: Found, parent: int) -> None:
    source = found.open()
    try:
        target = os.open(
            found.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent
        )
        try:
            _copy_content(source, target)
            _copy_metadata(source, target, found.status)
            os.utime(target, ns=(found.status.st_atime_ns, found.status.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_content(source: int, target: int) -> None:
    """By copy_file_range(2), which shares blocks where the file system can; else by sendfile(2)."""
    try:
        while os.copy_file_range(source, target, _CHUNK):
            pass
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        while os.sendfile(target, source, None, _CHUNK):
            pass


def _copy_metadata(source: int, target: int, status: os.stat_result) -> None:
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))  # after the owner, whose change takes setuid away
    for name in filter(is_image_xattr, os.listxattr(source)):
        os.setxattr(target, name, os.getxattr(source, name))


def remove_tree(path: PathLike) -> None:
    """Removes a directory and all below it, however deep, or a file or link. Idempotent; nothing is
    followed.

    Unlike shutil.rmtree it needs neither recursion nor long paths, which a container can make too deep for
    both. Refuses to begin where something is mounted at or below `path` (OSError, EBUSY): that is
    somebody's data. Raises OSError.
    """
    if mounted := mounts_below(path):
        raise OSError(errno.EBUSY, f"still mounted: {mounted[-1].target}", os.fsdecode(path))
    try:
        here = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(path)
        return
    _empty(here)
    os.rmdir(path)


def _empty(here: int) -> None:
    """Takes the descriptor of a directory, removes all that is in it, and closes the descriptor."""
    try:
        # The way down: for each directory on it its identity, its name above, and its directories that are still full.
        way = [(_identity(here), "", _remove_files(here))]
        while way[0][2] or len(way) > 1:
            full = way[-1][2]
            if full:
                here = _step(here, full[-1])
                way.append((_identity(here), full.pop(), _remove_files(here)))
                continue
            _, name, _ = way.pop()
            here = _step(here, "..")
            if _identity(here) != way[-1][0]:
                raise OSError(errno.ESTALE, "was moved while it was removed", name)
            os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)


def _step(here: int, name: str) -> int:
    """Opens the directory `name` of `here`, which is closed if that succeeds."""
    there = os.open(name, _DIRECTORY, dir_fd=here)
    os.close(here)
    return there


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _remove_files(directory: int) -> list[str]:
    """Removes all that is no directory; returns the names of the directories."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories
