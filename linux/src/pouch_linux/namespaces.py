"""Namespaces that outlive processes, and work inside of them: namespaces(7), unshare(2), setns(2).

unshare and setns change the calling thread; here they run in threads that end afterwards, so that no other
work ever runs in a foreign namespace.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import TypeVar

from pouch_linux import _libc, mounts
from pouch_linux._libc import PathLike

T = TypeVar("T")


class NamespaceKind(Enum):
    """The kinds of namespaces, by the names that the OCI runtime specification has for them."""

    MOUNT = "mount"
    UTS = "uts"
    IPC = "ipc"
    PID = "pid"
    NETWORK = "network"
    USER = "user"
    CGROUP = "cgroup"
    TIME = "time"

    @property
    def clone_flag(self) -> int:
        """The flag of clone(2), unshare(2) and setns(2)."""
        return _CLONE_FLAGS[self]

    @property
    def proc_name(self) -> str:
        """The name in /proc/PID/ns."""
        return {"mount": "mnt", "network": "net"}.get(self.value, self.value)


_CLONE_FLAGS = {
    NamespaceKind.MOUNT: _libc.CLONE_NEWNS,
    NamespaceKind.UTS: 0x04000000,
    NamespaceKind.IPC: 0x08000000,
    NamespaceKind.PID: 0x20000000,
    NamespaceKind.NETWORK: 0x40000000,
    NamespaceKind.USER: 0x10000000,
    NamespaceKind.CGROUP: 0x02000000,
    NamespaceKind.TIME: 0x00000080,
}
_PINNABLE = (NamespaceKind.NETWORK, NamespaceKind.UTS, NamespaceKind.IPC, NamespaceKind.CGROUP)


def create(kind: NamespaceKind, path: PathLike) -> None:
    """Makes a new namespace that lives as long as the bind mount of it at `path`, a file that is made for
    it.

    The kinds are network, uts, ipc and cgroup; ValueError for the others, which need a process (pid, user,
    time) or a place outside of themselves (mount). Raises FileExistsError if `path` is taken, OSError; then
    nothing is left.
    """
    if kind not in _PINNABLE:
        names = ", ".join(each.value for each in _PINNABLE)
        raise ValueError(f"a {kind.value} namespace can't be pinned without a process; these can: {names}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def unshare_and_pin() -> None:
        _libc.unshare(kind.clone_flag)
        mounts.bind(f"/proc/self/task/{threading.get_native_id()}/ns/{kind.proc_name}", path, recursive=False)

    try:
        _in_thread(unshare_and_pin)
    except BaseException:
        os.unlink(path)
        raise


def copy_mounts(change: Callable[[], object]) -> int:
    """Makes a mount namespace, a copy of this process's, and calls `change` in it, whose mounts and unmounts
    only it sees as long as they are below private mounts (mount_namespaces(7)).

    Returns a descriptor, the caller's to close; the namespace lives as long as it, or a process in it.
    Raises OSError and what `change` raises.
    """

    def unshare_and_change() -> int:
        _libc.unshare(_libc.CLONE_NEWNS)
        change()
        return os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)

    return _in_thread(unshare_and_change)


def release(path: PathLike) -> None:
    """Undoes `create`: the namespace ends when nobody uses it any more. Idempotent. Raises OSError."""
    while mounts.unmount(path):
        pass
    with suppress(FileNotFoundError):
        os.unlink(path)


def join(fd_or_path: int | PathLike, kind: NamespaceKind) -> None:
    """setns(2) for the calling thread, for good: let the thread end afterwards.

    A user namespace can't be joined by a process that has several threads (EINVAL). Raises OSError.
    """
    if kind is NamespaceKind.MOUNT:
        # A thread shares root and working directory with the others until it has its own.
        _libc.unshare(_libc.CLONE_FS)
    if isinstance(fd_or_path, int):
        _libc.setns(fd_or_path, kind.clone_flag)
        return
    descriptor = os.open(fd_or_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _libc.setns(descriptor, kind.clone_flag, fd_or_path)
    finally:
        os.close(descriptor)


def run_in(path: int | PathLike, kind: NamespaceKind, function: Callable[[], T]) -> T:
    """Calls `function` in a short-lived thread that has joined the namespace; returns its result or raises
    its exception.

    What it opens (sockets of a network namespace, files of a mount namespace) may be used anywhere
    afterwards.
    """

    def joined() -> T:
        join(path, kind)
        return function()

    return _in_thread(joined)


def _in_thread(function: Callable[[], T]) -> T:
    outcome: list[T] = []
    failure: list[BaseException] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=call, name=f"namespace-{function.__name__}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]
