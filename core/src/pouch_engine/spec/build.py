"""The OCI runtime spec of one start: everything that was decided, in one document.

Nobody edits it afterwards; enhancements have spoken through the merged adjustment.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pouch_engine.containers.record import Container
from pouch_hookspecs import (
    Adjustment,
    Device,
    DeviceRequest,
    DeviceRule,
    Hook,
    Mount,
    NamespaceKind,
    RuntimeFeatures,
    User,
)
from pouch_hookspecs.errors import InvalidArgument
from pouch_linux.cgroups import Mode

from .capabilities import wanted_capabilities
from .granted import Grants
from .limits import oci_resources
from .seccomp import profile

OCI_VERSION = "1.0.2"
DEFAULT_SHM_BYTES = 64 * 2**20
MASKED_PATHS = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True)
class Start:
    """What one start knows beyond the container's record.

    Attributes:
        rootfs: where the root file system is mounted.
        user: resolved inside it.
        files: mounts of the engine's own: hostname, hosts, resolv.conf.
        adjustment: of all enhancements.
        namespaces: made or found by the engine, to be joined.
        host_namespaces: kinds that the container shares with the host.
        features: of the runtime.
    """

    rootfs: Path
    user: User
    files: Sequence[Mount]
    adjustment: Adjustment
    namespaces: Mapping[NamespaceKind, Path]
    host_namespaces: frozenset[NamespaceKind]
    features: RuntimeFeatures


def build_spec(container: Container, start: Start, cgroup: str, grants: Grants) -> dict[str, Any]:
    """Write `config.json`'s document.

    Args:
        container: its record.
        start: see `Start`.
        cgroup: `linux.cgroupsPath`.
        grants: reduces to what the host grants, and collects warnings.
    """
    capabilities = _capabilities(container, start.adjustment, grants)
    document: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": _process(container, start, capabilities, grants),
        "root": {"path": str(start.rootfs), "readonly": container.config.read_only_rootfs},
        "mounts": _mounts(container, start),
        "annotations": {**container.config.annotations, **start.adjustment.annotations},
        "linux": _linux(container, start, cgroup, capabilities, grants),
    }
    if NamespaceKind.UTS not in start.host_namespaces:
        document["hostname"] = container.config.hostname or container.id[:12]
        if container.config.domainname:
            document["linux"]["sysctl"]["kernel.domainname"] = container.config.domainname
    hooks = _hooks(start.adjustment)
    return document | ({"hooks": hooks} if hooks else {})


def _capabilities(container: Container, adjustment: Adjustment, grants: Grants) -> frozenset[str]:
    config = container.config
    wanted = wanted_capabilities(config.capabilities_add, config.capabilities_drop, privileged=config.privileged)
    named = wanted_capabilities(config.capabilities_add, ("ALL",), privileged=False)
    named = frozenset() if config.privileged or "ALL" in {n.upper() for n in config.capabilities_add} else named
    wanted = (wanted | set(adjustment.capabilities_add)) - set(adjustment.capabilities_drop)
    return grants.capabilities(wanted, named=named)


def _process(container: Container, start: Start, capabilities: frozenset[str], grants: Grants) -> dict[str, Any]:
    config, command, adjustment = container.config, container.command, start.adjustment
    rlimits = {limit.type: limit for limit in (*config.rlimits, *adjustment.rlimits)}
    process: dict[str, Any] = {
        "terminal": config.terminal,
        "user": oci_user(start.user),
        "args": [*adjustment.args_prefix, *command.args],
        "env": process_env(container, adjustment),
        "cwd": command.working_dir,
        "capabilities": oci_capabilities(capabilities, start.user),
        "noNewPrivileges": bool(config.no_new_privileges or adjustment.no_new_privileges),
        "rlimits": [
            {"type": limit.type, "soft": limit.soft, "hard": limit.hard}
            for limit in map(grants.rlimit, rlimits.values())
        ],
    }
    score = adjustment.oom_score_adj if adjustment.oom_score_adj is not None else config.oom_score_adj
    if score is not None:
        process["oomScoreAdj"] = grants.oom_score_adj(score)
    if config.apparmor not in ("", "unconfined"):
        process["apparmorProfile"] = config.apparmor
    return process


def oci_user(user: User) -> dict[str, Any]:
    """`process.user`."""
    return {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.additional_gids)}


def oci_capabilities(capabilities: frozenset[str], user: User) -> dict[str, list[str]]:
    """All sets; inheritable and ambient stay empty (CVE-2022-29162), and only root has any in effect."""
    bounding = sorted(capabilities)
    effective = bounding if user.uid == 0 else []
    return {"bounding": bounding, "effective": effective, "permitted": effective, "inheritable": [], "ambient": []}


def process_env(container: Container, adjustment: Adjustment) -> list[str]:
    """The environment: docker's own names first, then image and request, then enhancements."""
    own = {"HOSTNAME": container.config.hostname or container.id[:12]}
    if container.config.terminal:
        own["TERM"] = "xterm"
    given = dict(entry.partition("=")[::2] for entry in container.command.env)
    return [f"{name}={value}" for name, value in {**own, **given, **adjustment.env}.items()]


