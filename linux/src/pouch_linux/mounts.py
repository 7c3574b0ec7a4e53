"""Mounts: mount(2), umount(2), mount_setattr(2), statfs(2) and the mount table of proc(5)."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import Literal

from pouch_linux import _libc
from pouch_linux._libc import PathLike

_PAGE = os.sysconf("SC_PAGE_SIZE")
_UNMOUNT_ROUNDS = 16


class MountFlag(IntFlag):
    """Flags of mount(2)."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    SYNCHRONOUS = 16
    REMOUNT = 32
    DIRSYNC = 128
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    SILENT = 32768
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    STRICTATIME = 1 << 24
    LAZYTIME = 1 << 25


class MountAttribute(IntFlag):
    """Attributes of mount_setattr(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    NOATIME = 0x10
    STRICTATIME = 0x20
    NODIRATIME = 0x80
    NOSYMFOLLOW = 0x200000


_NO_FLAGS = MountFlag(0)
_NO_ATTRIBUTES = MountAttribute(0)


@dataclass(frozen=True, slots=True)
class MountPoint:
    """One line of /proc/PID/mountinfo, see proc(5); escapes are decoded."""

    mount_id: int
    parent_id: int
    device: str  # "major:minor"
    root: str  # the directory of the file system that is the root of this mount
    target: str
    options: tuple[str, ...]
    propagation: tuple[str, ...]  # "shared:N", "master:N", …; empty: private
    fstype: str
    source: str
    super_options: tuple[str, ...]


def mount(
    source: PathLike | None,
    target: PathLike,
    fstype: str = "",
    flags: MountFlag = _NO_FLAGS,
    data: str = "",
) -> None:
    """mount(2). `data` are the file system's own options, separated by commas, less than one page.

    Raises OSError with the target's path; ValueError where `data` is too long for the kernel, which would
    cut it.
    """
    encoded = os.fsencode(data)
    if len(encoded) >= _PAGE:
        raise ValueError(f"mount options of {os.fsdecode(target)} have {len(encoded)} bytes, at most {_PAGE - 1} fit")
    _libc.mount(
        None if source is None else os.fsencode(source),
        os.fsencode(target),
        fstype.encode() or None,
        flags,
        encoded or None,
    )


def bind(source: PathLike, target: PathLike, *, read_only: bool = False, recursive: bool = True) -> None:
    """Makes `source` visible at `target`, which exists and is of the same kind (directory or not).

    With `recursive`, the mounts below `source` come along; with `read_only`, each of them is read-only at
    `target`, while their other attributes stay. Leaves nothing mounted when it fails. Raises OSError.
    """
    mount(source, target, flags=MountFlag.BIND | (MountFlag.REC if recursive else _NO_FLAGS))
    if not read_only:
        return
    try:
        set_attributes(target, MountAttribute.RDONLY, recursive=recursive)
    except BaseException:
        unmount(target)
        raise


def mount_overlay(
    target: PathLike,
    *,
    lower: Sequence[PathLike],
    upper: PathLike | None = None,
    work: PathLike | None = None,
    options: Sequence[str] = (),
) -> None:
    """Mounts overlayfs; `lower` is ordered from the top down. Any character may stand in the paths.

    The kernel takes one page of options: where the paths do not fit, they are given as descriptors in
    /proc/self/fd, which is what mountinfo shows then. Raises OSError; ValueError where even that does not
    fit (about 200 layers).
    """
    plain = _overlay_options([os.fsdecode(path) for path in lower], upper, work, options)
    if len(os.fsencode(plain)) < _PAGE:
        mount("overlay", target, "overlay", data=plain)
        return
    descriptors: list[int] = []
    try:
        descriptors.extend(os.open(path, os.O_PATH | os.O_CLOEXEC) for path in lower)
        short = [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
        mount("overlay", target, "overlay", data=_overlay_options(short, upper, work, options))
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _overlay_options(
    lower: Sequence[str], upper: PathLike | None, work: PathLike | None, options: Sequence[str]
) -> str:
    def escaped(path: PathLike) -> str:
        return re.sub(r"([\\,:])", r"\\\1", os.fsdecode(path))

    parts = ["lowerdir=" + ":".join(escaped(path) for path in lower)]
    if upper is not None and work is not None:
        parts += [f"upperdir={escaped(upper)}", f"workdir={escaped(work)}"]
    return ",".join([*parts, *options])


def unmount(target: PathLike, *, detach: bool = True) -> bool:
    """umount2(2) of the topmost mount at `target`, whose last component is not followed if it is a symbolic
    link.

    With `detach` the mount goes at once from the tree, together with those below it, and is freed when
    nobody uses it. Returns False if nothing was mounted there. Raises OSError, without `detach` EBUSY for a
    mount in use.
    """
    try:
        _libc.umount2(os.fsencode(target), _libc.UMOUNT_NOFOLLOW | (_libc.MNT_DETACH if detach else 0))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise
    return True


def unmount_tree(path: PathLike) -> None:
    """Detaches every mount at or below `path`, also stacked and covered ones. Idempotent. Raises OSError."""
    # A mount can be covered by a later one, so the latest goes first; each round uncovers more.
    for _ in range(_UNMOUNT_ROUNDS):
        found = mounts_below(path)
        if not found:
            return
        for each in reversed(found):
            unmount(each.target)
    raise OSError(errno.EBUSY, f"{len(found)} mounts keep coming back", os.fsdecode(path))


def mountinfo(pid: int | Literal["self"] = "self") -> list[MountPoint]:
    """The mount table of a process, in the order of mounting, from /proc/PID/mountinfo. Raises OSError."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return parse_mountinfo(file.read())


