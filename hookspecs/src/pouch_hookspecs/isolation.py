"""What an isolation enhancement may ask for: an adjustment of the container, never an edited spec."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from .containers import Mount
from .model import Model
from .resources import Resources
from .tasks import NamespaceKind, Rlimit


class Hook(Model):
    """A command of the OCI runtime spec's hooks.

    Attributes:
        path: absolute, on the host.
        args: with args[0]; empty for the path alone.
        env: the whole environment.
        timeout_seconds: None for the runtime's own.
    """

    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout_seconds: int | None = None


class Device(Model):
    """A device node of the container (OCI runtime spec, `linux.devices`) and the right to use it."""

    path: str
    type: str
    major: int
    minor: int
    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    access: str = "rwm"


class ArgumentCondition(Model):
    """`argument & mask == value` of a system call, as seccomp(2) sees it (64 bit).

    Attributes:
        index: 0 to 5.
        value: compared after masking.
        mask: all bits by default.
    """

    index: int
    value: int
    mask: int = 0xFFFF_FFFF_FFFF_FFFF


class DeniedSyscall(Model):
    """A system call that must fail with `errno` when all conditions hold.

    Typed, never a raw seccomp rule: the engine compiles it into whatever profile is in force, an
    allow-list or a deny-list, and refuses to start where it can not.
    """

    name: str
    conditions: tuple[ArgumentCondition, ...] = ()
    errno: int = 1


class Adjustment(Model):
    """What one enhancement adds to a container.

    Two enhancements that claim the same thing (an env name, a mount target, a rlimit, one field of the
    resources …) are refused, naming both. What the request itself set may only be taken with
    `replaces`.

    Attributes:
        env: name → value.
        mounts: in order; later than the container's own.
        devices: nodes and rights.
        prestart_hooks: OCI `createRuntime` hooks (in the runtime's namespace, before pivot_root).
        create_container_hooks: OCI `createContainer` hooks.
        start_container_hooks: OCI `startContainer` hooks, run inside the container.
        poststart_hooks: OCI `poststart` hooks.
        poststop_hooks: OCI `poststop` hooks.
        rlimits: by type.
        sysctls: name → value.
        annotations: of the OCI spec.
        resources: only the fields that are not None.
        namespaces: a kind of its own (None) or one to join by path.
        capabilities_drop: names with CAP_.
        capabilities_add: names with CAP_.
        denied_syscalls: see `DeniedSyscall`.
        no_new_privileges: True sets it; None says nothing.
        oom_score_adj: -1000 to 1000.
        args_prefix: put before the container's command (an init wrapper).
        masked_paths: in addition.
        readonly_paths: in addition.
        replaces: claims (`env:NAME`, `mounts:/target`, `resources:pids_limit` …) taken from the request.
    """

    env: Mapping[str, str] = Field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()
    prestart_hooks: tuple[Hook, ...] = ()
    create_container_hooks: tuple[Hook, ...] = ()
    start_container_hooks: tuple[Hook, ...] = ()
    poststart_hooks: tuple[Hook, ...] = ()
    poststop_hooks: tuple[Hook, ...] = ()
    rlimits: tuple[Rlimit, ...] = ()
    sysctls: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    resources: Resources | None = None
    namespaces: Mapping[NamespaceKind, Path | None] = Field(default_factory=dict)
    capabilities_drop: tuple[str, ...] = ()
    capabilities_add: tuple[str, ...] = ()
    denied_syscalls: tuple[DeniedSyscall, ...] = ()
    no_new_privileges: bool | None = None
    oom_score_adj: int | None = None
    args_prefix: tuple[str, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    replaces: frozenset[str] = frozenset()


class MergedAdjustment(Model):
    """All adjustments of a container together.

    Attributes:
        adjustment: the merged result.
        owners: claim → the enhancement's handler.
    """

    adjustment: Adjustment
    owners: Mapping[str, str]


class IsolationReport(Model):
    """What an enhancement says of a container in `inspect` and `stats`.

    Attributes:
        summary: one line: "256 MiB, 1 processor: 8 files of /proc".
        healthy: False: it was lost and is not restored yet; `summary` says why.
        values: figures and facts by name.
    """

    summary: str
    healthy: bool = True
    values: Mapping[str, str] = Field(default_factory=dict)
