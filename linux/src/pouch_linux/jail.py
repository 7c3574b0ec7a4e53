"""Where a child process works on a tree that a container may be changing: a private mount namespace in which nothing of
the host is left, pivot_root(2), setns(2), mount_setattr(2).

For a process with one thread that is about to do nothing else: there is no way back. What runs code or reads files of
the host must have happened before; afterwards no module is imported, because it would come from the container
(CVE-2019-14271).
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pouch_linux import _libc, mounts
from pouch_linux.mounts import MountAttribute, MountFlag
from pouch_linux.paths import Root

_CLONE_NEWUSER = 0x10000000
_PR_SET_NO_NEW_PRIVS = 38
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD and SETFCAP.
_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31
# Files of these are the kernel's, and their links lead to other processes' roots.
_KERNEL_FILESYSTEMS = frozenset(
    ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "securityfs", "bpf", "configfs")
)


@dataclass(frozen=True, slots=True)
class JailMount:
    """Something of the host that is seen inside.

    Attributes:
        source: path on the host; empty: an empty tmpfs that can't be written.
        target: path inside; made when it is missing, never outside.
        read_only: it and all that is mounted below.
        subpath: what of the source is meant; links are resolved inside the source.
    """

    source: str
    target: str
    read_only: bool = False
    subpath: str = ""


def enter_root(root: str, inside: Sequence[JailMount] = (), *, read_only: bool = False) -> None:
    """Makes the directory `root` the process's root, with these mounts in it, in their order. Raises OSError."""
    own_proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _libc.unshare(_libc.CLONE_NEWNS)
    mounts.mount(None, "/", flags=MountFlag.REC | MountFlag.PRIVATE)
    mounts.bind(root, root, recursive=False)
    with Root(root) as tree:
        for each in inside:
            _mount_inside(tree, each)
    if read_only:
        mounts.set_attributes(root, MountAttribute.RDONLY)
    os.chdir(root)
    _libc.pivot_root(b".", b".")
    _libc.umount2(b".", _libc.MNT_DETACH)
    os.chdir("/")
    _hide_kernel_filesystems(own_proc)
    os.close(own_proc)
    _give_up_rights()


def _mount_inside(tree: Root, wanted: JailMount) -> None:
    # Both ends are descriptors: no link that is put into the way later changes what they are.
    source = _open_source(wanted)
    try:
        if source < 0 or stat.S_ISDIR(os.fstat(source).st_mode):
            tree.mkdirs(wanted.target)
        else:
            tree.create_file(wanted.target)
        target = tree.open(wanted.target, os.O_PATH)
        try:
            if source < 0:
                mounts.mount("tmpfs", f"/proc/self/fd/{target}", "tmpfs", MountFlag.RDONLY)
            else:
                mounts.bind(f"/proc/self/fd/{source}", f"/proc/self/fd/{target}")
        finally:
            os.close(target)
    finally:
        if source >= 0:
            os.close(source)
    if wanted.read_only:
        mounted = tree.open(wanted.target, os.O_PATH)
        try:
            mounts.set_attributes(f"/proc/self/fd/{mounted}", MountAttribute.RDONLY, recursive=True)
        finally:
            os.close(mounted)


def _open_source(wanted: JailMount) -> int:
    if wanted.source and wanted.subpath:
        with Root(wanted.source) as source:
            return source.open(wanted.subpath, os.O_PATH)
    return os.open(wanted.source, os.O_PATH | os.O_CLOEXEC) if wanted.source else -1


def enter_namespace(namespace: int, user_namespace: int | None = None, *, bare: bool = False) -> None:
    """Makes a private copy of another process's mount namespace this process's own, without what is the kernel's in it.

    The copy keeps the file systems alive when the process has ended. Raises OSError.

    Args:
        namespace: a descriptor of /proc/PID/ns/mnt; it is closed.
        user_namespace: of the same process where it is not this one's, and is entered as its root: owners are then
            those that the process sees; it is closed.
        bare: only the root file system, without what is mounted in it. Needs Linux 5.2 (ENOSYS).
    """
    own_proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if user_namespace is not None:
        _libc.setns(user_namespace, _CLONE_NEWUSER)
        os.close(user_namespace)
        os.setgroups(())
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    _libc.setns(namespace, _libc.CLONE_NEWNS)
    os.close(namespace)
    _libc.unshare(_libc.CLONE_NEWNS)
    mounts.mount(None, "/", flags=MountFlag.REC | MountFlag.PRIVATE)
    if bare:
        alone = _libc.open_tree(b"/", _libc.OPEN_TREE_CLONE)
        os.fchdir(alone)
        os.close(alone)
        os.chroot(".")
    else:
        _hide_kernel_filesystems(own_proc)
    os.close(own_proc)
    _give_up_rights()


def _hide_kernel_filesystems(own_proc: int) -> None:
    # By the host's proc: the container's knows nothing of this process.
    descriptor = os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=own_proc)
    with open(descriptor, "rb") as file:
        found = mounts.parse_mountinfo(file.read())
    for each in reversed(found):
        if each.fstype in _KERNEL_FILESYSTEMS and each.target != "/":
            _hide(each.target)


def _hide(target: str) -> None:
    """Takes a mount away and puts an empty one in its place that can't be written: nothing shall seem to be written to
    what the container can't see.
    """
    mounts.unmount(target)
    # Somebody may move directories meanwhile: then something else is covered, in this copy alone.
    with suppress(FileNotFoundError, NotADirectoryError):
        mounts.mount("tmpfs", target, "tmpfs", MountFlag.RDONLY)


def _give_up_rights() -> None:
    sys.meta_path.clear()
    with suppress(OSError):  # Linux before 5.12; it only adds to what the callers take care of
        inert = MountAttribute.NODEV | MountAttribute.NOEXEC | MountAttribute.NOSUID
        mounts.set_attributes("/", inert, recursive=True)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _libc.capset(_CAPABILITIES, _CAPABILITIES)
