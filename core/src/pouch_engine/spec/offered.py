"""Limits that this kernel can't set: refused, or left out with a warning where the user says so."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from pouch_hookspecs import Resources
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux.cgroups import Mode, detect_layout
from pouch_linux.cgroups.control_files import control_files, huge_page_sizes


class _Limit(NamedTuple):
    """A field of `Resources`, its flag, and the files of which one is needed, by cgroup version."""

    field: str
    flag: str
    v1: tuple[str, ...]
    v2: tuple[str, ...]


_LIMITS = (
    _Limit("memory_limit_bytes", "memory", ("memory.limit_in_bytes",), ("memory.max",)),
    _Limit("memory_swap_limit_bytes", "memory-swap", ("memory.memsw.limit_in_bytes",), ("memory.swap.max",)),
    _Limit("memory_reservation_bytes", "memory-reservation", ("memory.soft_limit_in_bytes",), ("memory.low",)),
    _Limit("memory_swappiness", "memory-swappiness", ("memory.swappiness",), ()),
    _Limit("oom_kill_disable", "oom-kill-disable", ("memory.oom_control",), ()),
    _Limit("cpu_shares", "cpu-shares", ("cpu.shares",), ("cpu.weight",)),
    _Limit("cpu_quota_us", "cpu-quota", ("cpu.cfs_quota_us",), ("cpu.max",)),
    _Limit("cpu_period_us", "cpu-period", ("cpu.cfs_period_us",), ("cpu.max",)),
    _Limit("cpuset_cpus", "cpuset-cpus", ("cpuset.cpus",), ("cpuset.cpus",)),
    _Limit("cpuset_mems", "cpuset-mems", ("cpuset.mems",), ("cpuset.mems",)),
    _Limit("pids_limit", "pids-limit", ("pids.max",), ("pids.max",)),
    _Limit("io_weight", "blkio-weight", ("blkio.weight", "blkio.bfq.weight"), ("io.weight", "io.bfq.weight")),
    _Limit(
        "io_weight_devices",
        "blkio-weight-device",
        ("blkio.weight_device", "blkio.bfq.weight_device"),
        ("io.bfq.weight",),
    ),
    _Limit("io_read_bytes_per_second", "device-read-bps", ("blkio.throttle.read_bps_device",), ("io.max",)),
    _Limit("io_write_bytes_per_second", "device-write-bps", ("blkio.throttle.write_bps_device",), ("io.max",)),
    _Limit("io_read_operations_per_second", "device-read-iops", ("blkio.throttle.read_iops_device",), ("io.max",)),
    _Limit("io_write_operations_per_second", "device-write-iops", ("blkio.throttle.write_iops_device",), ("io.max",)),
)
_UNLIMITED = {"memory_swap_limit_bytes": -1, "pids_limit": -1, "memory_swappiness": -1}


class Offered(NamedTuple):
    """What the kernel offers.

    Attributes:
        mode: of the cgroups; hybrid counts as version 1.
        files: of a new cgroup.
    """

    mode: Mode
    files: frozenset[str]


@cache
def offered_here() -> Offered:
    """Look at this host, once."""
    layout = detect_layout()
    return Offered(layout.mode, control_files(layout))


def settled_limits(resources: Resources, offered: Offered, *, degraded: bool) -> tuple[Resources, tuple[str, ...]]:
    """The limits that can be set, with docker's for swap where only memory is limited, and warnings.

    Args:
        resources: that are asked for.
        offered: see `Offered`.
        degraded: leave out what can't be set, with a warning.

    Raises:
        Unsupported: a limit can't be set, with the reason.
        InvalidArgument: a size of huge pages that this host has not.
    """
    reasons: dict[str, str] = dict(_lacking(resources, offered))
    if reasons and not degraded:
        field, why = next(iter(reasons.items()))
        raise Unsupported(
            f"--{_flag(field)}: {why}", hint="leave it out, or run without this limit by --allow-degraded"
        )
    defaults = Resources()
    kept = resources.model_copy(update={field: getattr(defaults, field) for field in reasons})
    warnings = [f"--{_flag(field)} is not in force: {why}" for field, why in reasons.items()]
    if kept.memory_limit_bytes is not None and kept.memory_swap_limit_bytes is None:
        if _has(offered, _LIMITS[1]):
            kept = kept.model_copy(update={"memory_swap_limit_bytes": 2 * kept.memory_limit_bytes})
        else:
            warnings.append("Swap is not limited: this kernel counts no swap by cgroup.")
    return kept, tuple(warnings)


def _lacking(resources: Resources, offered: Offered) -> Iterator[tuple[str, str]]:
    for limit in _LIMITS:
        value = getattr(resources, limit.field)
        if value in (None, (), False) or value == _UNLIMITED.get(limit.field) or _has(offered, limit):
            continue
        yield limit.field, _reason(limit, offered)
    if resources.hugepage_limits_bytes:
        form = "hugetlb.{}.max" if offered.mode is Mode.V2 else "hugetlb.{}.limit_in_bytes"
        missing = [form.format(size) for size in resources.hugepage_limits_bytes if _known(size)]
        if set(missing) - offered.files:
            yield "hugepage_limits_bytes", f"this kernel's cgroups have no {', '.join(missing)}"
    if resources.unified and offered.mode is not Mode.V2:
        yield "unified", "this host has no cgroup version 2 with controllers"


def _has(offered: Offered, limit: _Limit) -> bool:
    return bool(offered.files & set(limit.v2 if offered.mode is Mode.V2 else limit.v1))


def _reason(limit: _Limit, offered: Offered) -> str:
    files = limit.v2 if offered.mode is Mode.V2 else limit.v1
    if not files:
        return "cgroup version 2 has no such limit"
    return f"this kernel's cgroups have no {' or '.join(files)}"


def _known(size: str) -> bool:
    sizes = huge_page_sizes()
    if size not in sizes:
        raise InvalidArgument(
            f"--hugepage-limit: {size!r} is not a size of huge pages of this host: {', '.join(sizes)}"
        )
    return True


def _flag(field: str) -> str:
    flags = {limit.field: limit.flag for limit in _LIMITS}
    return flags.get(field, {"hugepage_limits_bytes": "hugepage-limit", "unified": "unified"}.get(field, field))
