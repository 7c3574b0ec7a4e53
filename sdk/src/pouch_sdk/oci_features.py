"""`RuntimeFeatures` from an OCI command's own word: the `features` verb of runc 1.1 and crun 1.10.

https://github.com/opencontainers/runtime-spec/blob/main/features.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pouch_hookspecs import NamespaceKind, RuntimeFeatures

ALL_NAMESPACES = frozenset(set(NamespaceKind) - {NamespaceKind.TIME})


def features_from_json(told: Mapping[str, Any], version: str) -> RuntimeFeatures:
    """Read the answer of the `features` verb.

    Raises:
        ValueError, TypeError, AttributeError: it is not of the form that the runtime spec gives it.
    """
    linux = told.get("linux", {})
    cgroup, seccomp = linux.get("cgroup", {}), linux.get("seccomp", {})
    known = {kind.value for kind in NamespaceKind}
    namespaces = frozenset(NamespaceKind(name) for name in linux.get("namespaces", ()) if name in known)
    return RuntimeFeatures(
        namespaces=namespaces,
        cgroup_versions=frozenset(number for number in (1, 2) if cgroup.get(f"v{number}")),
        cgroup_drivers=frozenset({"cgroupfs"} | ({"systemd"} if cgroup.get("systemd") else set())),
        idmapped_mounts=bool(linux.get("mountExtensions", {}).get("idmap", {}).get("enabled")),
        user_namespaces=NamespaceKind.USER in namespaces,
        seccomp=bool(seccomp.get("enabled")),
        seccomp_actions=frozenset(map(str, seccomp.get("actions") or ())),
        apparmor=bool(linux.get("apparmor", {}).get("enabled")),
        selinux=bool(linux.get("selinux", {}).get("enabled")),
        hooks=frozenset(map(str, told.get("hooks") or ())),
        assumed=False,
        version=version,
    )


def assumed_features(version: str) -> RuntimeFeatures:
    """What every usable OCI command on Linux can do, where it does not tell."""
    return RuntimeFeatures(
        namespaces=ALL_NAMESPACES,
        hooks=frozenset({"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}),
        assumed=True,
        version=version,
    )
