"""open(2) inside a root directory whose content is hostile: openat2(2), and the same guarantee without it.

Both functions resolve a path as if `root` were ``/``: absolute symbolic links and ``..`` stay inside, the
magic links of proc(5) are refused with ELOOP, and a tree that others change meanwhile can change which file
inside is found, never lead outside. Mounts below the root are crossed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable

from pouch_linux import _libc
from pouch_linux.procfs import PROC_SUPER_MAGIC

ConfinedOpen = Callable[[int, str, int, int], int]

LINK_LIMIT = 40  # symbolic links in one path, path_resolution(7)
_PATH_MAX = 4096
_RACE_RETRIES = 128


def by_openat2(root: int, path: str, flags: int, mode: int) -> int:
    """openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS, Linux 5.6. Raises OSError."""
    # openat2 refuses a mode where nothing can be created.
    mode = mode if flags & os.O_CREAT or flags & os.O_TMPFILE == os.O_TMPFILE else 0
    for attempt in range(_RACE_RETRIES):
        try:
            return _libc.openat2(
                root,
                path,
                flags | os.O_CLOEXEC,
                mode,
                _libc.RESOLVE_IN_ROOT | _libc.RESOLVE_NO_MAGICLINKS,
            )
        except BlockingIOError:
            # EAGAIN: a rename or mount anywhere made the kernel unsure about a "..".
            if attempt == _RACE_RETRIES - 1:
                raise
    raise AssertionError("unreachable")


def by_walk(root: int, path: str, flags: int, mode: int) -> int:
    """The same for kernels before 5.6: component by component on descriptors, never following a link.
    Raises OSError.

    Differs in one thing: any symbolic link of a proc file system is refused, also the harmless /proc/self.
    """
    if len(os.fsencode(path)) >= _PATH_MAX:
        raise _error(errno.ENAMETOOLONG, path)
    if flags & os.O_CREAT and path.endswith("/") and path.strip("/"):
        raise _error(errno.EISDIR, path)
    for _ in range(_RACE_RETRIES):
        # A component that became another thing between two looks starts the walk again.
        with contextlib.suppress(_Swapped), contextlib.ExitStack() as held:
            return _Walk(root, path, held).open(flags | os.O_CLOEXEC, mode)
    raise OSError(errno.EAGAIN, "the path keeps changing", path)


class _Swapped(Exception):
    pass


class _Walk:
    """One resolution: the descriptors from the root to where we are, and the components still to go."""

    def __init__(self, root: int, path: str, held: contextlib.ExitStack) -> None:
        if not path:
            raise _error(errno.ENOENT, path)
        self._path = path
        self._held = held
        self._chain = [root]
        self._links = 0
        self._ahead = _components(path)

    def open(self, flags: int, mode: int) -> int:
        """Walks to the end and opens what is there. Raises OSError, _Swapped."""
        while self._ahead:
            name = self._ahead.pop()
            if name == "..":
                self._up()
            elif name != ".":
                opened = self._down(name, flags, mode)
                if opened is not None:
                    return opened
        return os.open(".", flags, mode, dir_fd=self._chain[-1])

    def _up(self) -> None:
        """To the directory by which we came, whatever has been moved since; the root is its own parent."""
        if not stat.S_ISDIR(os.fstat(self._chain[-1]).st_mode):
            raise _error(errno.ENOTDIR, self._path)
        if len(self._chain) > 1:
            self._chain.pop()

    def _down(self, name: str, flags: int, mode: int) -> int | None:
        """Enters `name`, or puts the target of a link ahead, or returns what was opened if it is the last
        component.
        """
        here, last = self._chain[-1], not self._ahead
        try:
            found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
        except FileNotFoundError:
            if not (last and flags & os.O_CREAT):
                raise
            return _create(here, name, flags, mode)
        self._held.callback(os.close, found)
        kind = stat.S_IFMT(os.fstat(found).st_mode)
        if last and flags & os.O_CREAT and flags & os.O_EXCL:
            raise _error(errno.EEXIST, self._path)
        if kind == stat.S_IFLNK and not (last and flags & os.O_NOFOLLOW):
            self._follow(found)
            return None
        if last:
            return _open_last(here, name, found, kind, flags)
        self._chain.append(found)
        return None

    def _follow(self, link: int) -> None:
        self._links += 1
        if self._links > LINK_LIMIT or _libc.filesystem_magic(link) == PROC_SUPER_MAGIC:
            raise _error(errno.ELOOP, self._path)
        target = os.readlink("", dir_fd=link)
        if target.startswith("/"):
            del self._chain[1:]
        self._ahead += _components(target)


def _components(path: str) -> list[str]:
    """Last first, to be popped. A slash at the end asks for a directory, as "/." does."""
    parts = [part for part in path.split("/") if part]
    return (parts + ["."] * path.endswith("/"))[::-1]


def _create(here: int, name: str, flags: int, mode: int) -> int:
    try:
        return os.open(name, flags | os.O_EXCL | os.O_NOFOLLOW, mode, dir_fd=here)
    except FileExistsError:
        raise _Swapped from None


def _open_last(here: int, name: str, found: int, kind: int, flags: int) -> int:
    if flags & os.O_DIRECTORY and kind != stat.S_IFDIR:
        raise _error(errno.ENOTDIR, name)
    if flags & os.O_PATH:
        return os.dup(found)
    if kind == stat.S_IFLNK:
        raise _error(errno.ELOOP, name)
    if kind == stat.S_IFDIR and flags & os.O_CREAT:
        raise _error(errno.EISDIR, name)
    try:
        return os.open(name, flags & ~os.O_CREAT | os.O_NOFOLLOW, dir_fd=here)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOENT):
            raise _Swapped from None
        raise


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


def supported() -> ConfinedOpen:
    """The best of the two on this kernel. A seccomp filter may also answer EPERM to openat2."""
    try:
        os.close(by_openat2(_libc.AT_FDCWD, ".", os.O_PATH, 0))
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
        return by_walk
    return by_openat2
