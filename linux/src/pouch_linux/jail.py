"""Where a child process works on a tree that a container may be changing: a private mount namespace in which nothing of
the host is left, pivot_root(2), setns(2), mount_setattr(2).

For a process with one thread that is about to do nothing else: there is no way back. What runs code or reads files of
the host must have happened before; afterwards no module is imported, because it would come from the container
(CVE-2019-14271).
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from pouch_linux import _libc, mounts
from pouch_linux.mounts import MountAttribute, MountFlag
from pouch_linux.paths import Root

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
    """

    source: str
    target: str
    read_only: bool = False


def enter_root(root: str, inside: Sequence[JailMount] = (), *, read_only: bool = False) -> None:
    """Makes the directory `root` the process's root, with these mounts in it, in their order. Raises OSError."""
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
    _give_up_rights()


def _mount_inside(tree: Root, wanted: JailMount) -> None:
    # Both ends are descriptors: no link that is put into the way later changes what they are.
    source = os.open(wanted.source, os.O_PATH | os.O_CLOEXEC) if wanted.source else -1
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


def enter_namespace(namespace: int) -> None:
    """Makes a private copy of another process's mount namespace this process's own, without what is the kernel's in it.

    `namespace` is a descriptor of /proc/PID/ns/mnt; it is closed. The copy keeps the file systems alive when the
    process has ended. Raises OSError.
    """
    own_proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    _libc.setns(namespace, _libc.CLONE_NEWNS)
    os.close(namespace)
    _libc.unshare(_libc.CLONE_NEWNS)
    mounts.mount(None, "/", flags=MountFlag.REC | MountFlag.PRIVATE)
    try:
        _hide_kernel_filesystems(own_proc)
    finally:
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
    try:
        mounts.unmount(target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
    # Mounts that came from another user namespace are locked together, and unmount says EINVAL: cover them.
    with suppress(FileNotFoundError):
        if mounts.filesystem_type(target) in _KERNEL_FILESYSTEMS and os.path.isdir(target):
            mounts.mount("tmpfs", target, "tmpfs", MountFlag.RDONLY)


def _give_up_rights() -> None:
    sys.meta_path.clear()
    with suppress(OSError):  # Linux before 5.12; it only adds to what the callers take care of
        inert = MountAttribute.NODEV | MountAttribute.NOEXEC | MountAttribute.NOSUID
        mounts.set_attributes("/", inert, recursive=True)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _libc.capset(_CAPABILITIES, _CAPABILITIES)
