"""Writing to the proc file system, and what of it this process may write: proc(5)."""

from __future__ import annotations

import errno
import os

from pouch_linux import _libc, capabilities
from pouch_linux._libc import PathLike

PROC_SUPER_MAGIC = 0x9FA0
_OOM_SCORE_ADJ_MIN = -1000


def lowest_oom_score_adj() -> int:
    """The lowest /proc/PID/oom_score_adj that this process may give to itself and its children.

    Without CAP_SYS_RESOURCE that is what it has itself, see proc_pid_oom_score_adj(5).
    """
    if "CAP_SYS_RESOURCE" in capabilities.effective_set():
        return _OOM_SCORE_ADJ_MIN
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        return int(file.read())


def write_proc(path: PathLike, data: bytes) -> None:
    """Writes to a file of proc in one write(2), after making sure that the opened file is one.

    Something may be mounted over it, or a link lead elsewhere (CVE-2019-19921, CVE-2025-52881): then
    OSError (EXDEV).
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        if _libc.filesystem_magic(descriptor) != PROC_SUPER_MAGIC:
            raise OSError(errno.EXDEV, "not a file of proc, nothing was written", os.fsdecode(path))
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def processor_time_ns() -> int:
    """Processor time of this host since its start in nanoseconds, of all processors together, idle time included.

    The first line of /proc/stat without guest time, which is part of user time: proc_stat(5).
    """
    with open("/proc/stat", encoding="ascii") as file:
        ticks = file.readline().split()[1:8]
    return sum(map(int, ticks)) * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
