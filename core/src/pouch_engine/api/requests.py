"""Docker's words for a container → the engine's own. What can not be granted yet is refused by name, never dropped."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pouch_hookspecs import (
    ContainerConfig,
    DeviceRequest,
    DeviceRule,
    DeviceThrottle,
    Resources,
    RestartPolicy,
    Rlimit,
    Size,
)
from pouch_hookspecs.errors import Conflict, InvalidArgument, Unsupported

from .create_body import CreateBody, Device, HostConfig, ThrottleDevice, Ulimit, read_body
from .mounts import mount_requests

CPU_PERIOD_US = 100_000
INFINITY = 2**64 - 1

_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_RULE = re.compile(r"([abc]) ([0-9]{1,9}|\*):([0-9]{1,9}|\*) ([rwm]{1,3})", re.ASCII)
_NO_NETWORK = "use --network none or --network host; user networks need a network plugin, and none is installed"


def read_create(document: Mapping[str, Any], name: str) -> tuple[ContainerConfig, tuple[str, ...]]:
    """Read the body of POST /containers/create.

    Args:
        document: the body.
        name: of the query; empty: the engine invents one.

    Returns:
        What is asked for, and warnings about what is ignored.

    Raises:
        InvalidArgument: a field's type or value is wrong.
        Conflict: two fields exclude each other.
        Unsupported: it can be asked for, and this engine can not do it (yet).
    """
    body = read_body(CreateBody, document)
    host = body.host_config
    _refuse_unsupported(host)
    config = ContainerConfig(
        name=name.removeprefix("/"),
        image=body.image,
        entrypoint=_entrypoint(body.entrypoint),
        command=body.cmd or None,
        env=body.env,
        working_dir=body.working_dir,
        user=body.user,
        hostname=body.hostname,
        domainname=body.domainname,
        labels=body.labels,
        terminal=body.tty,
        console_size=_console_size(host),
        stdin=body.open_stdin,
        stdin_once=body.stdin_once,
        attach_stdin=body.attach_stdin,
        attach_stdout=body.attach_stdout,
        attach_stderr=body.attach_stderr,
        stop_signal=body.stop_signal,
        stop_timeout_seconds=body.stop_timeout,
        network_mode=_network_mode(body),
        **_of_host(host),
        **_security(host),
    ).model_copy(update={"mounts": mount_requests(body)})
    return config, tuple(_ignored(body))


def _console_size(host: HostConfig) -> Size | None:
    """docker sends 0, 0 for "no terminal"."""
    height, width = host.console_size or (0, 0)
    return Size(height=height, width=width) if height and width else None


def _of_host(host: HostConfig) -> dict[str, Any]:
    return {
        "groups": host.group_add,
        "annotations": host.annotations,
        "runtime": host.runtime,
        "resources": resources_of(host),
        "pid_mode": host.pid_mode,
        "ipc_mode": host.ipc_mode,
        "uts_mode": host.uts_mode,
        "cgroup_mode": host.cgroupns_mode,
        "userns_mode": host.userns_mode,
        "cgroup_parent": host.cgroup_parent,
        "capabilities_add": host.cap_add,
        "capabilities_drop": host.cap_drop,
        "privileged": host.privileged,
        "read_only_rootfs": host.readonly_rootfs,
        "rlimits": tuple(_rlimit(limit) for limit in host.ulimits),
        "devices": tuple(_device(device) for device in host.devices),
        "sysctls": host.sysctls,
        "shm_size_bytes": host.shm_size or None,
        "init": host.init,
        "oom_score_adj": host.oom_score_adj or None,
        "masked_paths": host.masked_paths,
        "readonly_paths": host.readonly_paths,
        "dns": host.dns,
        "dns_search": host.dns_search,
        "dns_options": host.dns_options,
        "extra_hosts": host.extra_hosts,
        "restart_policy": restart_policy_of(host),
        "auto_remove": host.auto_remove,
        "log_driver": host.log_config.type,
        "log_options": host.log_config.config,
        "options": plugin_options(host),
        "volumes_from": host.volumes_from,
        "allow_degraded": host.allow_degraded,
    }


def _entrypoint(words: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """`--entrypoint ""` clears the image's; docker's command line sends it as one empty word."""
    return () if words == ("",) else words


def _network_mode(body: CreateBody) -> str:
    mode = "none" if body.network_disabled else body.host_config.network_mode
    others = set(body.networking_config.endpoints_config) - {mode, "default", "none", "host"}
    if others:
        raise Unsupported(f"network {', '.join(sorted(others))} can not be joined", hint=_NO_NETWORK)
    if mode in ("", "default"):
        return ""
    if mode in ("none", "host") or mode.startswith(("container:", "ns:")):
        return mode
    raise Unsupported(f"network mode {mode!r} is not available", hint=_NO_NETWORK)


def _refuse_unsupported(host: HostConfig) -> None:
    if host.publish_all_ports or any(host.port_bindings.values()):
        ports = ", ".join(host.port_bindings) or "all"
        raise Unsupported(
            f"ports ({ports}) can not be published: that needs a network plugin, and none is installed",
            hint="use --network host",
        )
    given = {
        "HostConfig.Links": host.links,
        "HostConfig.StorageOpt": host.storage_opt,
        "HostConfig.DeviceRequests": host.device_requests,
        "HostConfig.CpuRealtimePeriod": host.cpu_realtime_period,
        "HostConfig.CpuRealtimeRuntime": host.cpu_realtime_runtime,
    }
    for field, value in given.items():
        if value:
            raise Unsupported(f"{field} is not supported, leave it out")


def _ignored(body: CreateBody) -> Iterator[str]:
    host = body.host_config
    if body.healthcheck.test and body.healthcheck.test[0] != "NONE":
        yield "Healthcheck is ignored: this engine does not run health checks yet."
    if host.kernel_memory:
        yield "HostConfig.KernelMemory is ignored: kernels have no such limit any more."
    fields = {"EnableLxcfs": host.enable_lxcfs, "DiskQuota": host.disk_quota, "QuotaID": host.quota_id}
    for field, value in fields.items():
        if value:
            yield f"HostConfig.{field} is ignored: no installed plugin offers it."


def restart_policy_of(host: HostConfig) -> RestartPolicy:
    """When to start again; `no` where nothing is asked for."""
    name, retries = host.restart_policy.name or "no", host.restart_policy.maximum_retry_count
    if name not in _POLICIES:
        raise InvalidArgument(f"invalid restart policy {name!r}: expected one of {', '.join(_POLICIES)}")
    if retries < 0 or (retries and name != "on-failure"):
        raise InvalidArgument(
            f"HostConfig.RestartPolicy.MaximumRetryCount is {retries}: only on-failure has one, of 0 or more"
        )
    if host.auto_remove and name != "no":
        raise Conflict(f"a container that is removed when it ends (AutoRemove) can not have restart policy {name}")
    return RestartPolicy(name=name, maximum_retries=retries)


def plugin_options(host: HostConfig) -> Mapping[str, Mapping[str, Any]]:
    """Options of plugins, from the field that docker has for Windows alone."""
    if isinstance(host.isolation, str):
        if host.isolation not in ("", "default"):
            raise InvalidArgument(
                f'HostConfig.Isolation is {host.isolation!r}: expected "default", or plugins with their options'
            )
        return {}
    return host.isolation


# security


def _security(host: HostConfig) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in host.security_opt:
        key, _, value = option.partition("=") if "=" in option else option.partition(":")
        if key == "no-new-privileges" and value in ("", "true", "false"):
            found["no_new_privileges"] = value != "false"
        elif (key, value) == ("seccomp", "builtin"):
            found[key] = ""
        elif key in ("seccomp", "apparmor") and value:
            found[key] = value
        elif key == "systempaths" and value == "unconfined":
            found |= {"masked_paths": (), "readonly_paths": ()}
        elif key == "label" and value:
            _judge_label(value)
        else:
            raise InvalidArgument(
                f"invalid security option {option[:80]!r}: expected no-new-privileges, seccomp=PROFILE, "
                "apparmor=PROFILE, systempaths=unconfined or label=LABEL"
            )
    return found


def _judge_label(label: str) -> None:
    """Where the kernel has no SELinux, labels mean nothing, and are taken as docker takes them."""
    if label != "disable" and os.path.isdir("/sys/fs/selinux"):
        raise Unsupported(
            f"security option label={label[:80]}: this engine sets no SELinux labels", hint="label=disable"
        )


def _rlimit(limit: Ulimit) -> Rlimit:
    if not re.fullmatch(r"[a-z]+", limit.name, re.ASCII):
        raise InvalidArgument(f"invalid ulimit name {limit.name[:80]!r}: expected one such as nofile, see setrlimit(2)")
    soft, hard = (INFINITY if value == -1 else value for value in (limit.soft, limit.hard))
    if not 0 <= soft <= hard <= INFINITY:
        raise InvalidArgument(
            f"invalid ulimit {limit.name}={limit.soft}:{limit.hard}: expected 0 ≤ soft ≤ hard, or -1 for no limit"
        )
    return Rlimit(type=f"RLIMIT_{limit.name.upper()}", soft=soft, hard=hard)


def _device(device: Device) -> DeviceRequest:
    access = device.permissions or "rwm"
    if set(access) - set("rwm"):
        raise InvalidArgument(
            f"invalid access {access[:80]!r} to device {device.path_on_host}: expected any of r, w, m"
        )
    return DeviceRequest(
        host_path=device.path_on_host, container_path=device.path_in_container or device.path_on_host, access=access
    )


# limits


def resources_of(host: HostConfig) -> Resources:
    """The limits that are asked for; None where nothing is."""
    quota, period = _cpu(host)
    return Resources(
        memory_limit_bytes=_amount("Memory", host.memory),
        memory_swap_limit_bytes=_swap(host),
        memory_reservation_bytes=_amount("MemoryReservation", host.memory_reservation),
        memory_swappiness=None if host.memory_swappiness == -1 else host.memory_swappiness,
        oom_kill_disable=host.oom_kill_disable or None,
        cpu_shares=_amount("CpuShares", host.cpu_shares),
        cpu_quota_us=quota,
        cpu_period_us=period,
        cpuset_cpus=host.cpuset_cpus or None,
        cpuset_mems=host.cpuset_mems or None,
        pids_limit=host.pids_limit or None,
        io_weight=_amount("BlkioWeight", host.blkio_weight),
        io_weight_devices=tuple(DeviceThrottle(path=d.path, rate=d.weight) for d in host.blkio_weight_device),
        io_read_bytes_per_second=_throttles(host.blkio_device_read_bps),
        io_write_bytes_per_second=_throttles(host.blkio_device_write_bps),
        io_read_operations_per_second=_throttles(host.blkio_device_read_iops),
        io_write_operations_per_second=_throttles(host.blkio_device_write_iops),
        hugepage_limits_bytes={limit.page_size: limit.limit for limit in host.hugepage_limits},
        devices=tuple(_device_rule(text) for text in host.device_cgroup_rules),
    )


def _amount(field: str, value: int) -> int | None:
    """Docker's 0 says nothing."""
    if value < 0:
        raise InvalidArgument(f"HostConfig.{field} is {value}: expected 0 (no limit) or more")
    return value or None


