"""The system calls that Python's ``os`` module lacks, declared once, with errno turned into OSError.

Every function here is safe to call from any thread: ctypes keeps errno per thread and releases the GIL.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

UMOUNT_NOFOLLOW = 8
MNT_DETACH = 2

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_IN_ROOT = 0x10

# Calls from 424 on have one number on every architecture; glibc 2.36 (Debian 12) lacks a wrapper for these.
_SYS_OPENAT2 = 437
# pivot_root(2) is older and never got a wrapper.
_SYS_PIVOT_ROOT = {
    "x86_64": 155,
    "aarch64": 41,
    "riscv64": 41,
    "loongarch64": 41,
    "ppc64le": 203,
    "s390x": 217,
}
_SYS_MOUNT_SETATTR = 442
_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x100000

PathLike = str | bytes | os.PathLike[str]


def _declare(name: str, *argtypes: Any) -> Any:
    function = getattr(_libc, name)
    function.argtypes = argtypes
    function.restype = ctypes.c_int
    return function


_mount = _declare("mount", ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
_umount2 = _declare("umount2", ctypes.c_char_p, ctypes.c_int)
_unshare = _declare("unshare", ctypes.c_int)
_setns = _declare("setns", ctypes.c_int, ctypes.c_int)
_statfs = _declare("statfs", ctypes.c_char_p, ctypes.c_void_p)
_fstatfs = _declare("fstatfs", ctypes.c_int, ctypes.c_void_p)
_inotify_init1 = _declare("inotify_init1", ctypes.c_int)
_inotify_add_watch = _declare("inotify_add_watch", ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_inotify_rm_watch = _declare("inotify_rm_watch", ctypes.c_int, ctypes.c_int)
_prctl = _declare("prctl", ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_setfsuid = _declare("setfsuid", ctypes.c_uint32)
_setfsgid = _declare("setfsgid", ctypes.c_uint32)
_capset = _declare("capset", ctypes.c_void_p, ctypes.c_void_p)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def _check(result: int, path: object = None) -> int:
    if result >= 0:
        return result
    code = ctypes.get_errno()
    if path is None:
        raise OSError(code, os.strerror(code))
    raise OSError(code, os.strerror(code), os.fsdecode(path) if isinstance(path, bytes) else path)


def mount(source: bytes | None, target: bytes, fstype: bytes | None, flags: int, data: bytes | None) -> None:
    """mount(2)."""
    _check(_mount(source, target, fstype, flags, data), target)


def umount2(target: bytes, flags: int) -> None:
    """umount2(2)."""
    _check(_umount2(target, flags), target)


def mount_setattr(target: bytes, flags: int, attr_set: int, attr_clr: int, propagation: int) -> None:
    """mount_setattr(2), Linux 5.12."""
    attributes = _MountAttr(attr_set, attr_clr, propagation, 0)
    _check(
        _syscall(
            ctypes.c_long(_SYS_MOUNT_SETATTR),
            ctypes.c_int(AT_FDCWD),
            ctypes.c_char_p(target),
            ctypes.c_uint(flags),
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        ),
        target,
    )


def map_mount(mount_fd: int, userns_fd: int, flags: int) -> None:
    """mount_setattr(2) with MOUNT_ATTR_IDMAP, on a descriptor of open_tree(2)."""
    attributes = _MountAttr(MOUNT_ATTR_IDMAP, 0, 0, userns_fd)
    _check(
        _syscall(
            ctypes.c_long(_SYS_MOUNT_SETATTR),
            ctypes.c_int(mount_fd),
            ctypes.c_char_p(b""),
            ctypes.c_uint(AT_EMPTY_PATH | flags),
            ctypes.byref(attributes),
            ctypes.c_size_t(ctypes.sizeof(attributes)),
        )
    )


def open_tree(path: bytes, flags: int) -> int:
    """open_tree(2), Linux 5.2; the descriptor is closed on exec."""
    return _check(
        _syscall(
            ctypes.c_long(_SYS_OPEN_TREE),
            ctypes.c_int(AT_FDCWD),
            ctypes.c_char_p(path),
            ctypes.c_uint(flags | os.O_CLOEXEC),
        ),
        path,
    )


def move_mount(mount_fd: int, target: bytes) -> None:
    """move_mount(2), Linux 5.2, of a descriptor of open_tree(2)."""
    _check(
        _syscall(
            ctypes.c_long(_SYS_MOVE_MOUNT),
            ctypes.c_int(mount_fd),
            ctypes.c_char_p(b""),
            ctypes.c_int(AT_FDCWD),
            ctypes.c_char_p(target),
            ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
        ),
        target,
    )


def setfsids(uid: int, gid: int) -> None:
    """setfsuid(2) and setfsgid(2), for the calling thread; they report no error, so the result is compared."""
    _setfsgid(gid)
    _setfsuid(uid)
    if (_setfsuid(2**32 - 1), _setfsgid(2**32 - 1)) != (uid, gid):
        raise OSError(errno.EPERM, f"user {uid} and group {gid} can't be taken for file access")


def openat2(dir_fd: int, path: str, flags: int, mode: int, resolve: int) -> int:
    """openat2(2), Linux 5.6."""
    how = _OpenHow(flags, mode, resolve)
    return _check(
        _syscall(
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(dir_fd),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.byref(how),
            ctypes.c_size_t(ctypes.sizeof(how)),
        ),
        path,
    )


def pivot_root(new_root: bytes, put_old: bytes) -> None:
    """pivot_root(2)."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root's number is not known for {os.uname().machine}")
    _check(_syscall(ctypes.c_long(number), ctypes.c_char_p(new_root), ctypes.c_char_p(put_old)), new_root)


def unshare(flags: int) -> None:
    """unshare(2), for the calling thread."""
    _check(_unshare(flags))


def setns(fd: int, flags: int, path: object = None) -> None:
    """setns(2), for the calling thread; `path` only names the namespace in the error."""
    _check(_setns(fd, flags), path)


def filesystem_magic(target: PathLike | int) -> int:
    """f_type of statfs(2) or, for a descriptor, fstatfs(2)."""
    # struct statfs begins with f_type on every architecture; 256 bytes hold all of its layouts.
    buffer = ctypes.create_string_buffer(256)
    if isinstance(target, int):
        _check(_fstatfs(target, buffer), f"descriptor {target}")
    else:
        _check(_statfs(os.fsencode(target), buffer), os.fsdecode(target))
    # A long, except on s390x; the magic numbers have 32 bits, so a 64-bit read is masked.
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


def inotify_init1(flags: int) -> int:
    """inotify_init1(2)."""
    return _check(_inotify_init1(flags))


def inotify_add_watch(fd: int, path: PathLike, mask: int) -> int:
    """inotify_add_watch(2)."""
    return _check(_inotify_add_watch(fd, os.fsencode(path), mask), os.fsdecode(path))


def inotify_rm_watch(fd: int, wd: int) -> None:
    """inotify_rm_watch(2)."""
    _check(_inotify_rm_watch(fd, wd))


def prctl(option: int, argument: int) -> int:
    """prctl(2) with one argument."""
    return _check(_prctl(option, argument, 0, 0, 0))


def capset(permitted: int, effective: int) -> None:
    """capset(2) version 3, for the calling thread: bit masks of capability numbers; inheritable becomes
    empty.
    """
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    low, high = 0xFFFFFFFF, 32
    data = (ctypes.c_uint32 * 6)(effective & low, permitted & low, 0, effective >> high, permitted >> high, 0)
    _check(_capset(header, data))
