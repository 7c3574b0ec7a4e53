"""The listening socket: a file that root and one group may use, in a directory where nobody else can replace it."""

from __future__ import annotations

import errno
import grp
import os
import socket
import stat
from pathlib import Path

from pouch_hookspecs.errors import Conflict, InvalidArgument, PermissionDenied

DIRECTORY_MODE = 0o711
SOCKET_MODE = 0o660
_BACKLOG = 1024


class Listener:
    """A listening unix socket of mode 0660 (unix(7)); a stale one of a daemon that died is replaced.

    Args:
        path: its directory is made with mode 0711 if it is missing.
        group: owns it besides root; empty: root's own.

    Raises:
        Conflict: somebody listens there, or something else than a socket is there.
        InvalidArgument: there is no such group, or the path is no place for a socket.
        PermissionDenied: its directory can be written by others.
    """

    def __init__(self, path: Path, group: str = "") -> None:
        group_id = _group_id(group)
        _prepare_directory(path.parent)
        _remove_stale(path)
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.bind(str(path))
            # Nobody can connect before listen(2): the modes are right before anybody is served, whatever the umask.
            path.chmod(SOCKET_MODE)
            os.chown(path, 0, group_id)
            self.socket.listen(_BACKLOG)
            self._inode = path.lstat().st_ino
        except OSError as error:
            self.socket.close()
            raise InvalidArgument(f"can not listen on {path}: {error.strerror or error}") from error
        self.socket.setblocking(False)

    def close(self) -> None:
        """Stop listening, and remove the file unless it is another's by now."""
        self.socket.close()
        try:
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        except FileNotFoundError:
            return


def _group_id(name: str) -> int:
    if not name:
        return 0
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise InvalidArgument(
            f"there is no group {name!r} for the socket", hint="create it with groupadd, or name another with --group"
        ) from error


def _prepare_directory(directory: Path) -> None:
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(DIRECTORY_MODE)
    found = directory.stat()
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise PermissionDenied(
            f"everybody can replace a socket in {directory} (mode {stat.S_IMODE(found.st_mode):o})",
            hint=f"chmod o-w {directory}, or choose another directory",
        )


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise Conflict(f"{path} is there and is no socket", hint="remove it, or choose another path with --socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        result = probe.connect_ex(str(path))
    if result != errno.ECONNREFUSED:
        raise Conflict(f"somebody listens on {path} already", hint="stop that daemon, or choose another --socket")
    path.unlink()
