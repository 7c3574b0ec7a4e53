"""From files of this host to a tar archive that is read while it is written."""

from __future__ import annotations

import os
import stat
import tarfile
import threading

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BUFFER = 1 << 20
_XATTRS = ("user.", "security.capability", "system.posix_acl_")


class Archive:
    """What is at `path`, with names that begin with `name`, written by a thread. A context manager.

    All belongs to root, or with `keep_owners` to whom it belongs here. `descriptor` is where it is read.
    """

    def __init__(self, path: str, name: str, *, keep_owners: bool) -> None:
        self._path = path
        self._name = name
        self._keep_owners = keep_owners
        self._links: dict[tuple[int, int], str] = {}
        self._failure: Exception | None = None
        self._size = 0
        self.descriptor, self._writer = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Archive:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)  # a writer that is stuck is told
        self._thread.join()

    def finish(self) -> int:
        """Return the size of the archive when all of it has been read. Raises CommandError if it is not whole."""
        self._thread.join()
        if self._failure is not None:
            error = self._failure
            what = (error.filename if isinstance(error, OSError) else None) or self._path
            raise CommandError(f"{what} could not be read: {getattr(error, 'strerror', None) or error}", 1)
        return self._size

    def _run(self) -> None:
        try:
            with (
                os.fdopen(self._writer, "wb", _BUFFER) as out,
                tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BUFFER) as archive,
            ):
                for path, name in self._walk():
                    self._add(archive, path, name)
                archive.close()
                self._size = archive.offset
        except Exception as error:
            self._failure = error

    def _walk(self) -> Iterator[tuple[str, str]]:
        yield self._path, self._name
        if not os.path.isdir(self._path) or os.path.islink(self._path):
            return
        base = "" if self._name == "/" else self._name
        for directory, directories, files in os.walk(self._path, onerror=_fail):
            directories.sort()
            below = os.path.relpath(directory, self._path)
            above = base if below == "." else f"{base}/{below}"
            for name in sorted((*directories, *files)):
                yield os.path.join(directory, name), f"{above}/{name}"

    def _add(self, archive: tarfile.TarFile, path: str, name: str) -> None:
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        entry = tarfile.TarInfo(name)
        entry.mode, entry.mtime = stat.S_IMODE(status.st_mode), int(status.st_mtime)
        if self._keep_owners:
            entry.uid, entry.gid = status.st_uid, status.st_gid
        first = self._links.setdefault((status.st_dev, status.st_ino), name) if status.st_nlink > 1 else name
        if kind != stat.S_IFDIR and first != name:
            entry.type, entry.linkname = tarfile.LNKTYPE, first
            archive.addfile(entry)
        elif kind == stat.S_IFREG:
            entry.size, entry.pax_headers = status.st_size, _xattrs(path)
            with open(path, "rb") as content:
                archive.addfile(entry, content)
        elif kind == stat.S_IFDIR:
            entry.type, entry.pax_headers = tarfile.DIRTYPE, _xattrs(path)
            archive.addfile(entry)
        elif kind == stat.S_IFLNK:
            entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(path)
            archive.addfile(entry)
        elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK):
            entry.type = {stat.S_IFIFO: tarfile.FIFOTYPE, stat.S_IFCHR: tarfile.CHRTYPE}.get(kind, tarfile.BLKTYPE)
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
            archive.addfile(entry)  # what is left out are sockets


def _fail(error: OSError) -> None:
    raise error


def _xattrs(path: str) -> dict[str, str]:
    """As records of a pax header."""
    try:
        names = sorted(name for name in os.listxattr(path) if name.startswith(_XATTRS))
        values = {name: os.getxattr(path, name) for name in names}
    except OSError:
        return {}  # the file system has none
    return {f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape") for name, value in values.items()}
