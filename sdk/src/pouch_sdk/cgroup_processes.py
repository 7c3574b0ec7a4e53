"""The processes in a container that shares the host's kernel, by its cgroup and proc(5)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime

from pouch_hookspecs import TaskProcess

_TICKS = os.sysconf("SC_CLK_TCK")


def list_processes(pids: Iterable[int]) -> tuple[TaskProcess, ...]:
    """Describe the processes with these numbers on this host; those that have ended are left out."""
    boot_time = _boot_time()
    return tuple(process for pid in pids if (process := _process(pid, boot_time)) is not None)


def _process(pid: int, boot_time: float) -> TaskProcess | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            before, _, after = file.read().rpartition(b")")
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        uid = os.stat(f"/proc/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = after.split()
    name = before.partition(b"(")[2].decode(errors="replace")
    return TaskProcess(
        pid=pid,
        ppid=int(fields[1]),
        uid=uid,
        args=arguments or f"[{name}]",
        cpu_ns=(int(fields[11]) + int(fields[12])) * (1_000_000_000 // _TICKS),
        started_at=datetime.fromtimestamp(boot_time + int(fields[19]) / _TICKS, UTC),
        tty=_terminal(int(fields[4])),
    )


def _terminal(device: int) -> str:
    """The controlling terminal as ps(1) names it; devices 136 to 143 are pts."""
    major, minor = (device >> 8) & 0xFFF, (device & 0xFF) | ((device >> 12) & 0xFFF00)
    return f"pts/{(major - 136) * 256 + minor}" if 136 <= major <= 143 else "?"


def _boot_time() -> float:
    """Seconds since the epoch, from /proc/stat."""
    with open("/proc/stat", encoding="ascii") as file:
        return float(next(line.split()[1] for line in file if line.startswith("btime ")))
