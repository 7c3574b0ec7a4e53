"""Files inside a hostile root directory, such as a container's root file system: nothing here ever leads
outside of it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import TracebackType
from typing import Self

from pouch_linux import confined_open
from pouch_linux._libc import PathLike
from pouch_linux.confined_open import LINK_LIMIT, ConfinedOpen


@cache
def _supported() -> ConfinedOpen:
    return confined_open.supported()


class Root:
    """A directory that is ``/`` for every path given to the methods.

    Paths are absolute or relative, it makes no difference; symbolic links and ``..`` are resolved inside,
    see confined_open. Methods raise OSError as their namesakes in ``os`` do. A context manager; `close` it
    otherwise. Usable from several threads.
    """

    def __init__(self, path: PathLike, *, opener: ConfinedOpen | None = None) -> None:
        self._opener = opener or _supported()
        self._fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the descriptor of the root. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def open(self, path: str, flags: int, mode: int = 0o666) -> int:
        """open(2): a descriptor, closed on exec. A fifo or device opens as such: see `read` for what must
        be a file. Raises ValueError for a null character in the path.
        """
        if "\0" in path:
            raise ValueError(f"path {path!r} has a null character")  # the kernel would stop reading there
        return self._opener(self._fd, path, flags, mode)

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        descriptor = self.open(path, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def stat(self, path: str, *, follow: bool = True) -> os.stat_result:
        """stat(2), or lstat(2) without `follow`."""
        with self._opened(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW)) as descriptor:
            return os.fstat(descriptor)

    def exists(self, path: str) -> bool:
        """Whether there is something at `path`; False for a dangling or looping link."""
        try:
            self.stat(path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return False
            raise
        return True

    def is_dir(self, path: str) -> bool:
        """Whether `path` is a directory or a link to one inside."""
        return self.exists(path) and stat.S_ISDIR(self.stat(path).st_mode)

    def read(self, path: str, limit: int) -> bytes:
        """The content of a regular file of at most `limit` bytes.

        Anything else is refused without being opened (EINVAL): a fifo would block, a device may act. EFBIG
        beyond the limit.
        """
        with self._opened(path, os.O_PATH) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            with open(f"/proc/self/fd/{descriptor}", "rb") as file:
                data = file.read(limit + 1)
        if len(data) > limit:
            raise OSError(errno.EFBIG, f"more than {limit} bytes", path)
        return data

    def listdir(self, path: str) -> list[str]:
        """The names in a directory, without order."""
        with self._opened(path, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
            return os.listdir(descriptor)

    def resolve(self, path: str) -> str:
        """The real path inside of something that exists, without links, relative to the root ("." is the
        root itself).
        """
        with self._opened(path, os.O_PATH) as descriptor:
            real = os.readlink(f"/proc/self/fd/{descriptor}")
        base = os.readlink(f"/proc/self/fd/{self._fd}")
        if real != base and not real.startswith(base.rstrip("/") + "/"):
            raise OSError(errno.EXDEV, "moved out of its root meanwhile", path)
        return os.path.relpath(real, base)

    def mkdirs(self, path: str, mode: int = 0o755, uid: int = 0, gid: int = 0) -> None:
        """Makes a directory and its missing parents, each with `mode` (whatever the umask) and owner;
        leaves what exists.
        """
        if self._has_directory(path):
            return
        parts = [part for part in path.split("/") if part]
        for depth in range(1, len(parts) + 1):
            self._mkdir("/".join(parts[:depth]), mode, uid, gid)

    def _has_directory(self, path: str) -> bool:
        with suppress(FileNotFoundError), self._opened(path, os.O_PATH | os.O_DIRECTORY):
            return True
        return False

    def _mkdir(self, path: str, mode: int, uid: int, gid: int) -> None:
        if self._has_directory(path):
            return
        # The parents are there, unless `path` is a dangling link: then its target's are made.
        with self._place(path, (mode, uid, gid)) as (parent, name), suppress(FileExistsError):
            # Another thread may have been faster.
            os.mkdir(name, 0o700, dir_fd=parent)
            descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            _finish(descriptor, mode, uid, gid)

    def create_file(self, path: str, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Makes an empty file, say as a mount target, with its missing parents (0755, 0:0). Leaves what
        exists.

        A link as the last component is followed inside the root. IsADirectoryError if there is a directory.
        """
        with self._place(path, (0o755, 0, 0)) as (parent, name):
            try:
                descriptor = os.open(
                    name,
                    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                    0o600,
                    dir_fd=parent,
                )
            except FileExistsError:
                if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path) from None
                return
            _finish(descriptor, mode, uid, gid)

    def write(self, path: str, data: bytes, mode: int = 0o644, uid: int = 0, gid: int = 0) -> None:
        """Writes a file whose directory exists; what was there is replaced in one step, by rename(2).

        Where a file is mounted at `path`, which can't be replaced, its content is overwritten and mode and
        owner stay. A link as the last component is followed inside the root.
        """
        with self._place(path) as (parent, name):
            temporary = f".{secrets.token_hex(8)}.new"
            descriptor = os.open(
                temporary,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=parent,
            )
            try:
                _finish(descriptor, mode, uid, gid, data)
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException as error:
                os.unlink(temporary, dir_fd=parent)
                if not (isinstance(error, OSError) and error.errno == errno.EBUSY):
                    raise
                self._overwrite(path, data)

    def _overwrite(self, path: str, data: bytes) -> None:
        with self._opened(path, os.O_PATH) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", path)
            with open(f"/proc/self/fd/{descriptor}", "wb") as file:
                file.write(data)

    def unlink(self, path: str) -> None:
        """Removes a file or link, which is not followed. Idempotent. IsADirectoryError for a directory."""
        head, name = _split(path)
        with suppress(FileNotFoundError), self._opened(head, os.O_PATH | os.O_DIRECTORY) as parent:
            os.unlink(name, dir_fd=parent)

    @contextmanager
    def _place(self, path: str, make_parents: tuple[int, int, int] | None = None) -> Iterator[tuple[int, str]]:
        """The directory and name at which `path` ends once links in its last component are followed."""
        for _ in range(LINK_LIMIT):
            head, name = _split(path)
            if make_parents:
                self.mkdirs(head, *make_parents)
            with self._opened(head, os.O_PATH | os.O_DIRECTORY) as parent:
                try:
                    target = os.readlink(name, dir_fd=parent)
                except OSError as error:
                    if error.errno not in (errno.EINVAL, errno.ENOENT):
                        raise
                    yield parent, name
                    return
            path = os.path.join(head, target)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)


def _split(path: str) -> tuple[str, str]:
    head, _, name = path.rstrip("/").rpartition("/")
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "the path must end in a name", path)
    return head or "/", name


def _finish(descriptor: int, mode: int, uid: int, gid: int, data: bytes = b"") -> None:
    """Gives a new file its content, owner and mode, and closes it."""
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)  # after the owner, whose change takes setuid away
    finally:
        os.close(descriptor)