def _mounts(container: Container, start: Start) -> list[dict[str, Any]]:
    own = [*_kernel_mounts(container, start), *map(_mount, start.files)]
    asked = [_mount(mount) for mount in (*container.mounts, *start.adjustment.mounts)]
    replaced = {mount["destination"] for mount in asked}
    kept = [mount for mount in own if mount["destination"] not in replaced]
    return kept + sorted(asked, key=lambda mount: mount["destination"].count("/"))


def _mount(mount: Mount) -> dict[str, Any]:
    return {"destination": mount.target, "type": mount.type, "source": mount.source, "options": list(mount.options)}


def _kernel_mounts(container: Container, start: Start) -> list[dict[str, Any]]:
    """docker's: proc, dev, sys, cgroup, shm, mqueue."""
    config = container.config
    access = "rw" if config.privileged else "ro"
    shm = config.shm_size_bytes if config.shm_size_bytes is not None else DEFAULT_SHM_BYTES
    own_network = NamespaceKind.NETWORK not in start.host_namespaces
    strict = ("nosuid", "noexec", "nodev")
    mounts = [
        Mount(target="/proc", source="proc", type="proc", options=strict),
        Mount(
            target="/dev",
            source="tmpfs",
            type="tmpfs",
            options=("nosuid", "strictatime", "mode=755", "size=65536k"),
        ),
        Mount(
            target="/dev/pts",
            source="devpts",
            type="devpts",
            options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
        ),
        Mount(target="/sys", source="sysfs", type="sysfs", options=(*strict, access))
        if own_network
        else Mount(target="/sys", source="/sys", type="bind", options=("rbind", *strict, access)),
        Mount(target="/sys/fs/cgroup", source="cgroup", type="cgroup", options=(*strict, access)),
        Mount(target="/dev/mqueue", source="mqueue", type="mqueue", options=strict),
    ]
    if config.ipc_mode == "host":
        mounts.append(Mount(target="/dev/shm", source="/dev/shm", options=("rbind", "rw")))
    elif config.ipc_mode != "none":
        options = (*strict, "mode=1777", f"size={shm}")
        mounts.append(Mount(target="/dev/shm", source="shm", type="tmpfs", options=options))
    return [_mount(mount) for mount in mounts]


def _linux(
    container: Container, start: Start, cgroup: str, capabilities: frozenset[str], grants: Grants
) -> dict[str, Any]:
    config, adjustment = container.config, start.adjustment
    devices = [*_host_devices(config.privileged), *_asked_devices(config.devices), *adjustment.devices]
    rules = [_rule(device) for device in devices]
    resources = container.resources
    if adjustment.resources is not None:
        extra = {name: value for name, value in adjustment.resources if value not in (None, (), {})}
        resources = resources.model_copy(update=extra)
    resources = resources.model_copy(update={"devices": (*resources.devices, *rules)})
    document: dict[str, Any] = {
        "namespaces": _namespaces(container, start, grants.host.cgroups),
        "cgroupsPath": cgroup,
        "resources": oci_resources(resources, all_devices=config.privileged),
        "devices": [_device(device) for device in devices],
        "sysctl": {**config.sysctls, **adjustment.sysctls},
        "rootfsPropagation": _propagation(container.mounts),
    }
    if not config.privileged:
        masked = config.masked_paths if config.masked_paths is not None else MASKED_PATHS
        readonly = config.readonly_paths if config.readonly_paths is not None else READONLY_PATHS
        document["maskedPaths"] = [*masked, *adjustment.masked_paths]
        document["readonlyPaths"] = [*readonly, *adjustment.readonly_paths]
    wanted = config.seccomp or ("unconfined" if config.privileged else "")
    filter_ = profile(wanted, capabilities, adjustment.denied_syscalls) if start.features.seccomp else None
    return document | ({"seccomp": filter_} if filter_ else {})


