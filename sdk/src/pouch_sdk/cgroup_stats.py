"""The figures of a container that shares the host's kernel, read from its cgroup (v1, v2, hybrid)."""

from __future__ import annotations

import os

from pouch_hookspecs import CpuStats, IoStats, MemoryStats, PidsStats, Pressure, Stats
from pouch_linux.cgroups import Layout, open_cgroup
from pouch_linux.cgroups.cgroup import read, read_number, read_table

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cgroup_stats(path: str, layout: Layout) -> Stats:
    """Read the figures of the cgroup at `path`; zeros for what its controllers don't tell. Raises OSError."""
    usage = open_cgroup(path, layout).usage()
    memory = usage.memory_usage_bytes or 0
    return Stats(
        cpu=_cpu(path, layout, usage.cpu_usage_ns or 0),
        memory=MemoryStats(
            usage_bytes=memory,
            working_set_bytes=max(0, memory - (usage.memory_inactive_file_bytes or 0)),
            limit_bytes=usage.memory_limit_bytes,
            swap_bytes=_swap(path, layout, memory),
            peak_bytes=_first_number(
                _file(path, layout, "memory", "memory.max_usage_in_bytes"), _unified(path, layout, "memory.peak")
            ),
            oom_kills=usage.oom_kills or 0,
        ),
        io=IoStats(
            read_bytes=usage.io_read_bytes or 0,
            write_bytes=usage.io_write_bytes or 0,
            read_operations=_operations(path, layout, "Read", "rios"),
            write_operations=_operations(path, layout, "Write", "wios"),
        ),
        pids=PidsStats(current=usage.pids_current or 0, limit=usage.pids_limit),
        pressure=_pressure(path, layout),
    )


def _file(path: str, layout: Layout, controller: str, name: str) -> str:
    """A file of a version 1 controller; a path that is not there where the controller is not."""
    return f"{layout.controllers.get(controller, '/nonexistent')}{path}/{name}"


def _unified(path: str, layout: Layout, name: str) -> str:
    return f"{layout.unified or '/nonexistent'}{path}/{name}"


def _first_number(*files: str) -> int | None:
    return next((number for file in files if (number := read_number(file)) is not None), None)


def _cpu(path: str, layout: Layout, usage_ns: int) -> CpuStats:
    if "cpu" in layout.controllers or "cpuacct" in layout.controllers:
        ticks = read_table(_file(path, layout, "cpuacct", "cpuacct.stat"))
        stat = read_table(_file(path, layout, "cpu", "cpu.stat"))
        user, system = ticks.get("user", 0) * _TICK_NS, ticks.get("system", 0) * _TICK_NS
        throttled = stat.get("throttled_time", 0)
    else:
        stat = read_table(_unified(path, layout, "cpu.stat"))
        user, system = stat.get("user_usec", 0) * 1000, stat.get("system_usec", 0) * 1000
        throttled = stat.get("throttled_usec", 0) * 1000
    return CpuStats(
        usage_ns=usage_ns,
        user_ns=user,
        system_ns=system,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_ns=throttled,
    )


def _swap(path: str, layout: Layout, memory: int) -> int:
    if "memory" in layout.controllers:
        both = read_number(_file(path, layout, "memory", "memory.memsw.usage_in_bytes"))
        return 0 if both is None else max(0, both - memory)
    return read_number(_unified(path, layout, "memory.swap.current")) or 0


def _operations(path: str, layout: Layout, v1_word: str, v2_key: str) -> int:
    """Sums over the devices: "8:0 Read 12" on version 1, "8:0 rbytes=… rios=12" on version 2."""
    if "blkio" in layout.controllers:
        text = read(_file(path, layout, "blkio", "blkio.throttle.io_serviced_recursive")) or ""
        lines = (line.split() for line in text.splitlines())
        return sum(int(fields[2]) for fields in lines if len(fields) == 3 and fields[1] == v1_word)
    pairs = (field.partition("=") for field in (read(_unified(path, layout, "io.stat")) or "").split())
    return sum(int(value) for key, _, value in pairs if key == v2_key)


def _pressure(path: str, layout: Layout) -> dict[str, Pressure]:
    """psi(7): lines "some avg10=… total=N" and "full …"; a kernel or cgroup without them gives nothing."""
    found = {}
    for what in ("cpu", "memory", "io"):
        try:
            text = read(_unified(path, layout, f"{what}.pressure"))
        except OSError:  # EOPNOTSUPP: built in but switched off
            continue
        totals = {}
        for line in (text or "").splitlines():
            words = line.split()
            totals[words[0]] = next((int(w[6:]) for w in words[1:] if w.startswith("total=")), 0)
        if totals:
            found[what] = Pressure(some_us=totals.get("some", 0), full_us=totals.get("full", 0))
    return found