def parse_mountinfo(data: bytes) -> list[MountPoint]:
    """The mount table in the content of a mountinfo file."""
    return [_mount_point(line) for line in data.splitlines()]


def _mount_point(line: bytes) -> MountPoint:
    fixed, _, variable = line.partition(b" - ")
    mount_id, parent_id, device, root, target, options, *propagation = map(_unescape, fixed.split(b" "))
    fstype, source, super_options = (*map(_unescape, variable.split(b" ")), "", "")[:3]
    return MountPoint(
        int(mount_id),
        int(parent_id),
        device,
        root,
        target,
        tuple(options.split(",")),
        tuple(propagation),
        fstype,
        source,
        tuple(super_options.split(",")),
    )


def _unescape(field: bytes) -> str:
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), field))


def mounts_below(path: PathLike) -> list[MountPoint]:
    """The mounts at `path` and below it, in the order of mounting."""
    # The mount table has real paths; the last component stays, a link there is no mount point of ours.
    parent, name = os.path.split(os.path.abspath(os.fsdecode(path)))
    real = os.path.join(os.path.realpath(parent), name)
    prefix = real.rstrip("/") + "/"
    return [each for each in mountinfo() if each.target == real or each.target.startswith(prefix)]


def is_mount_point(path: PathLike) -> bool:
    """Whether something is mounted at `path`, also a bind mount of the same file system. Raises OSError if
    absent.
    """
    absolute = os.path.abspath(os.fsdecode(path))
    return absolute == "/" or _mount_id(absolute) != _mount_id(os.path.dirname(absolute))


def _mount_id(path: str) -> int:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(descriptor)


def make_private(path: PathLike) -> None:
    """Makes `path` a mount point (bound on itself) whose mounts never propagate to or from other
    namespaces.
    """
    if not is_mount_point(path):
        bind(path, path, recursive=False)
    mount(None, path, flags=MountFlag.PRIVATE)


def set_attributes(
    target: PathLike,
    attributes: MountAttribute,
    *,
    clear: MountAttribute = _NO_ATTRIBUTES,
    recursive: bool = False,
    propagation: MountFlag = _NO_FLAGS,
) -> None:
    """mount_setattr(2): sets `attributes` of the mount at `target`, with `recursive` also of all below it.

    All other attributes stay. Kernels before 5.12 can only have RDONLY set, by a remount of each. Raises
    OSError.
    """
    try:
        _libc.mount_setattr(os.fsencode(target), _libc.AT_RECURSIVE if recursive else 0, attributes, clear, propagation)
    except OSError as error:
        if error.errno != errno.ENOSYS or (attributes, clear, propagation) != (MountAttribute.RDONLY, 0, 0):
            raise
        _remount_read_only(target, recursive)


def _remount_read_only(target: PathLike, recursive: bool) -> None:
    # A remount sets every flag anew: those that the mount has must be repeated.
    keep = {"nosuid": MountFlag.NOSUID, "nodev": MountFlag.NODEV, "noexec": MountFlag.NOEXEC}
    keep |= {"noatime": MountFlag.NOATIME, "nodiratime": MountFlag.NODIRATIME, "relatime": MountFlag.RELATIME}
    found = mounts_below(target)
    for each in found if recursive else found[:1]:
        flags = MountFlag.BIND | MountFlag.REMOUNT | MountFlag.RDONLY
        for option in each.options:
            flags |= keep.get(option, _NO_FLAGS)
        mount(None, each.target, flags=flags)


_FILESYSTEMS = {
    0xEF53: "ext4",  # ext2 and ext3 have the same number
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x2FC12FC1: "zfs",
    0xF2F52010: "f2fs",
    0x3153464A: "jfs",
    0x4D44: "vfat",
    0x2011BAB0: "exfat",
    0x73717368: "squashfs",
    0xE0F5E1E2: "erofs",
    0x9660: "iso9660",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0x794C7630: "overlay",
    0x61756673: "aufs",
    0x65735546: "fuse",
    0x6969: "nfs",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x00C36400: "ceph",
    0x01021997: "9p",
    0x6A656A63: "virtiofs",
    0x9FA0: "proc",
    0x62656572: "sysfs",
    0x1CD1: "devpts",
    0x27E0EB: "cgroup",
    0x63677270: "cgroup2",
    0x6E736673: "nsfs",
    0x64626720: "debugfs",
    0x74726163: "tracefs",
    0x958458F6: "hugetlbfs",
    0xCAFE4A11: "bpf",
    0x19800202: "mqueue",
}


def filesystem_type(path: PathLike) -> str:
    """The kind of file system that holds `path`, by statfs(2): "ext4", "overlay", …; a number in hex if
    unknown.
    """
    magic = _libc.filesystem_magic(path)
    return _FILESYSTEMS.get(magic, hex(magic))
