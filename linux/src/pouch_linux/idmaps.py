"""User namespaces and mounts whose owners are mapped: user_namespaces(7), mount_setattr(2) MOUNT_ATTR_IDMAP.

On the disk an id-mapped tree stays as it is, owned by 0, 1, 2 …; through the mount its owners are those ids of the
host to which the mapping leads, which a process in a user namespace of the same mapping sees as 0, 1, 2 … again.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pouch_linux import _libc
from pouch_linux._libc import PathLike

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Extent:
    """One line of uid_map or gid_map: `size` ids from `inside` on are those from `outside` on."""

    inside: int
    outside: int
    size: int


def host_id(extents: Sequence[Extent], inside: int) -> int | None:
    """What an id of the user namespace is outside of it; None: it is not mapped."""
    for extent in extents:
        if extent.inside <= inside < extent.inside + extent.size:
            return extent.outside + inside - extent.inside
    return None


@contextmanager
def user_namespace(uids: Sequence[Extent], gids: Sequence[Extent]) -> Iterator[Path]:
    """Makes a user namespace and gives its path in /proc, which is good until the end of the block.

    What has joined it by then, or was mapped by it, keeps it. A process has to live in it meanwhile, since unshare(2)
    of a user namespace is not for threads: unshare(1) of util-linux. Raises OSError, as for a mapping that the
    kernel refuses, or where user namespaces are switched off (ENOSPC, EPERM).
    """
    # cat answers as soon as it runs: after unshare.
    holder = subprocess.Popen(
        ("unshare", "--user", "cat"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        os.write(holder.stdin.fileno(), b"\n")
        if not os.read(holder.stdout.fileno(), 1):
            raise OSError(holder.stderr.read().decode(errors="replace").strip() or "unshare(1) ended")
        for name, extents in (("uid_map", uids), ("gid_map", gids)):
            lines = "".join(f"{each.inside} {each.outside} {each.size}\n" for each in extents)
            with open(f"/proc/{holder.pid}/{name}", "wb", buffering=0) as file:
                file.write(lines.encode())  # the kernel takes one write(2)
        yield Path(f"/proc/{holder.pid}/ns/user")
    finally:
        holder.kill()
        holder.communicate()


def bind_mapped(source: PathLike, target: PathLike, userns: PathLike) -> None:
    """Makes `source` visible at `target` with its owners mapped as in a user namespace; not what is mounted below it.

    Raises OSError: EINVAL where the file system can't (overlayfs, many network file systems), ENOSYS before Linux
    5.12.
    """
    namespace = os.open(userns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        tree = _libc.open_tree(os.fsencode(source), _libc.OPEN_TREE_CLONE)
        try:
            _libc.map_mount(tree, namespace, 0)
            _libc.move_mount(tree, os.fsencode(target))
        except OSError as error:
            raise OSError(error.errno, error.strerror, os.fsdecode(source)) from error
        finally:
            os.close(tree)
    finally:
        os.close(namespace)


def acting_as(uid: int, gid: int, function: Callable[[], T]) -> T:
    """Calls `function` in a short-lived thread whose files belong to `uid` and `gid`, with all its capabilities.

    Root of the host has no id in a mapped mount, and can't make anything there (EOVERFLOW); the mapped root can.
    Returns its result, or raises its exception. Raises OSError where the ids can't be taken.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def call() -> None:
        try:
            permitted = _permitted()
            _libc.setfsids(uid, gid)
            _libc.capset(permitted, permitted)  # another user than root lost those of file access, capabilities(7)
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=call, name="acting-as")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def _permitted() -> int:
    with open("/proc/thread-self/status", encoding="utf-8", errors="replace") as file:
        return next(int(line.split()[1], 16) for line in file if line.startswith("CapPrm:"))
