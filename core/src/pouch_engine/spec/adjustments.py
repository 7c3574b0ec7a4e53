"""The adjustments of all enhancements, merged: two that claim the same thing are refused, naming both."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any

from pouch_hookspecs import Adjustment, ContainerConfig, MergedAdjustment, Mount, NamespaceKind, Resources
from pouch_hookspecs.errors import Conflict

REQUEST = "the request"


def merge(
    config: ContainerConfig, mounts: Iterable[Mount], adjustments: Iterable[tuple[str, Adjustment]]
) -> MergedAdjustment:
    """Put all adjustments together, in order.

    Args:
        config: what the user asked for: its claims can be taken over only by `replaces`.
        mounts: the container's own mounts.
        adjustments: by the enhancement's handler name.

    Raises:
        Conflict: two claim the same thing, or one claims what the request has set.
    """
    owners = dict.fromkeys(_request_claims(config, mounts), REQUEST)
    merged: dict[str, Any] = {}
    for owner, adjustment in adjustments:
        for claim in claims(adjustment):
            holder = owners.get(claim)
            if holder is not None and not (holder == REQUEST and claim in adjustment.replaces):
                raise Conflict(f"{claim} is claimed by {holder} and by {owner}", hint="switch one of them off")
            owners[claim] = owner
        _add(merged, adjustment)
    owners = {claim: owner for claim, owner in owners.items() if owner != REQUEST}
    return MergedAdjustment(adjustment=Adjustment.model_validate(merged), owners=owners)


def claims(adjustment: Adjustment) -> Iterator[str]:
    """The things that an adjustment lays hands on, each as `field:key`. Lists that only grow claim nothing."""
    for field in ("env", "sysctls", "annotations", "namespaces"):
        yield from (f"{field}:{key}" for key in getattr(adjustment, field))
    yield from (f"mounts:{mount_target(mount)}" for mount in adjustment.mounts)
    yield from (f"devices:{device.path}" for device in adjustment.devices)
    yield from (f"rlimits:{rlimit.type}" for rlimit in adjustment.rlimits)
    if adjustment.resources is not None:
        yield from (f"resources:{name}" for name in _set_fields(adjustment.resources))
    for field in ("oom_score_adj", "no_new_privileges"):
        if getattr(adjustment, field) is not None:
            yield field
    if adjustment.args_prefix:
        yield "args_prefix"


def mount_target(mount: Mount) -> str:
    """Where it is, in one spelling."""
    return "/" + posixpath.normpath(mount.target).lstrip("/")


def _request_claims(config: ContainerConfig, mounts: Iterable[Mount]) -> Iterator[str]:
    yield from (f"env:{entry.partition('=')[0]}" for entry in config.env)
    yield from (f"sysctls:{name}" for name in config.sysctls)
    yield from (f"annotations:{name}" for name in config.annotations)
    yield from (f"mounts:{mount_target(mount)}" for mount in mounts)
    yield from (f"devices:{device.container_path}" for device in config.devices)
    yield from (f"rlimits:{rlimit.type}" for rlimit in config.rlimits)
    yield from (f"resources:{name}" for name in _set_fields(config.resources))
    modes = (
        (NamespaceKind.NETWORK, config.network_mode),
        (NamespaceKind.PID, config.pid_mode),
        (NamespaceKind.IPC, config.ipc_mode),
        (NamespaceKind.UTS, config.uts_mode),
        (NamespaceKind.CGROUP, config.cgroup_mode),
        (NamespaceKind.USER, config.userns_mode),
    )
    yield from (f"namespaces:{kind}" for kind, mode in modes if mode == "host")
    if config.oom_score_adj is not None:
        yield "oom_score_adj"


def _set_fields(resources: Resources) -> list[str]:
    return [name for name in type(resources).model_fields if getattr(resources, name) not in (None, (), {})]


def _add(merged: dict[str, Any], adjustment: Adjustment) -> None:
    for name in type(adjustment).model_fields:
        value = getattr(adjustment, name)
        if value is None or value in ((), {}, frozenset()):
            continue
        if name == "resources":
            earlier = merged.get(name) or Resources()
            merged[name] = earlier.model_copy(update={field: getattr(value, field) for field in _set_fields(value)})
        elif isinstance(value, tuple):
            merged[name] = (*merged.get(name, ()), *value)
        elif isinstance(value, frozenset):
            merged[name] = merged.get(name, frozenset()) | value
        elif isinstance(value, (int, bool)):
            merged[name] = value
        else:
            merged[name] = {**merged.get(name, {}), **value}