def _swap(host: HostConfig) -> int | None:
    """0 leaves it to the engine."""
    if host.memory_swap < -1:
        raise InvalidArgument(f"HostConfig.MemorySwap is {host.memory_swap}: expected -1 (unlimited), 0 or more")
    return host.memory_swap or None


def _cpu(host: HostConfig) -> tuple[int | None, int | None]:
    if not host.nano_cpus:
        return host.cpu_quota if host.cpu_quota > 0 else None, _amount("CpuPeriod", host.cpu_period)
    if host.cpu_quota or host.cpu_period:
        raise Conflict("NanoCpus (--cpus) excludes CpuQuota and CpuPeriod: give one or the other")
    if host.nano_cpus < 10_000_000:
        raise InvalidArgument(f"HostConfig.NanoCpus is {host.nano_cpus}: expected at least 10000000 (0.01 processors)")
    return host.nano_cpus * CPU_PERIOD_US // 10**9, CPU_PERIOD_US


def _throttles(devices: tuple[ThrottleDevice, ...]) -> tuple[DeviceThrottle, ...]:
    return tuple(DeviceThrottle(path=device.path, rate=device.rate) for device in devices)


def _device_rule(text: str) -> DeviceRule:
    match = _RULE.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"invalid device rule {text[:80]!r}: expected TYPE MAJOR:MINOR ACCESS, such as c 1:3 rwm")
    major, minor = (None if number == "*" else int(number) for number in match.group(2, 3))
    return DeviceRule(allow=True, type=match[1], major=major, minor=minor, access=match[4])
