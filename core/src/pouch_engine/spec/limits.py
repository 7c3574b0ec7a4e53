"""Resource limits: judged at the door, and in the words of the OCI runtime spec."""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from pouch_hookspecs import DeviceRule, DeviceThrottle, Resources
from pouch_hookspecs.errors import InvalidArgument

from .granted import Host

MINIMUM_MEMORY = 6 * 2**20
_CPU_LIST = re.compile(r"[0-9]{1,5}(?:-[0-9]{1,5})?(?:,[0-9]{1,5}(?:-[0-9]{1,5})?)*", re.ASCII)
_CGROUP_FILE = re.compile(r"[a-z0-9_]+(?:\.[A-Za-z0-9_]+)+", re.ASCII)

DEFAULT_DEVICE_RULES = (
    DeviceRule(allow=False),
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    *(DeviceRule(allow=True, type="c", major=1, minor=minor) for minor in (3, 5, 7, 8, 9)),
    DeviceRule(allow=True, type="c", major=5, minor=0),
    DeviceRule(allow=True, type="c", major=5, minor=2),
    DeviceRule(allow=True, type="c", major=136),
)
"""null zero full random urandom tty ptmx pts; making any node, using no other."""


def validate_resources(resources: Resources, host: Host) -> None:
    """Judge limits before anything is made.

    Raises:
        InvalidArgument: a limit that can not be, with the range that can.
    """
    _validate_memory(resources)
    _validate_cpu(resources, host)
    if resources.pids_limit is not None and resources.pids_limit < -1:
        raise InvalidArgument(f"pids limit {resources.pids_limit} is not -1 (unlimited) or more")
    weights = [device.rate for device in resources.io_weight_devices]
    for weight in (resources.io_weight, *weights):
        if weight is not None and not 10 <= weight <= 1000:
            raise InvalidArgument(f"blkio weight {weight} is not within 10 to 1000")
    if resources.memory_swappiness is not None and not -1 <= resources.memory_swappiness <= 100:
        raise InvalidArgument(f"memory swappiness {resources.memory_swappiness} is not within 0 to 100")
    for name in resources.unified:
        if not _CGROUP_FILE.fullmatch(name):
            raise InvalidArgument(f"{name!r} is not a file of a cgroup, such as memory.high")


def _validate_memory(resources: Resources) -> None:
    limit, swap, reservation = (
        resources.memory_limit_bytes,
        resources.memory_swap_limit_bytes,
        resources.memory_reservation_bytes,
    )
    if limit is not None and limit < MINIMUM_MEMORY:
        raise InvalidArgument(f"memory limit {limit} is below the minimum of {MINIMUM_MEMORY} bytes (6m)")
    if swap is not None and swap != -1 and (limit is None or swap < limit):
        raise InvalidArgument(
            f"memory-swap limit {swap} counts memory and swap together: it needs a memory limit and must not be lower"
        )
    if reservation is not None and limit is not None and reservation > limit:
        raise InvalidArgument(f"memory reservation {reservation} is above the memory limit {limit}")


def _validate_cpu(resources: Resources, host: Host) -> None:
    quota, period = resources.cpu_quota_us, resources.cpu_period_us
    if period is not None and not 1000 <= period <= 1_000_000:
        raise InvalidArgument(f"cpu period {period} is not within 1000 to 1000000 microseconds")
    if quota is not None and quota < 1000:
        raise InvalidArgument(f"cpu quota {quota} is below 1000 microseconds")
    if quota is not None and quota > host.processors * (period or 100_000):
        raise InvalidArgument(
            f"range of CPUs is from 0.01 to {host.processors}.00, as there are only {host.processors}"
        )
    if resources.cpu_shares is not None and not 2 <= resources.cpu_shares <= 262144:
        raise InvalidArgument(f"cpu shares {resources.cpu_shares} are not within 2 to 262144")
    for name, value in (("cpuset-cpus", resources.cpuset_cpus), ("cpuset-mems", resources.cpuset_mems)):
        if value and not _is_cpu_list(value):
            raise InvalidArgument(f"{name} {value!r} is not a list such as 0-2,4")
    if resources.cpuset_cpus:
        highest = max(int(number) for number in re.findall(r"[0-9]+", resources.cpuset_cpus))
        if highest >= host.processors:
            raise InvalidArgument(
                f"cpuset-cpus {resources.cpuset_cpus!r}: there are processors 0 to {host.processors - 1} only"
            )


