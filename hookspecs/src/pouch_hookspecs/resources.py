"""Limits and figures, neutral to the cgroup version; the unit is in each name."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from .model import Model


class DeviceThrottle(Model):
    """A limit or weight on one block device (`path` on the host)."""

    path: str
    rate: int


class DeviceRule(Model):
    """One entry of the devices controller, as the OCI runtime spec's `linux.resources.devices`.

    Attributes:
        allow: grant or deny.
        type: `a`, `b` or `c`.
        major: None for all.
        minor: None for all.
        access: any of `r`, `w`, `m`.
    """

    allow: bool
    type: str = "a"
    major: int | None = None
    minor: int | None = None
    access: str = "rwm"


class Resources(Model):
    """What a container may use at most. None means: not limited by us.

    Attributes:
        memory_limit_bytes: hard limit of memory.
        memory_swap_limit_bytes: memory and swap together, as docker counts it; -1 is unlimited swap.
        memory_reservation_bytes: soft limit (cgroup v2: memory.low).
        memory_swappiness: 0 to 100; cgroup v1 only.
        oom_kill_disable: cgroup v1 only.
        cpu_shares: relative weight, 2 to 262144, 1024 is normal; translated to cpu.weight on v2.
        cpu_quota_us: microseconds of processor time in each period.
        cpu_period_us: length of the period; 100000 if only a quota is given.
        cpuset_cpus: list such as `0-2,4`.
        cpuset_mems: list of memory nodes.
        pids_limit: processes and threads; -1 is unlimited.
        io_weight: 10 to 1000.
        io_weight_devices: the same for single devices.
        io_read_bytes_per_second: by device.
        io_write_bytes_per_second: by device.
        io_read_operations_per_second: by device.
        io_write_operations_per_second: by device.
        hugepage_limits_bytes: by page size, `2MB` → bytes.
        devices: rules added to the default list.
        unified: cgroup v2 files to write as they are.
    """

    memory_limit_bytes: int | None = None
    memory_swap_limit_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    cpu_shares: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpuset_cpus: str | None = None
    cpuset_mems: str | None = None
    pids_limit: int | None = None
    io_weight: int | None = None
    io_weight_devices: tuple[DeviceThrottle, ...] = ()
    io_read_bytes_per_second: tuple[DeviceThrottle, ...] = ()
    io_write_bytes_per_second: tuple[DeviceThrottle, ...] = ()
    io_read_operations_per_second: tuple[DeviceThrottle, ...] = ()
    io_write_operations_per_second: tuple[DeviceThrottle, ...] = ()
    hugepage_limits_bytes: Mapping[str, int] = Field(default_factory=dict)
    devices: tuple[DeviceRule, ...] = ()
    unified: Mapping[str, str] = Field(default_factory=dict)


class CpuStats(Model):
    """Processor time since the start."""

    usage_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


class MemoryStats(Model):
    """Memory now. `working_set_bytes` is usage without inactive page cache, what `docker stats` shows."""

    usage_bytes: int = 0
    working_set_bytes: int = 0
    limit_bytes: int | None = None
    swap_bytes: int = 0
    peak_bytes: int | None = None
    oom_kills: int = 0


class IoStats(Model):
    """Block I/O since the start."""

    read_bytes: int = 0
    write_bytes: int = 0
    read_operations: int = 0
    write_operations: int = 0


class PidsStats(Model):
    """Processes and threads now."""

    current: int = 0
    limit: int | None = None


class Pressure(Model):
    """Pressure stall totals in microseconds (psi(7)), cgroup v2 only."""

    some_us: int
    full_us: int


class Stats(Model):
    """The figures of one container; the engine adds network (by endpoint) and disk (by snapshot)."""

    cpu: CpuStats = CpuStats()
    memory: MemoryStats = MemoryStats()
    io: IoStats = IoStats()
    pids: PidsStats = PidsStats()
    pressure: Mapping[str, Pressure] = Field(default_factory=dict)
