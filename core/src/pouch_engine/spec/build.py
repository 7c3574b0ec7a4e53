"""The OCI runtime spec of one start: everything that was decided, in one document.

Nobody edits it afterwards; enhancements have spoken through the merged adjustment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pouch_engine.containers.record import Container
from pouch_hookspecs import (
    Adjustment,
    ContainerConfig,
    Hook,
    Mount,
    NamespaceKind,
    RuntimeFeatures,
    User,
)
from pouch_hookspecs.errors import InvalidArgument, Unavailable, Unsupported
from pouch_linux.cgroups import Mode

from .adjustments import mount_target
from .capabilities import capability_names, wanted_capabilities
from .devices import container_devices, device_rule, oci_device
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


INIT_TARGET = "/dev/init"
"""Where --init's program is seen inside: on a tmpfs of ours, so that nothing is made in the root file system."""
_INIT_PROGRAMS = ("/usr/libexec/podman/catatonit", "/usr/bin/catatonit", "/usr/bin/tini-static", "/usr/bin/docker-init")


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
        shm: the /dev/shm that is shared with other containers; None: one of its own.
    """

    rootfs: Path
    user: User
    files: Sequence[Mount]
    adjustment: Adjustment
    namespaces: Mapping[NamespaceKind, Path]
    host_namespaces: frozenset[NamespaceKind]
    features: RuntimeFeatures
    shm: Path | None = None


def build_spec(container: Container, start: Start, cgroup: str, grants: Grants) -> dict[str, Any]:
    """Write `config.json`'s document.

    Args:
        container: its record.
        start: see `Start`.
        cgroup: `linux.cgroupsPath`.
        grants: reduces to what the host grants, and collects warnings.

    Raises:
        InvalidArgument: something that was asked for can not be.
        Unsupported: something that isolates is not to be had from this runtime or host.
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
    if NamespaceKind.UTS not in start.host_namespaces and NamespaceKind.UTS not in start.namespaces:
        document["hostname"] = container.config.hostname or container.id[:12]
        if container.config.domainname:
            document["linux"]["sysctl"]["kernel.domainname"] = container.config.domainname
    hooks = _hooks(start.adjustment)
    return document | ({"hooks": hooks} if hooks else {})


def _capabilities(container: Container, adjustment: Adjustment, grants: Grants) -> frozenset[str]:
    config = container.config
    wanted = wanted_capabilities(config.capabilities_add, config.capabilities_drop, privileged=config.privileged)
    named = frozenset() if config.privileged else capability_names(config.capabilities_add, "cap-add")
    added = capability_names(adjustment.capabilities_add, "capabilities_add of an enhancement")
    dropped = capability_names(adjustment.capabilities_drop, "capabilities_drop of an enhancement")
    return grants.capabilities((wanted | added) - dropped, named=named)


def _process(container: Container, start: Start, capabilities: frozenset[str], grants: Grants) -> dict[str, Any]:
    config, command, adjustment = container.config, container.command, start.adjustment
    rlimits = {limit.type: limit for limit in (*config.rlimits, *adjustment.rlimits)}
    process: dict[str, Any] = {
        "terminal": config.terminal,
        "user": oci_user(start.user),
        "args": [*adjustment.args_prefix, *((INIT_TARGET, "--") if config.init else ()), *command.args],
        "env": process_env(container, adjustment),
        "cwd": command.working_dir,
        "capabilities": oci_capabilities(capabilities, start.user),
        "noNewPrivileges": bool(config.no_new_privileges or adjustment.no_new_privileges),
        "rlimits": [
            {"type": limit.type, "soft": limit.soft, "hard": limit.hard}
            for limit in map(grants.rlimit, rlimits.values())
        ],
    }
    if config.terminal and config.console_size is not None:
        process["consoleSize"] = {"height": config.console_size.height, "width": config.console_size.width}
    score = adjustment.oom_score_adj if adjustment.oom_score_adj is not None else config.oom_score_adj
    # The daemon's own score, which a service manager has lowered, is not for containers.
    process["oomScoreAdj"] = max(0, grants.host.lowest_oom_score_adj) if score is None else grants.oom_score_adj(score)
    if config.apparmor not in ("", "unconfined"):
        if not grants.host.apparmor:
            raise Unsupported(f"AppArmor profile {config.apparmor!r} is asked for, and this kernel has no AppArmor")
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
    """Parents first; of several mounts at one target only the last: enhancement, then request, then the engine's.

    What the kernel gives below a target that was asked for is left out, so that nothing is made in its source.
    """
    asked = [*container.mounts, *start.adjustment.mounts]
    targets = {mount_target(mount) for mount in asked}
    kernel = [
        mount
        for mount in _kernel_mounts(container, start.shm)
        if not targets & set(map(str, PurePosixPath(mount.target).parents))
    ]
    last = {mount_target(mount): mount for mount in (*kernel, *start.files, *asked)}
    return [_mount(last[target]) for target in sorted(last, key=lambda target: target.count("/"))]


