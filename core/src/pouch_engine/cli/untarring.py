"""From a tar archive of a container, which is hostile, to files of this host.

All is made by way of descriptors of directories below the one that the user named: no link that the archive brings, or
that lies there, is ever followed.
"""

from __future__ import annotations

import errno
import os
import tarfile
from contextlib import suppress

from pouch_engine.cli import tell
from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Names = tuple[str, ...]

_BUFFER = 1 << 20
_HOLE = 1 << 16
_ZEROS = bytes(_HOLE)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_XATTR = "SCHILY.xattr."


class Extraction:
    """Unpacks in `directory`, which exists; names that begin with `base` begin with `name` instead.

    Files get the archive's modes and times. With `keep_owners` also owners, setuid and setgid bits and capabilities:
    else they are the caller's own files.
    """

    def __init__(self, directory: str, base: str, name: str, *, keep_owners: bool) -> None:
        self._base = base
        self._name = name
        self._keep_owners = keep_owners
        self._size = 0
        self._directories: dict[Names, tarfile.TarInfo] = {}
        self._top = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def run(self, chunks: Iterator[bytes]) -> int:
        """Unpack all of it and return the archive's size in bytes. Raises CommandError."""
        try:
            stream = self._counted(chunks)
            with tarfile.open(fileobj=_Stream(stream), mode="r|", bufsize=_BUFFER) as archive:  # type: ignore[call-overload]
                while (entry := archive.next()) is not None:
                    self._unpack(archive, entry)
                    archive.members.clear()  # it keeps all that it has seen
            for _ in stream:
                pass  # an answer that is broken off says so at its end
            self._finish_directories()
        except tarfile.TarError as error:
            raise CommandError(f"the daemon sent a damaged archive: {error}", 1) from None
        finally:
            os.close(self._top)
        return self._size

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._size += len(chunk)
            yield chunk

    def _unpack(self, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> None:
        names = self._place(entry.name)
        if not names:
            return  # the directory itself, which is the user's own
        parent, name = self._open(names[:-1]), names[-1]
        try:
            if entry.isdir():
                _make_directory(parent, name)
                self._directories[names] = entry
                return
            _make_room(parent, name, entry.name)
            if entry.islnk():
                self._link(parent, name, entry)
            elif entry.issym():
                os.symlink(entry.linkname, name, dir_fd=parent)
                self._own(parent, name, entry)
            elif entry.isfile():
                self._write(archive, parent, name, entry)
            elif entry.isfifo():
                os.mkfifo(name, entry.mode & 0o777, dir_fd=parent)
                self._own(parent, name, entry)
            else:
                tell(f"{entry.name}: a device is not copied out of a container")
        finally:
            os.close(parent)

    def _place(self, path: str) -> Names:
        """Where an entry goes, by the names of directories below the top."""
        names = tuple(name for name in path.split("/") if name not in ("", "."))
        if ".." in names:
            raise CommandError(f"the daemon sent an archive with the path {path!r}, which is refused", 1)
        if self._base not in (".", "/"):
            if names[:1] != (self._base,):
                raise CommandError(f"the daemon sent {path!r}, which was not asked for", 1)
            names = names[1:]
        return names if self._name in (".", "/") else (self._name, *names)

    def _open(self, names: Names) -> int:
        """A directory below the top, made if it is missing."""
        here = os.dup(self._top)
        for depth, name in enumerate(names, 1):
            with suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=here)
            try:
                there = os.open(name, _DIRECTORY, dir_fd=here)
            except OSError as error:
                raise CommandError(f"{'/'.join(names[:depth])} is in the way: {error.strerror}", 1) from None
            finally:
                os.close(here)
            here = there
        return here

    def _link(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        names = self._place(entry.linkname)
        directory = self._open(names[:-1])
        try:
            os.link(names[-1], name, src_dir_fd=directory, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(directory)

    def _write(self, archive: tarfile.TarFile, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            content = archive.extractfile(entry)
            assert content is not None  # it is a file
            while piece := content.read(_HOLE):
                if piece == _ZEROS:
                    os.lseek(descriptor, _HOLE, os.SEEK_CUR)
                    continue
                while piece:
                    piece = piece[os.write(descriptor, piece) :]
            os.ftruncate(descriptor, entry.size)
            self._finish(descriptor, entry)
        finally:
            os.close(descriptor)

    def _own(self, parent: int, name: str, entry: tarfile.TarInfo) -> None:
        if self._keep_owners:
            os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        os.utime(name, (entry.mtime, entry.mtime), dir_fd=parent, follow_symlinks=False)

    def _finish(self, descriptor: int, entry: tarfile.TarInfo) -> None:
        if self._keep_owners:
            os.fchown(descriptor, entry.uid, entry.gid)
        os.fchmod(descriptor, entry.mode & (0o7777 if self._keep_owners else 0o1777))
        for key, value in entry.pax_headers.items():
            name = key.removeprefix(_XATTR)
            if key.startswith(_XATTR) and (name.startswith("user.") or self._keep_owners):
                with suppress(OSError):  # a file system without them, or a right that the caller has not
                    os.setxattr(descriptor, name, value.encode("utf-8", "surrogateescape"))
        os.utime(descriptor, (entry.mtime, entry.mtime))

    def _finish_directories(self) -> None:
        """Deepest first: one that can't be written any more, or whose time counts, is full by then."""
        for names, entry in sorted(self._directories.items(), reverse=True):
            descriptor = self._open(names)
            try:
                self._finish(descriptor, entry)
            finally:
                os.close(descriptor)


def _make_directory(parent: int, name: str) -> None:
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
    except FileExistsError:
        descriptor = None
        with suppress(NotADirectoryError, OSError):
            descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
        if descriptor is None:
            raise CommandError(f"cannot overwrite non-directory {name!r} with a directory", 1) from None
        os.close(descriptor)


def _make_room(parent: int, name: str, path: str) -> None:
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EPERM):
            raise CommandError(f"cannot overwrite a directory with {path!r}, which is none", 1) from None
        raise


class _Stream:
    """Chunks as a file that tarfile can read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, _size: int) -> bytes:
        """Some bytes; none at the end."""
        return next(self._chunks, b"")
