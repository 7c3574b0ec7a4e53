"""The child process of unpack: jails itself in the target directory, then unpacks one layer from its stdin.

Everything that runs code or reads files of the host happens before the jail is closed; after that no module
is imported, no library loaded and no name looked up, because all of them would come from the image
(CVE-2019-14271).
"""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import sys
from typing import Any, NoReturn

from pouch_linux import _archive, _libc
from pouch_linux.xattrs import is_image_xattr

_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 1 << 18
_PR_SET_NO_NEW_PRIVS = 38
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD and SETFCAP; overlayfs acts with the rights of who mounted it.
_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31
_ADDRESS_SPACE = 4 << 30
_PATH_MAX = 4096
_BLOCK = 1 << 20
_HIGHEST_ID = (1 << 32) - 2  # 2^32 - 1 means "leave as it is" to chown(2)
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
_BEAT_EVERY = 256  # entries or removals

_WHITEOUT = b".wh."
_OPAQUE = b".wh..wh..opq"
_AUFS = b".wh..wh."


class Refused(Exception):
    """The archive is damaged, escapes or exceeds a limit."""


def main() -> NoReturn:
    """Takes its order as JSON in argv[2]; ends the process with one line of JSON on stdout."""
    unpacking = None
    try:
        order = json.loads(sys.argv[2])
        limits = order["limits"]
        _limit_resources()
        _archive.warm_up()
        _enter_jail(order["target"], order["lower"], order["work"])
        unpacking = _Unpacking(limits["entries"], limits["bytes"])
        unpacking.run()
        result: dict[str, Any] = {"entries": unpacking.entries, "bytes": unpacking.bytes}
    except BaseException as error:
        # Also what nobody expects: printing a traceback would read source files, which are now the image's.
        result = {"error": str(error) or repr(error), "entry": unpacking and unpacking.entry}
    os.write(1, json.dumps(result).encode())
    os._exit("error" in result)


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _ADDRESS_SPACE:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    # Deep trees are walked by recursion, and a path has at most 2047 components.
    sys.setrecursionlimit(10_000)
    # For directories that the archive does not list; what it does list gets its mode whatever the mask.
    os.umask(0o022)


def _enter_jail(target: str, lower: list[str], work: str | None) -> None:
    """Makes the target, or the overlay of it, the root of a mount namespace in which nothing else is left."""
    _libc.unshare(_libc.CLONE_NEWNS)
    _libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    path = os.fsencode(target)
    if lower and work:
        # As descriptors: short enough for any number of layers, and no character needs an escape.
        opened = [os.open(each, os.O_PATH | os.O_DIRECTORY) for each in (target, work, *lower)]
        upperdir, workdir, *lowerdirs = (f"/proc/self/fd/{each}" for each in opened)
        data = f"lowerdir={':'.join(lowerdirs)},upperdir={upperdir},workdir={workdir},redirect_dir=nofollow"
        _libc.mount(b"overlay", path, b"overlay", 0, f"{data},metacopy=off,index=off".encode())
        for each in opened:
            os.close(each)
    else:
        _libc.mount(path, path, None, _MS_BIND, None)
    os.chdir(target)
    _libc.pivot_root(b".", b".")
    _libc.umount2(b".", _libc.MNT_DETACH)
    os.chdir("/")
    sys.meta_path.clear()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _libc.capset(_CAPABILITIES, _CAPABILITIES)