def _namespaces(container: Container, start: Start, cgroups: Mode) -> list[dict[str, str]]:
    kinds = [NamespaceKind.MOUNT, NamespaceKind.PID, NamespaceKind.IPC, NamespaceKind.UTS, NamespaceKind.NETWORK]
    if container.config.cgroup_mode == "private" or (container.config.cgroup_mode == "" and cgroups is Mode.V2):
        kinds.append(NamespaceKind.CGROUP)
    entries = []
    for kind in kinds:
        if kind in start.host_namespaces:
            continue
        path = start.namespaces.get(kind)
        entries.append({"type": str(kind), "path": str(path)} if path else {"type": str(kind)})
    for kind, path in start.adjustment.namespaces.items():
        entries = [entry for entry in entries if entry["type"] != str(kind)]
        entries.append({"type": str(kind), "path": str(path)} if path else {"type": str(kind)})
    return entries


def _propagation(mounts: Sequence[Mount]) -> str:
    options = {option for mount in mounts for option in mount.options}
    if options & {"shared", "rshared"}:
        return "rshared"
    return "rslave" if options & {"slave", "rslave"} else "rprivate"


def _asked_devices(requests: Sequence[DeviceRequest]) -> list[Device]:
    return [device for request in requests for device in _devices_at(request)]


def _devices_at(request: DeviceRequest) -> list[Device]:
    """The device, or all devices below a directory, as they are on the host."""
    path = Path(request.host_path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            inside = sorted(entry.name for entry in path.iterdir())
            return [
                device
                for name in inside
                for device in _devices_at(
                    request.model_copy(
                        update={
                            "host_path": f"{request.host_path}/{name}",
                            "container_path": f"{request.container_path}/{name}",
                        }
                    )
                )
            ]
    except OSError as error:
        raise InvalidArgument(f"device {request.host_path}: {error.strerror}") from error
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise InvalidArgument(f"device {request.host_path} is not a device node")
    return [
        Device(
            path=request.container_path,
            type="c" if stat.S_ISCHR(status.st_mode) else "b",
            major=os.major(status.st_rdev),
            minor=os.minor(status.st_rdev),
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            access=request.access,
        )
    ]


def _host_devices(privileged: bool) -> list[Device]:
    """All nodes of the host's /dev for a privileged container, except what a container has of its own."""
    if not privileged:
        return []
    own = {"console", "pts", "shm", "mqueue", "ptmx", "fd", "stdin", "stdout", "stderr", "tty"}
    own |= {"null", "zero", "full", "random", "urandom"}
    found = []
    for entry in sorted(os.scandir("/dev"), key=lambda item: item.name):
        if entry.name not in own and not entry.is_symlink():
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                found += _devices_at(DeviceRequest(host_path=entry.path, container_path=entry.path))
    return found


def _rule(device: Device) -> DeviceRule:
    return DeviceRule(allow=True, type=device.type, major=device.major, minor=device.minor, access=device.access)


def _device(device: Device) -> dict[str, Any]:
    return {
        "path": device.path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }


def _hooks(adjustment: Adjustment) -> dict[str, Any]:
    kinds = {
        "createRuntime": adjustment.prestart_hooks,
        "createContainer": adjustment.create_container_hooks,
        "startContainer": adjustment.start_container_hooks,
        "poststart": adjustment.poststart_hooks,
        "poststop": adjustment.poststop_hooks,
    }
    return {kind: [_hook(hook) for hook in hooks] for kind, hooks in kinds.items() if hooks}


def _hook(hook: Hook) -> dict[str, Any]:
    document: dict[str, Any] = {"path": hook.path, "args": list(hook.args or (hook.path,)), "env": list(hook.env)}
    return document | ({"timeout": hook.timeout_seconds} if hook.timeout_seconds is not None else {})
