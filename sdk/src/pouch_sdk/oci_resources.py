"""`Resources` of the contract as the `linux.resources` object that an OCI command's `update -r -` reads."""

from __future__ import annotations

from typing import Any

from pouch_hookspecs import Resources
from pouch_hookspecs.errors import Unsupported

_UNLIMITED = -1
_NORMAL_SHARES = 1024
_DEFAULT_PERIOD = 100_000
# `update` of runc and crun leaves these alone, whatever it is told.
_FIXED = (
    "memory_swappiness",
    "oom_kill_disable",
    "io_weight_devices",
    "io_read_bytes_per_second",
    "io_write_bytes_per_second",
    "io_read_operations_per_second",
    "io_write_operations_per_second",
    "hugepage_limits_bytes",
    "devices",
    "unified",
)


def update_json(wanted: Resources, now: Resources, *, all_cpus: str, all_mems: str) -> dict[str, Any]:
    """Everything in `wanted` that can be changed while a container runs; what is None becomes unlimited.

    Args:
        wanted: the limits to be in force, whole.
        now: the limits in force.
        all_cpus: what an unlimited container may use, as a list: `0-3`.
        all_mems: the same for memory nodes.

    Raises:
        Unsupported: something differs from `now` that can't be changed.
    """
    changed = [name for name in _FIXED if getattr(wanted, name) != getattr(now, name)]
    if changed:
        raise Unsupported(
            f"{', '.join(changed)} can't be changed while the container runs",
            hint="create the container anew with these limits",
        )
    cpu: dict[str, Any] = {
        "shares": wanted.cpu_shares or _NORMAL_SHARES,
        "quota": _UNLIMITED if wanted.cpu_quota_us is None else wanted.cpu_quota_us,
        "period": wanted.cpu_period_us or _DEFAULT_PERIOD,
    }
    if wanted.cpuset_cpus != now.cpuset_cpus:
        cpu["cpus"] = wanted.cpuset_cpus or all_cpus
    if wanted.cpuset_mems != now.cpuset_mems:
        cpu["mems"] = wanted.cpuset_mems or all_mems
    memory = {
        "limit": _or_unlimited(wanted.memory_limit_bytes),
        "swap": _or_unlimited(wanted.memory_swap_limit_bytes),
        "reservation": _or_unlimited(wanted.memory_reservation_bytes),
    }
    update: dict[str, Any] = {
        "cpu": cpu,
        "memory": memory,
        "pids": {"limit": _or_unlimited(wanted.pids_limit)},
    }
    if wanted.io_weight is not None:
        update["blockIO"] = {"weight": wanted.io_weight}
    return update


def _or_unlimited(value: int | None) -> int:
    return _UNLIMITED if value is None else value
