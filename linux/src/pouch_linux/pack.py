"""Packing a tree into a tar archive, also as a layer of the OCI image specification (layer.md) with its
whiteouts.

The same tree gives the same bytes: the order is by name, owners are numbers, times have whole seconds.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile

from pouch_linux._libc import PathLike
from pouch_linux.paths import Root
from pouch_linux.trees import Found, copy_tree, walk
from pouch_linux.xattrs import is_image_xattr

__all__ = ["copy_tree", "pack_tree"]

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
TYPES = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}


def pack_tree(root: PathLike, out_fd: int, *, overlay_upper: bool = False) -> None:
    """Writes the tree below the directory `root` as a tar archive (pax) to a descriptor.

    With `overlay_upper`, the directory is an upper one of overlayfs, and its whiteouts and opaque
    directories become those of a layer. Sockets are left out, and files named ".wh.…", which a layer cannot
    have. Extended attributes: see xattrs. Raises OSError: ESTALE if a file was changed meanwhile,
    EOPNOTSUPP for an upper directory with renamed directories or files without data (overlayfs's
    redirect_dir and metacopy).
    """
    with (
        Root(root) as source,
        os.fdopen(os.dup(out_fd), "wb") as out,
        tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8") as archive,
    ):
        packing = _Packing(archive, overlay_upper)
        for found in walk(source):
            packing.add(found)


class _Packing:
    """One archive being written."""

    def __init__(self, archive: tarfile.TarFile, overlay_upper: bool) -> None:
        self._archive = archive
        self._overlay_upper = overlay_upper
        self._links: dict[tuple[int, int], str] = {}

    def add(self, found: Found) -> None:
        """Writes one entry, or what stands for it."""
        kind = stat.S_IFMT(found.status.st_mode)
        base = os.path.basename(found.path)
        if kind not in TYPES or base.startswith(_WHITEOUT):
            return
        if kind in (stat.S_IFREG, stat.S_IFDIR):
            descriptor = found.open()
            try:
                self._add_with_content(found, descriptor)
            finally:
                os.close(descriptor)
        elif self._overlay_upper and kind == stat.S_IFCHR and found.status.st_rdev == 0:
            self._add_mark(os.path.join(os.path.dirname(found.path), _WHITEOUT + base))
        else:
            entry = self._entry(found)
            if kind == stat.S_IFLNK and entry.type == tarfile.SYMTYPE:
                entry.linkname = os.readlink(found.name, dir_fd=found.directory)
            self._archive.addfile(entry)

    def _add_with_content(self, found: Found, descriptor: int) -> None:
        xattrs = {name: os.getxattr(descriptor, name) for name in os.listxattr(descriptor)}
        if self._overlay_upper:
            if "trusted.overlay.redirect" in xattrs or "trusted.overlay.metacopy" in xattrs:
                raise OSError(errno.EOPNOTSUPP, "a layer can't tell of overlayfs's redirect or metacopy", found.path)
            if "trusted.overlay.whiteout" in xattrs:
                directory, base = os.path.split(found.path)
                self._add_mark(os.path.join(directory, _WHITEOUT + base))
                return
        entry = self._entry(found)
        entry.pax_headers = {
            f"SCHILY.xattr.{name}": value.decode("utf-8", "surrogateescape")
            for name, value in sorted(xattrs.items())
            if is_image_xattr(name)
        }
        if entry.type != tarfile.REGTYPE:
            self._archive.addfile(entry)
        else:
            entry.size = found.status.st_size
            with open(descriptor, "rb", closefd=False) as content:
                self._add_file(entry, content, found.path)
        if self._overlay_upper and xattrs.get("trusted.overlay.opaque") == b"y":
            self._add_mark(os.path.normpath(os.path.join(found.path, _OPAQUE)))

    def _add_file(self, entry: tarfile.TarInfo, content: io.BufferedReader, path: str) -> None:
        try:
            self._archive.addfile(entry, content)
        except OSError as error:
            # tarfile's way to say that the file has become shorter, which has no errno.
            if error.errno is not None:
                raise
            raise OSError(errno.ESTALE, "became shorter while it was read", path) from None

    def _entry(self, found: Found) -> tarfile.TarInfo:
        status = found.status
        entry = tarfile.TarInfo(found.path)
        entry.mode = stat.S_IMODE(status.st_mode)
        entry.uid, entry.gid = status.st_uid, status.st_gid
        entry.mtime = int(status.st_mtime)
        entry.type = TYPES[stat.S_IFMT(status.st_mode)]
        if entry.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            entry.devmajor, entry.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
        if status.st_nlink > 1 and not found.is_dir():
            first = self._links.setdefault((status.st_dev, status.st_ino), found.path)
            if first != found.path:
                entry.type, entry.linkname = tarfile.LNKTYPE, first
        return entry

    def _add_mark(self, path: str) -> None:
        self._archive.addfile(tarfile.TarInfo(path))
