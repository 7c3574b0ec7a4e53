"""HostConfig of inspect: the request in docker's fields again, with the limits now in force."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pouch_engine.api.requests import CPU_PERIOD_US
from pouch_engine.containers.record import Container
from pouch_hookspecs import ContainerConfig, DeviceRule, DeviceThrottle, MountKind, MountRequest, Resources

_INFINITY = 2**64 - 1


def host_config(container: Container) -> dict[str, Any]:
    """The whole HostConfig of a container."""
    config = container.config
    return {
        "Binds": [_bind(mount) for mount in config.mounts if _is_bind(mount)] or None,
        "Mounts": [_mount(mount) for mount in config.mounts if not _is_bind(mount)],
        "ContainerIDFile": "",
        "LogConfig": {"Type": config.log_driver or "json-file", "Config": dict(config.log_options)},
        "NetworkMode": config.network_mode or "default",
        "PortBindings": {},
        "RestartPolicy": {
            "Name": config.restart_policy.name,
            "MaximumRetryCount": config.restart_policy.maximum_retries,
        },
        "AutoRemove": config.auto_remove,
        "Annotations": dict(config.annotations) or None,
        "VolumeDriver": "",
        "VolumesFrom": list(config.volumes_from) or None,
        "CapAdd": list(config.capabilities_add) or None,
        "CapDrop": list(config.capabilities_drop) or None,
        "CgroupnsMode": config.cgroup_mode,
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": list(config.groups) or None,
        "IpcMode": config.ipc_mode or "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": config.oom_score_adj or 0,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "PublishAllPorts": False,
        "ReadonlyRootfs": config.read_only_rootfs,
        "SecurityOpt": _security(config) or None,
        "UTSMode": config.uts_mode,
        "UsernsMode": config.userns_mode,
        "ShmSize": config.shm_size_bytes or 64 * 2**20,
        "Sysctls": dict(config.sysctls) or None,
        "Runtime": container.runtime,
        "Isolation": {name: dict(values) for name, values in config.options.items()} or "",
        "MaskedPaths": None if config.masked_paths is None else list(config.masked_paths),
        "ReadonlyPaths": None if config.readonly_paths is None else list(config.readonly_paths),
        "Init": config.init or None,
        "CgroupParent": config.cgroup_parent,
        "Devices": [
            {"PathOnHost": d.host_path, "PathInContainer": d.container_path, "CgroupPermissions": d.access}
            for d in config.devices
        ],
        "Ulimits": [
            {
                "Name": limit.type.removeprefix("RLIMIT_").lower(),
                "Soft": -1 if limit.soft == _INFINITY else limit.soft,
                "Hard": -1 if limit.hard == _INFINITY else limit.hard,
            }
            for limit in config.rlimits
        ]
        or None,
        **_limits(container.resources),
    }


def _limits(resources: Resources) -> dict[str, Any]:
    quota, period = resources.cpu_quota_us or 0, resources.cpu_period_us or 0
    nano = quota * 10**9 // period if quota and period == CPU_PERIOD_US else 0
    return {
        "Memory": resources.memory_limit_bytes or 0,
        "MemoryReservation": resources.memory_reservation_bytes or 0,
        "MemorySwap": resources.memory_swap_limit_bytes or 0,
        "MemorySwappiness": resources.memory_swappiness,
        "OomKillDisable": resources.oom_kill_disable,
        "NanoCpus": nano,
        "CpuShares": resources.cpu_shares or 0,
        "CpuPeriod": 0 if nano else period,
        "CpuQuota": 0 if nano else quota,
        "CpusetCpus": resources.cpuset_cpus or "",
        "CpusetMems": resources.cpuset_mems or "",
        "PidsLimit": resources.pids_limit,
        "BlkioWeight": resources.io_weight or 0,
        "BlkioWeightDevice": _devices(resources.io_weight_devices, "Weight"),
        "BlkioDeviceReadBps": _devices(resources.io_read_bytes_per_second, "Rate"),
        "BlkioDeviceWriteBps": _devices(resources.io_write_bytes_per_second, "Rate"),
        "BlkioDeviceReadIOps": _devices(resources.io_read_operations_per_second, "Rate"),
        "BlkioDeviceWriteIOps": _devices(resources.io_write_operations_per_second, "Rate"),
        "DeviceCgroupRules": [_device_rule(rule) for rule in resources.devices] or None,
        "HugepageLimits": [
            {"PageSize": size, "Limit": limit} for size, limit in resources.hugepage_limits_bytes.items()
        ]
        or None,
    }


def _device_rule(rule: DeviceRule) -> str:
    major, minor = ("*" if number is None else number for number in (rule.major, rule.minor))
    return f"{rule.type} {major}:{minor} {rule.access}"


def _devices(throttles: Iterable[DeviceThrottle], key: str) -> list[dict[str, Any]]:
    return [{"Path": throttle.path, key: throttle.rate} for throttle in throttles]


def _security(config: ContainerConfig) -> list[str]:
    given = ["no-new-privileges"] if config.no_new_privileges else []
    given += [f"seccomp={config.seccomp}"] if config.seccomp else []
    return given + ([f"apparmor={config.apparmor}"] if config.apparmor else [])


def _is_bind(mount: MountRequest) -> bool:
    """What `Binds` can say: a source and a target."""
    if mount.kind is MountKind.BIND:
        return mount.create_source and mount.recursive and mount.read_only_recursive is None and not mount.options
    return mount.kind is MountKind.VOLUME and bool(mount.source) and not (mount.driver or mount.labels or mount.subpath)


def _bind(mount: MountRequest) -> str:
    options = ["ro"] if mount.read_only else []
    options += [mount.propagation] if mount.propagation else []
    options += [] if mount.copy_up else ["nocopy"]
    return f"{mount.source}:{mount.target}{':' + ','.join(options) if options else ''}"


def _mount(mount: MountRequest) -> dict[str, Any]:
    document: dict[str, Any] = {"Type": str(mount.kind), "Target": mount.target}
    if mount.source:
        document["Source"] = mount.source
    if mount.read_only:
        document["ReadOnly"] = True
    if mount.kind is MountKind.BIND:
        document["BindOptions"] = {
            "Propagation": mount.propagation,
            "NonRecursive": not mount.recursive,
            "CreateMountpoint": mount.create_source,
            "ReadOnlyNonRecursive": mount.read_only_recursive is False,
            "ReadOnlyForceRecursive": mount.read_only_recursive is True,
        }
    if mount.kind is MountKind.VOLUME:
        document["VolumeOptions"] = {
            "Subpath": mount.subpath,
            "NoCopy": not mount.copy_up,
            "Labels": dict(mount.labels),
            "DriverConfig": {"Name": mount.driver, "Options": dict(mount.driver_options)},
        }
    return document