class _Unpacking:
    """One layer on its way from stdin into the root directory. Paths are bytes, real and absolute, the root
    is empty.
    """

    def __init__(self, entry_limit: int, byte_limit: int) -> None:
        self.entry: str | None = None
        self.entries = 0
        self.bytes = 0
        self._entry_limit = entry_limit
        self._byte_limit = byte_limit
        self._removals = 0
        self._kept = {b""}  # what this layer has made, and the directories above that
        self._listed: set[bytes] = set()  # directories that this layer describes
        self._parents: dict[bytes, bytes] = {}  # directory as the archive names it → real path
        self._times: dict[bytes, tuple[int, int]] = {}  # of directories from below, to stay
        self._reader = _archive.read_new()
        self._disk = _archive.write_disk_new()

    def run(self) -> None:
        """Unpacks everything. Raises Refused, OSError."""
        reader, entry = self._reader, _archive.entry_new()
        _archive.read_support_format_tar(reader)
        # write_disk without lookup functions takes owners by number, so no user database is read.
        _archive.write_disk_set_options(
            self._disk,
            _archive.EXTRACT_OWNER
            | _archive.EXTRACT_PERM
            | _archive.EXTRACT_TIME
            | _archive.EXTRACT_XATTR
            | _archive.EXTRACT_SECURE_NODOTDOT,
        )
        self._check(_archive.read_open_fd(reader, 0, _BLOCK), reader)
        while (status := _archive.read_next_header2(reader, entry)) != _archive.EOF:
            name = _archive.entry_pathname(entry)
            self.entry = None if name is None else os.fsdecode(name)
            self._check(status, reader)
            self._count(_archive.entry_size(entry))
            self._unpack(entry, name)
        self.entry = None
        # Modes and times of directories are set now, after their content.
        self._check(_archive.write_close(self._disk), self._disk)
        self._restore_times()
        self._drain()

    def _check(self, status: int, archive: int) -> None:
        # Also a warning: libarchive warns where it skips an entry that it could not make.
        if status != _archive.OK:
            source = archive if _archive.error_string(archive) else self._reader
            text = (_archive.error_string(source) or b"libarchive failed").decode(errors="replace")
            # "Write failed" alone does not say that the disk is full.
            number = _archive.errno(source)
            raise Refused(f"{text}: {os.strerror(number)}" if number in _DISK_ERRORS else text)

    def _count(self, size: int) -> None:
        self.entries += 1
        self.bytes += size
        if self.entries > self._entry_limit:
            raise Refused(f"more than {self._entry_limit} entries")
        if size < 0 or self.bytes > self._byte_limit:
            raise Refused(f"more than {self._byte_limit} bytes of files")
        if self.entries % _BEAT_EVERY == 0:
            _beat()

    def _unpack(self, entry: int, path: bytes | None) -> None:
        names = _names(path)
        if names and names[-1].startswith(_WHITEOUT):
            self._white_out(names)
            return
        is_directory = stat.S_ISDIR(_archive.entry_filetype(entry)) and _archive.entry_hardlink(entry) is None
        if not names and not is_directory:
            raise Refused("the root must be a directory")
        real = self._parent(names[:-1]) + b"/" + names[-1] if names else b""
        if (link := _archive.entry_hardlink(entry)) is not None and not self._prepare_link(entry, link, real):
            return
        self._check_owner(entry)
        self._filter_xattrs(entry, is_directory)
        self._make_room(real, is_directory)
        _archive.entry_copy_pathname(entry, real or b".")
        self._check(_archive.read_extract2(self._reader, entry, self._disk), self._disk)
        self._keep(real)
        if not names:
            # libarchive does not put off the time of its working directory until all is in it.
            time = _archive.entry_mtime(entry) * 10**9 + _archive.entry_mtime_nsec(entry)
            self._times[b""] = time, time
        elif is_directory:
            self._listed.add(real)

    def _parent(self, names: list[bytes]) -> bytes:
        """The real path of the directory, which is made with its parents (0755, 0:0) where it is missing."""
        path = b"/".join(names)
        real = self._parents.get(path) if names else b""
        if real is None:
            real = self._parents[path] = _enter(self._parent(names[:-1]) + b"/" + names[-1])
        self._remember_times(real)
        return real

    def _remember_times(self, real: bytes) -> None:
        if real not in self._times:
            status = os.stat(real or b"/")
            self._times[real] = status.st_atime_ns, status.st_mtime_ns

    def _restore_times(self) -> None:
        for real, times in self._times.items():
            if real not in self._listed and os.path.isdir(real or b"/") and not os.path.islink(real):
                os.utime(real or b"/", ns=times)

    def _prepare_link(self, entry: int, link: bytes, real: bytes) -> bool:
        """Finds what a hard link leads to. False if that is the link itself, which changes nothing."""
        names = _names(link)
        if not names:
            raise Refused("a hard link to the root")
        directory = b"".join(b"/" + name for name in names[:-1])
        target = os.path.realpath(directory or b"/").rstrip(b"/") + b"/" + names[-1]
        if target == real:
            return False
        if not os.path.lexists(target):
            raise Refused(f"a hard link to {os.fsdecode(link)!r}, which does not exist")
        _archive.entry_copy_hardlink(entry, target)
        # It is another name of a file and says nothing about its content.
        _archive.entry_set_size(entry, 0)
        return True

    def _check_owner(self, entry: int) -> None:
        for owner in (_archive.entry_uid(entry), _archive.entry_gid(entry)):
            if not 0 <= owner <= _HIGHEST_ID:
                raise Refused(f"owner {owner} is not between 0 and {_HIGHEST_ID}")

    def _filter_xattrs(self, entry: int, is_directory: bool) -> None:
        if not _archive.entry_xattr_reset(entry):
            return
        xattrs = _archive.entry_xattrs(entry)
        _archive.entry_xattr_clear(entry)
        # Only files and directories can have them, xattr(7).
        if is_directory or stat.S_ISREG(_archive.entry_filetype(entry)):
            for name, value in xattrs.items():
                if is_image_xattr(os.fsdecode(name)):
                    _archive.entry_xattr_add_entry(entry, name, value, len(value))

    def _make_room(self, real: bytes, is_directory: bool) -> None:
        """Removes what the entry replaces. A directory takes another's place but keeps its content."""
        try:
            mode = os.lstat(real or b"/").st_mode
        except FileNotFoundError:
            return
        if not (is_directory and stat.S_ISDIR(mode)):
            self._remove(real)
            return
        for name in os.listxattr(real or b"/", follow_symlinks=False):
            if is_image_xattr(name):
                os.removexattr(real or b"/", name, follow_symlinks=False)

    def _white_out(self, names: list[bytes]) -> None:
        base = names[-1]
        directory = os.path.realpath(b"/" + b"/".join(names[:-1])).rstrip(b"/")
        if base.startswith(_AUFS) and base != _OPAQUE:
            return
        name = base.removeprefix(_WHITEOUT)
        if name in (b"", b".", b".."):
            raise Refused("a whiteout must name an entry of its directory")
        if not os.path.isdir(directory or b"/"):
            return
        self._remember_times(directory)
        if base == _OPAQUE:
            for each in os.listdir(directory or b"/"):
                self._hide(directory + b"/" + each)
        elif os.path.lexists(directory + b"/" + name):
            self._hide(directory + b"/" + name)

    def _hide(self, path: bytes) -> None:
        """Removes what comes from below, at `path` and below it; what this layer has made stays."""
        if path not in self._kept:
            self._remove(path)
        elif stat.S_ISDIR(os.lstat(path).st_mode):
            for name in os.listdir(path):
                self._hide(path + b"/" + name)

    def _remove(self, path: bytes) -> None:
        self._parents.clear()
        self._removals += 1
        if self._removals % _BEAT_EVERY == 0:
            _beat()
        if stat.S_ISDIR(os.lstat(path).st_mode):
            for name in os.listdir(path):
                self._remove(path + b"/" + name)
            os.rmdir(path)
        else:
            os.unlink(path)

    def _keep(self, path: bytes) -> None:
        while path not in self._kept:
            self._kept.add(path)
            path = path.rpartition(b"/")[0]

    def _drain(self) -> None:
        """Reads on after the archive's end, so that who computes a digest of the stream sees all of it."""
        left = self._byte_limit
        while chunk := os.read(0, _BLOCK):
            left -= len(chunk)
            if left < 0:
                raise Refused("the stream goes on without end after the archive's end")


def _enter(path: bytes) -> bytes:
    """The real path of a directory whose parent's path is real; makes it if there is nothing."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        os.mkdir(path)
        return path
    if stat.S_ISDIR(mode):
        return path
    real = os.path.realpath(path)
    if not os.path.isdir(real):
        raise Refused(f"{os.fsdecode(path)!r} is no directory, or a link that leads nowhere")
    return real.rstrip(b"/")


def _names(path: bytes | None) -> list[bytes]:
    """The components of an archive's path, which is relative to the root even if it begins with a slash."""
    if not path:
        raise Refused("an entry without a valid name")
    if len(path) >= _PATH_MAX:
        raise Refused(f"the path has {len(path)} bytes, at most {_PATH_MAX - 1} are allowed")
    names = [name for name in path.split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise Refused('a path with ".." is refused')
    return names


def _beat() -> None:
    os.write(1, b"\n")
