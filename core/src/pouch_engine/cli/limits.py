"""Limits and devices of a new container, from flags to the API's form."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.flags import Options


def resources(options: Options) -> dict[str, Any]:
    """Return the fields of HostConfig that limit. Raises CommandError for what does not parse."""
    return {
        "AllowDegraded": options["allow_degraded"],
        "Memory": options["memory"],
        "MemoryReservation": options["memory_reservation"],
        "MemorySwap": options["memory_swap"],
        "MemorySwappiness": options["memory_swappiness"],
        "KernelMemory": options["kernel_memory"],
        "OomKillDisable": options["oom_kill_disable"],
        "NanoCpus": options["cpus"],
        "CpuShares": options["cpu_shares"],
        "CpuPeriod": options["cpu_period"],
        "CpuQuota": options["cpu_quota"],
        "CpusetCpus": options["cpuset_cpus"],
        "CpusetMems": options["cpuset_mems"],
        "PidsLimit": options["pids_limit"],
        "BlkioWeight": options["blkio_weight"],
        "BlkioWeightDevice": [
            _number(text, "blkio-weight-device", "Weight") for text in options["blkio_weight_device"]
        ],
        "BlkioDeviceReadBps": [_bytes(text, "device-read-bps") for text in options["device_read_bps"]],
        "BlkioDeviceWriteBps": [_bytes(text, "device-write-bps") for text in options["device_write_bps"]],
        "BlkioDeviceReadIOps": [_number(text, "device-read-iops", "Rate") for text in options["device_read_iops"]],
        "BlkioDeviceWriteIOps": [_number(text, "device-write-iops", "Rate") for text in options["device_write_iops"]],
        "HugepageLimits": [_huge_pages(text) for text in options["hugepage_limit"]],
        "OomScoreAdj": options["oom_score_adj"],
        "ShmSize": options["shm_size"],
        "CgroupParent": options["cgroup_parent"],
        "Devices": [_device(text) for text in options["device"]],
        "DeviceCgroupRules": options["device_cgroup_rule"],
        "Ulimits": [_ulimit(text) for text in options["ulimit"]],
    }


def _number(text: str, flag: str, key: str) -> dict[str, Any]:
    path, _, number = text.rpartition(":")
    if not path.startswith("/") or not (number.isascii() and number.isdecimal()):
        raise CommandError(f"invalid {flag} {text!r}: expected DEVICE:NUMBER, such as /dev/sda:500", 125)
    return {"Path": path, key: int(number)}


def _bytes(text: str, flag: str) -> dict[str, Any]:
    path, _, size = text.rpartition(":")
    try:
        rate = parse_size(size)
    except ValueError:
        rate = -1
    if not path.startswith("/") or rate < 0:
        raise CommandError(
            f"invalid {flag} {text!r}: expected DEVICE:SIZE, bytes per second, such as /dev/sda:10m", 125
        )
    return {"Path": path, "Rate": rate}


def _huge_pages(text: str) -> dict[str, Any]:
    size, _, limit = text.partition("=")
    try:
        return {"PageSize": size.upper(), "Limit": parse_size(limit)}
    except ValueError:
        raise CommandError(f"invalid hugepage-limit {text!r}: expected SIZE=LIMIT, such as 2MB=64m", 125) from None


def _device(text: str) -> dict[str, str]:
    parts = text.split(":")
    rights = "rwm"
    if len(parts) > 1 and parts[-1] and not parts[-1].strip("rwm"):
        rights = parts.pop()
    if not all(parts) or len(parts) > 2:
        raise CommandError(f"invalid device {text!r}: expected HOST[:CONTAINER[:rwm]]", 125)
    return {"PathOnHost": parts[0], "PathInContainer": parts[-1], "CgroupPermissions": rights}


def _ulimit(text: str) -> dict[str, Any]:
    name, _, limits = text.partition("=")
    soft, _, hard = limits.partition(":")
    numbers = [soft, hard or soft]
    if not name or not all(number.removeprefix("-").isdecimal() for number in numbers):
        raise CommandError(f"invalid ulimit {text!r}: expected NAME=SOFT[:HARD], such as nofile=1024:2048", 125)
    return {"Name": name, "Soft": int(numbers[0]), "Hard": int(numbers[1])}