def _mount(mount: Mount) -> dict[str, Any]:
    return {"destination": mount.target, "type": mount.type, "source": mount.source, "options": list(mount.options)}


def find_init() -> str:
    """A static init of the host, for --init.

    Raises:
        Unavailable: there is none.
    """
    for path in _INIT_PROGRAMS:
        if os.access(path, os.X_OK):
            return path
    raise Unavailable("--init needs catatonit or tini on the host", hint="apt-get install catatonit")


def _kernel_mounts(container: Container, shm: Path | None) -> list[Mount]:
    """docker's: proc, dev, sys, cgroup, mqueue, shm; and the init."""
    config = container.config
    access = "rw" if config.privileged else "ro"
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
        Mount(target="/sys", source="sysfs", type="sysfs", options=(*strict, access)),
        Mount(target="/sys/fs/cgroup", source="cgroup", type="cgroup", options=(*strict, access)),
        Mount(target="/dev/mqueue", source="mqueue", type="mqueue", options=strict),
    ]
    if config.init:
        mounts.append(Mount(target=INIT_TARGET, source=find_init(), options=("rbind", "rprivate", "ro")))
    if config.ipc_mode == "host":
        mounts.append(Mount(target="/dev/shm", source="/dev/shm", options=("rbind", "rw")))
    elif shm is not None:
        mounts.append(Mount(target="/dev/shm", source=str(shm), options=("rbind", "rprivate", "rw", *strict)))
    elif config.ipc_mode != "none":
        options = (*strict, "mode=1777", f"size={shm_size(config)}")
        mounts.append(Mount(target="/dev/shm", source="shm", type="tmpfs", options=options))
    return mounts


def shm_size(config: ContainerConfig) -> int:
    """In bytes; 0 would be no limit at all for tmpfs, so it is docker's default, too."""
    if config.shm_size_bytes is not None and config.shm_size_bytes < 0:
        raise InvalidArgument(f"shm size {config.shm_size_bytes} is negative")
    return config.shm_size_bytes or DEFAULT_SHM_BYTES


def _linux(
    container: Container, start: Start, cgroup: str, capabilities: frozenset[str], grants: Grants
) -> dict[str, Any]:
    config, adjustment = container.config, start.adjustment
    devices = container_devices(config, adjustment)
    rules = [device_rule(device) for device in devices]
    resources = container.resources
    if adjustment.resources is not None:
        extra = {name: value for name, value in adjustment.resources if value not in (None, (), {})}
        resources = resources.model_copy(update=extra)
    resources = resources.model_copy(update={"devices": (*resources.devices, *rules)})
    document: dict[str, Any] = {
        "namespaces": _namespaces(container, start, grants.host.cgroups),
        "cgroupsPath": cgroup,
        "resources": oci_resources(resources, all_devices=config.privileged),
        "devices": [oci_device(device) for device in devices],
        "sysctl": {**config.sysctls, **adjustment.sysctls},
        "rootfsPropagation": _propagation(container.mounts),
    }
    masked = config.masked_paths if config.masked_paths is not None else () if config.privileged else MASKED_PATHS
    readonly = (
        config.readonly_paths if config.readonly_paths is not None else () if config.privileged else READONLY_PATHS
    )
    document["maskedPaths"] = [*masked, *adjustment.masked_paths]
    document["readonlyPaths"] = [*readonly, *adjustment.readonly_paths]
    filter_ = _seccomp(container, start, capabilities, grants)
    document |= {"seccomp": filter_} if filter_ else {}
    return document | _id_mappings(container)


def _id_mappings(container: Container) -> dict[str, Any]:
    """The runtime wants them also where it joins a user namespace that is there."""
    kinds = {"uidMappings": container.id_mappings.uids, "gidMappings": container.id_mappings.gids}
    return {
        name: [{"containerID": e.container_id, "hostID": e.host_id, "size": e.size} for e in extents]
        for name, extents in kinds.items()
        if extents
    }


def _seccomp(container: Container, start: Start, capabilities: frozenset[str], grants: Grants) -> dict[str, Any] | None:
    wanted = container.config.seccomp or ("unconfined" if container.config.privileged else "")
    denied = start.adjustment.denied_syscalls
    filter_ = profile(wanted, capabilities, denied)
    if start.features.seccomp or filter_ is None:
        return filter_
    if wanted or denied:
        raise Unsupported(f"runtime {container.runtime} can not filter system calls, and a filter is asked for")
    if not start.features.own_kernel:
        grants.warnings.append(
            f"Runtime {container.runtime} can not filter system calls; the container runs unfiltered."
        )
    return None


def _namespaces(container: Container, start: Start, cgroups: Mode) -> list[dict[str, str]]:
    kinds = [NamespaceKind.MOUNT, NamespaceKind.PID, NamespaceKind.IPC, NamespaceKind.UTS, NamespaceKind.NETWORK]
    if container.config.cgroup_mode == "private" or (container.config.cgroup_mode == "" and cgroups is Mode.V2):
        kinds.append(NamespaceKind.CGROUP)
    if container.id_mappings.uids:
        kinds.insert(0, NamespaceKind.USER)
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
