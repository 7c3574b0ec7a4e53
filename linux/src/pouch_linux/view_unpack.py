"""From a tar archive into a tree that may be changing; runs in view's child process.

Everything is made by way of descriptors of directories, never by a path that somebody could turn elsewhere in between.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
import sys
from contextlib import suppress
from ctypes import c_int64, c_size_t, c_void_p
from types import TracebackType
from typing import Protocol, Self

from pouch_linux import _archive
from pouch_linux.paths import Root
from pouch_linux.xattrs import is_image_xattr

_BLOCK = 1 << 20
_HOLE = 1 << 16  # so many zeros are not written
_ZEROS = bytes(_HOLE)
_PATH_MAX = 4096
_HIGHEST_ID = (1 << 32) - 2  # 2^32 - 1 means "leave as it is" to chown(2)
_RETRIES = 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

warm_up = _archive.warm_up


class Position(Protocol):
    """Hears where the work is."""

    path: str


class Refused(Exception):
    """The archive is damaged or hostile."""


class Unpacking:
    """One archive on its way into the directory `path`; see view.write_path. A context manager."""

    def __init__(self, root: Root, path: str, at: Position, *, owner: tuple[int, int] | None, keep_kinds: bool) -> None:
        self._root = root
        self._path = path
        self._at = at
        self._owner = owner
        self._keep_kinds = keep_kinds
        self._listed: dict[tuple[str, ...], int] = {}  # directories of the archive → their time
        self._held: tuple[tuple[str, ...], int] = ((), -1)  # the directory of the last entry
        sys.setrecursionlimit(10_000)  # shutil.rmtree goes down by recursion
        at.path = path
        self._top = root.open(f"{path}/.", os.O_RDONLY | os.O_DIRECTORY)
        at.path = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hold((), -1)
        os.close(self._top)

    def run(self, archive_fd: int) -> None:
        """Unpacks everything. Raises Refused, OSError."""
        reader, entry = _archive.read_new(), _archive.entry_new()
        _archive.read_support_format_tar(reader)
        _check(_archive.read_open_fd(reader, archive_fd, _BLOCK), reader)
        while (status := _archive.read_next_header2(reader, entry)) != _archive.EOF:
            path = _archive.entry_pathname(entry)
            self._at.path = "" if path is None else os.fsdecode(path)
            _check(status, reader)
            names = _names(path)
            if names:
                self._unpack(reader, Entry(entry, self._owner), names)
        self._at.path = ""
        self._hold((), -1)
        self._set_times()

    def _unpack(self, reader: int, entry: Entry, names: tuple[str, ...]) -> None:
        parent, name = self._parent(names[:-1]), names[-1]
        for _ in range(_RETRIES):
            # Somebody in the container may put something there again.
            with suppress(FileExistsError):
                if not self._make_room(parent, name, entry):
                    _overwrite(reader, parent, name)
                elif entry.hard_link is not None:
                    self._link(parent, name, entry.hard_link)
                elif entry.is_directory:
                    _make_directory(parent, name, entry)
                    self._listed[names] = entry.modified_ns
                else:
                    _make(reader, parent, name, entry)
                return
        raise OSError(errno.ESTALE, "keeps being replaced")

    # where an entry goes

    def _parent(self, names: tuple[str, ...]) -> int:
        if not names:
            return self._top
        if self._held[0] != names:
            self._hold(names, self._open(names, make=True))
        return self._held[1]

    def _hold(self, names: tuple[str, ...], descriptor: int) -> None:
        if self._held[1] >= 0:
            os.close(self._held[1])
        self._held = names, descriptor

    def _open(self, names: tuple[str, ...], *, make: bool) -> int:
        """Opens a directory below the top; with `make`, missing ones are made (0755, 0:0 or the owner). A link on the
        way is followed inside the root, unless it has taken the place of a directory of this archive.
        """
        here = os.dup(self._top)
        try:
            for depth, name in enumerate(names, 1):
                there = self._step(here, name, names[:depth], make)
                os.close(here)
                here = there
        except BaseException:
            os.close(here)
            raise
        return here

    def _step(self, here: int, name: str, way: tuple[str, ...], make: bool) -> int:
        for _ in range(_RETRIES):
            try:
                return os.open(name, _DIRECTORY, dir_fd=here)
            except FileNotFoundError:
                if not make:
                    raise
                with suppress(FileExistsError):
                    os.mkdir(name, 0o755, dir_fd=here)
                    if self._owner:
                        os.chown(name, *self._owner, dir_fd=here, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.ELOOP, errno.ENOTDIR) or way in self._listed:
                    raise
                return self._root.open("/".join((self._path, *way)), os.O_RDONLY | os.O_DIRECTORY)
        raise OSError(errno.ESTALE, "keeps being replaced")

    # what is there already

    def _make_room(self, parent: int, name: str, entry: Entry) -> bool:
        """Removes what the entry replaces. False: it can't be removed, because something is mounted on it, and is to be
        overwritten.
        """
        try:
            mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return True
        is_directory = stat.S_ISDIR(mode)
        if is_directory and entry.is_directory:
            return True
        if self._keep_kinds and is_directory != entry.is_directory:
            what = "directory with non-directory" if is_directory else "non-directory with directory"
            raise _OtherKind(errno.EEXIST, f"cannot overwrite {what}")
        try:
            if is_directory:
                shutil.rmtree(name, dir_fd=parent)
            else:
                os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno == errno.EBUSY and stat.S_ISREG(mode) and stat.S_ISREG(entry.kind):
                return False
            raise
        return True

    def _link(self, parent: int, name: str, target: bytes) -> None:
        names = _names(target)
        if not names:
            raise Refused("a hard link to the directory itself")
        directory = self._open(names[:-1], make=False)
        try:
            os.link(names[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(directory)

    def _set_times(self) -> None:
        """Those of directories, now that all is in them."""
        for names, modified_ns in self._listed.items():
            with suppress(FileNotFoundError, NotADirectoryError):  # it was replaced since
                descriptor = self._open(names, make=False)
                try:
                    os.utime(descriptor, ns=(modified_ns, modified_ns))
                finally:
                    os.close(descriptor)


class _OtherKind(OSError):
    """What is there is a directory and what comes is not, or the other way round."""


class Entry:
    """One entry of an archive, its numbers checked.

    Attributes:
        kind: the type bits of st_mode.
        hard_link: the name of the file that it is another name of; None: it is none.
        is_directory: it is one.
        mode: permission bits.
        owner: uid and gid that it gets.
        modified_ns: nanoseconds since 1970.
        target: of a symbolic link.
        device: number of a device.
    """

    def __init__(self, entry: int, owner: tuple[int, int] | None) -> None:
        self.hard_link = _archive.entry_hardlink(entry)
        self.kind = _archive.entry_filetype(entry)
        self.is_directory = self.hard_link is None and stat.S_ISDIR(self.kind)
        self.mode = stat.S_IMODE(_archive.entry_perm(entry))
        self.owner = owner or (_archive.entry_uid(entry), _archive.entry_gid(entry))
        self.size = _archive.entry_size(entry)
        self.modified_ns = _archive.entry_mtime(entry) * 10**9 + _archive.entry_mtime_nsec(entry)
        self.target = _archive.entry_symlink(entry) or b""
        self.device = os.makedev(_archive.entry_rdevmajor(entry), _archive.entry_rdevminor(entry))
        self.xattrs = {os.fsdecode(name): value for name, value in _archive.entry_xattrs(entry).items()}
        for number in self.owner:
            if not 0 <= number <= _HIGHEST_ID:
                raise Refused(f"owner {number} is not between 0 and {_HIGHEST_ID}")
        if self.size < 0:
            raise Refused(f"a size of {self.size} bytes")


def _make_directory(parent: int, name: str, entry: Entry) -> None:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise FileExistsError(errno.EEXIST, "was replaced") from None
        raise
    try:
        _set_metadata(descriptor, entry)
    finally:
        os.close(descriptor)


def _make(reader: int, parent: int, name: str, entry: Entry) -> None:
    """Makes anything but a directory or hard link."""
    times = (entry.modified_ns, entry.modified_ns)
    if stat.S_ISREG(entry.kind):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            _write_content(reader, descriptor, entry.size)
            _set_metadata(descriptor, entry)
            os.utime(descriptor, ns=times)
        finally:
            os.close(descriptor)
        return
    if stat.S_ISLNK(entry.kind):
        os.symlink(entry.target, name, dir_fd=parent)
    elif stat.S_ISFIFO(entry.kind) or stat.S_ISCHR(entry.kind) or stat.S_ISBLK(entry.kind):
        os.mknod(name, entry.kind | entry.mode, entry.device, dir_fd=parent)
    else:
        return  # a socket: it means nothing without its process
    os.chown(name, *entry.owner, dir_fd=parent, follow_symlinks=False)
    os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)


def _overwrite(reader: int, parent: int, name: str) -> None:
    """Gives new content to a file that can't be removed; owner and mode are its own."""
    descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        os.ftruncate(descriptor, 0)
        _write_content(reader, descriptor, 0)
    finally:
        os.close(descriptor)


