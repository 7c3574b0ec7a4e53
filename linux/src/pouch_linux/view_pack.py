"""From a tree that may be changing to a tar archive; runs in view's child process."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from pouch_linux.pack import TYPES
from pouch_linux.paths import Root
from pouch_linux.xattrs import is_image_xattr

_BUFFER = 1 << 20
_RETRIES = 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


def pack(root: Root, path: str, out_fd: int, name: str, *, follow: bool = True) -> None:
    """Writes what is at `path` as a tar archive whose names begin with `name`; an empty `name` is left out itself.

    Raises OSError.
    """
    with (
        os.fdopen(os.dup(out_fd), "wb", _BUFFER) as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8", bufsize=_BUFFER) as archive,
    ):
        archive.copybufsize = _BUFFER  # type: ignore[attr-defined]  # it is an argument of tarfile.TarFile alone
        packing = _Packing(archive, name)
        if stat.S_ISDIR(root.stat(path, follow=follow).st_mode):
            top = root.open(path, os.O_RDONLY | os.O_DIRECTORY | (0 if follow else os.O_NOFOLLOW))
            for found in _walk(top):
                packing.add(found)
        else:
            parent = root.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
            packing.add(_Found("", parent, os.path.basename(path)))


@dataclass(frozen=True, slots=True)
class _Found:
    """A directory (`name` is ".") or what is in one; `directory` is good until the next step of the walk."""

    path: str  # relative to the top of the walk; empty for the top itself
    directory: int
    name: str


@dataclass(slots=True)
class _Level:
    path: str
    identity: tuple[int, int]
    directories: list[str] = field(default_factory=list)


def _walk(here: int) -> Iterator[_Found]:
    """Yields each directory before what is in it, names in order, however deep. No link is followed, and ".." is
    trusted only where it leads back to the directory that it came from.

    Takes the descriptor of the top. Raises OSError (ESTALE if a directory that it is in was moved meanwhile).
    """
    levels = [_Level("", _identity(here))]
    try:
        yield from _content(here, levels[-1])
        while levels:
            level = levels[-1]
            if level.directories:
                name = level.directories.pop()
                there = _open_if_there(name, here)
                if there is not None:
                    os.close(here)
                    here = there
                    levels.append(_Level(os.path.join(level.path, name), _identity(here)))
                    yield from _content(here, levels[-1])
                continue
            levels.pop()
            if levels:
                there = os.open("..", _DIRECTORY, dir_fd=here)
                os.close(here)
                here = there
                if _identity(here) != levels[-1].identity:
                    raise OSError(errno.ESTALE, "was moved while it was read", level.path)
    finally:
        os.close(here)


def _content(here: int, level: _Level) -> Iterator[_Found]:
    yield _Found(level.path, here, ".")
    for name in sorted(os.listdir(here)):
        try:
            is_directory = stat.S_ISDIR(os.stat(name, dir_fd=here, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            continue
        if is_directory:
            level.directories.append(name)
        else:
            yield _Found(os.path.join(level.path, name), here, name)
    level.directories.reverse()


def _open_if_there(name: str, directory: int) -> int | None:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory)
    except OSError as error:
        if error.errno in _GONE:
            return None  # removed or replaced since it was listed
        raise


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class _Packing:
    """One archive being written."""

    def __init__(self, archive: tarfile.TarFile, name: str) -> None:
        self._archive = archive
        self._name = name
        self._links: dict[tuple[int, int], str] = {}

    def add(self, found: _Found) -> None:
        """Writes one entry; leaves out what has vanished."""
        if found.name == ".":
            self._add_directory(found)
            return
        for _ in range(_RETRIES):
            with suppress(_Replaced):
                self._add_other(found)
                return
        raise OSError(errno.ESTALE, "keeps being replaced while it is read", found.path)

    def _add_directory(self, found: _Found) -> None:
        if not (self._name or found.path):
            return
        entry = self._entry(found, os.fstat(found.directory))
        entry.pax_headers = _xattrs(found.directory)
        self._archive.addfile(entry)

    def _add_other(self, found: _Found) -> None:
        try:
            status = os.stat(found.name, dir_fd=found.directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            self._add_file(found)
        elif kind == stat.S_IFDIR:
            return  # it was something else when it was listed: what is in it came later
        elif kind in TYPES:
            entry = self._entry(found, status)
            if entry.type == tarfile.SYMTYPE:
                entry.linkname = _link_target(found)
            self._archive.addfile(entry)

    def _add_file(self, found: _Found) -> None:
        # Whatever it has become meanwhile: it does not wait for a fifo, and devices do not open here.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            descriptor = os.open(found.name, flags, dir_fd=found.directory)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise _Replaced from None
            raise
        with open(descriptor, "rb", buffering=0) as content:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _Replaced
            entry = self._entry(found, status)
            entry.pax_headers = _xattrs(descriptor)
            if entry.type == tarfile.REGTYPE:
                entry.size = status.st_size
                self._archive.addfile(entry, _Filled(content))
            else:
                self._archive.addfile(entry)

    def _entry(self, found: _Found, status: os.stat_result) -> tarfile.TarInfo:
        name = self._name if not found.path else f"{self._name.rstrip('/')}/{found.path}" if self._name else found.path
        entry = tarfile.TarInfo(name)
        entry.mode = stat.S_IMODE(status.st_mode)
        entry.uid, entry.gid = status.st_uid, status.st_gid
        entry.mtime = int(status.st_mtime)
        entry.type = TYPES[stat.S_IFMT(status.st_mode)]
        if entry.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if status.st_nlink > 1 and entry.type != tarfile.DIRTYPE:
            first = self._links.setdefault((status.st_dev, status.st_ino), name)
            if first != name:
                entry.type, entry.linkname = tarfile.LNKTYPE, first
        return entry


class _Replaced(Exception):
    """It is another thing than a moment ago."""


class _Filled(io.RawIOBase):
    """A file that may become shorter: goes on with zeros, as GNU tar does."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file

    def read(self, size: int = -1, /) -> bytes:
        """As many bytes as are asked for."""
        data = self._file.read(size) or b""
        return data if len(data) == size else self._rest(data, size)

    def _rest(self, data: bytes, size: int) -> bytes:
        while len(data) < size and (more := self._file.read(size - len(data))):
            data += more
        return data.ljust(size, b"\0")


def _link_target(found: _Found) -> str:
    try:
        return os.readlink(found.name, dir_fd=found.directory)
    except FileNotFoundError:
        raise _Replaced from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise _Replaced from None
        raise


def _xattrs(descriptor: int) -> dict[str, str]:
    """As records of a pax header."""
    try:
        names = sorted(filter(is_image_xattr, os.listxattr(descriptor)))
        values = {name: os.getxattr(descriptor, name) for name in names}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENODATA):  # none here, or one was just taken away
            return {}
        raise
    return {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in values.items()}