def _is_cpu_list(text: str) -> bool:
    if not _CPU_LIST.fullmatch(text):
        return False
    ranges = (part.partition("-") for part in text.split(","))
    return all(not dash or int(first) <= int(last) for first, dash, last in ranges)


def oci_resources(resources: Resources, *, all_devices: bool = False) -> dict[str, Any]:
    """`linux.resources` of the OCI runtime spec.

    Args:
        resources: the limits in force.
        all_devices: no device rule at all: a privileged container.
    """
    rules = (DeviceRule(allow=True),) if all_devices else (*DEFAULT_DEVICE_RULES, *resources.devices)
    document: dict[str, Any] = {"devices": [_device_rule(rule) for rule in rules]}
    memory = _present(
        limit=resources.memory_limit_bytes,
        swap=resources.memory_swap_limit_bytes,
        reservation=resources.memory_reservation_bytes,
        swappiness=None if resources.memory_swappiness == -1 else resources.memory_swappiness,
        disableOOMKiller=resources.oom_kill_disable,
    )
    cpu = _present(
        shares=resources.cpu_shares,
        quota=resources.cpu_quota_us,
        period=resources.cpu_period_us or (100_000 if resources.cpu_quota_us else None),
        cpus=resources.cpuset_cpus or None,
        mems=resources.cpuset_mems or None,
    )
    block_io = _present(weight=resources.io_weight) | _throttles(resources)
    if resources.pids_limit is not None and resources.pids_limit > 0:
        document["pids"] = {"limit": resources.pids_limit}
    document |= {key: value for key, value in (("memory", memory), ("cpu", cpu), ("blockIO", block_io)) if value}
    if resources.hugepage_limits_bytes:
        document["hugepageLimits"] = [
            {"pageSize": size, "limit": limit} for size, limit in resources.hugepage_limits_bytes.items()
        ]
    if resources.unified:
        document["unified"] = dict(resources.unified)
    return document


def _present(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _device_rule(rule: DeviceRule) -> dict[str, Any]:
    return _present(
        allow=rule.allow,
        type=rule.type if rule.type != "a" else None,
        major=rule.major,
        minor=rule.minor,
        access=rule.access,
    )


def _throttles(resources: Resources) -> dict[str, Any]:
    def entries(throttles: tuple[DeviceThrottle, ...], key: str) -> list[dict[str, int]]:
        found = []
        for throttle in throttles:
            try:
                status = os.stat(throttle.path)
            except OSError as error:
                raise InvalidArgument(f"device {throttle.path}: {error.strerror}") from error
            if not stat.S_ISBLK(status.st_mode):
                raise InvalidArgument(f"device {throttle.path} is not a block device")
            number = status.st_rdev
            found.append({"major": os.major(number), "minor": os.minor(number), key: throttle.rate})
        return found

    lists = {
        "weightDevice": entries(resources.io_weight_devices, "weight"),
        "throttleReadBpsDevice": entries(resources.io_read_bytes_per_second, "rate"),
        "throttleWriteBpsDevice": entries(resources.io_write_bytes_per_second, "rate"),
        "throttleReadIOPSDevice": entries(resources.io_read_operations_per_second, "rate"),
        "throttleWriteIOPSDevice": entries(resources.io_write_operations_per_second, "rate"),
    }
    return {name: found for name, found in lists.items() if found}