def _set_metadata(descriptor: int, entry: Entry) -> None:
    os.fchown(descriptor, *entry.owner)
    os.fchmod(descriptor, entry.mode)  # after the owner, whose change takes setuid away
    for name, value in entry.xattrs.items():
        if is_image_xattr(name):
            os.setxattr(descriptor, name, value)


def _write_content(reader: int, descriptor: int, size: int) -> None:
    """Writes the data of the current entry; long runs of zeros, and what the archive says are holes, stay holes."""
    data, length, offset = c_void_p(), c_size_t(), c_int64()
    end = 0
    while (status := _archive.read_data_block(reader, data, length, offset)) != _archive.EOF:
        _check(status, reader)
        block = memoryview(ctypes.string_at(data.value or 0, length.value) if length.value else b"")
        for start in range(0, len(block), _HOLE):
            piece = block[start : start + _HOLE]
            if piece != _ZEROS[: len(piece)]:
                _write(descriptor, piece, offset.value + start)
        end = offset.value + len(block)
    os.ftruncate(descriptor, max(size, end))


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written


def _check(status: int, archive: int) -> None:
    # Also a warning: libarchive warns where it could not understand something.
    if status != _archive.OK:
        number = _archive.errno(archive)
        if number in (errno.ECONNRESET, errno.EPIPE):
            raise OSError(number, "the archive ends early: its sender went away")
        raise Refused((_archive.error_string(archive) or b"this is no tar archive").decode(errors="replace"))


def _names(path: bytes | None) -> tuple[str, ...]:
    """The components of a path, which is below the top even if it begins with a slash; none for the top itself."""
    if not path:
        raise Refused("an entry without a valid name")
    if len(path) >= _PATH_MAX:
        raise Refused(f"the path has {len(path)} bytes, at most {_PATH_MAX - 1} are allowed")
    names = tuple(name for name in os.fsdecode(path).split("/") if name not in ("", "."))
    if ".." in names:
        raise Refused('a path with ".." is refused')
    return names
