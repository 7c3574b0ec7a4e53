"""The file system of a container as the container sees it: looked at, read as a tar archive, written from one, by a
child process that can't reach anything else (jail; view_child does the work).

The container may run and change the tree meanwhile, and may mean harm: a link that it swaps in leads to another place
in the container at worst. Nothing of the container is ever executed or loaded.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from pouch_linux.jail import JailMount

__all__ = ["JailMount", "PathStatus", "View", "ViewError", "export_root", "read_path", "stat_path", "write_path"]

_BOOTSTRAP = "import sys; sys.path.append(sys.argv[1]); from pouch_linux import view_child; view_child.main()"
_PACKAGES = str(Path(__file__).resolve().parent.parent)
_COMPLAINT_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class View:
    """A container's file system: of a running one by its namespace, of any other by its parts.

    Attributes:
        namespace: a descriptor of /proc/PID/ns/mnt, which stays the caller's; None: see `root`.
        user_namespace: the same of /proc/PID/ns/user, where that is not the caller's own; owners are as seen there.
        root: the directory that is to be the root.
        mounts: what is mounted in it, in this order.
        read_only: the root itself can't be written.
    """

    namespace: int | None = None
    user_namespace: int | None = None
    root: str = ""
    mounts: tuple[JailMount, ...] = ()
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class PathStatus:
    """What is at a path: stat(2).

    Attributes:
        name: the last component that was asked for; "/" for the root.
        size: in bytes.
        mode: st_mode.
        modified_ns: nanoseconds since 1970.
        link_target: of a symbolic link: where it leads in the end, absolute inside; else empty.
    """

    name: str
    size: int
    mode: int
    modified_ns: int
    link_target: str


class ViewError(Exception):
    """It could not be done.

    Attributes:
        errno: of the system call that failed; 0: the archive is damaged or refused.
        message: what is wrong.
        path: inside the container, or in the archive; empty where none is at fault.
    """

    def __init__(self, errno: int, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.errno = errno
        self.message = message
        self.path = path


def stat_path(view: View, path: str) -> PathStatus:
    """Tells what is at a path; a link as its last component is not followed unless a slash comes after it.

    Raises ViewError.
    """
    with _child(view, subprocess.DEVNULL, operation="stat", path=path) as said:
        return PathStatus(**_next(said)["status"])


def read_path(view: View, path: str, archive_fd: int, on_status: Callable[[PathStatus], None]) -> None:
    """Writes what is at a path to a descriptor, as a tar archive (pax) whose names begin with its last component.

    A directory comes with all that is in it, a link as a link; for a path that ends in "/." the names begin with "./",
    for the root with "/". Owners are numbers; of extended attributes see xattrs; sockets are left out. What vanishes
    while it is read is left out, too, and a file that becomes shorter is filled with zeros. `on_status` hears of the
    path before anything is written. Raises ViewError (EPIPE: nobody reads any more).
    """
    with _child(view, archive_fd, operation="read", path=path) as said:
        on_status(PathStatus(**_next(said)["status"]))
        _next(said)


def export_root(view: View, archive_fd: int) -> None:
    """Writes the root file system to a descriptor as `read_path` does, without what is mounted in it; its names are
    relative to the root. Raises ViewError.
    """
    with _child(view, archive_fd, operation="export", path="/") as said:
        _next(said)


def write_path(
    view: View, path: str, archive_fd: int, *, owner: tuple[int, int] | None = None, keep_kinds: bool = False
) -> None:
    """Unpacks a plain tar archive from a descriptor into a directory that exists; links in `path` are followed inside.

    What is there is replaced, a directory together with its content if a file comes in its place; with `keep_kinds`
    that is refused (EEXIST), as is a directory in the place of a file. Directories of the archive are never entered by
    way of a link that has taken their place. Runs of zeros become holes. `owner` (uid, gid) is everything's owner,
    None: the archive's numbers are. Raises ViewError; then what was unpacked before stays.
    """
    with _child(view, archive_fd, operation="write", path=path, owner=owner, keep_kinds=keep_kinds) as said:
        _next(said)


@contextmanager
def _child(view: View, archive: int, **order: Any) -> Iterator[IO[bytes]]:
    """The child at work, and what it says. Its descriptors are the archive (0), its words (1) and complaints (2)."""
    order |= {"root": view.root, "mounts": [asdict(each) for each in view.mounts], "read_only": view.read_only}
    order |= {"namespace": view.namespace, "user_namespace": view.user_namespace}
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _PACKAGES, json.dumps(order)],
        stdin=archive,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[each for each in (view.namespace, view.user_namespace) if each is not None],
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
        start_new_session=True,
    )
    assert child.stdout is not None
    try:
        yield child.stdout
    finally:
        os.killpg(child.pid, signal.SIGKILL)  # not reaped yet: the number is still its own
        child.wait()
        child.stdout.close()


def _next(said: IO[bytes]) -> dict[str, Any]:
    line = said.readline(_COMPLAINT_LIMIT)
    try:
        message: dict[str, Any] = json.loads(line)
    except ValueError:
        last = (line + said.read(_COMPLAINT_LIMIT)).decode(errors="replace").strip().splitlines()[-1:]
        raise ViewError(0, f"the copying process failed: {''.join(last) or 'it said nothing'}") from None
    if "error" in message:
        raise ViewError(message["errno"], message["error"], message["path"])
    return message
