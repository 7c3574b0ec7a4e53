"""Control groups, version 1, 2 and both at once (hybrid), behind one interface: cgroups(7)."""

from __future__ import annotations

from pouch_linux.cgroups.cgroup import Cgroup, CgroupUsage
from pouch_linux.cgroups.layout import Layout, Mode, detect_layout
from pouch_linux.cgroups.systemd import is_slice, is_systemd_form, scope_path, systemd_form
from pouch_linux.cgroups.v1 import CgroupV1
from pouch_linux.cgroups.v2 import CgroupV2

__all__ = [
    "Cgroup",
    "CgroupUsage",
    "CgroupV1",
    "CgroupV2",
    "Layout",
    "Mode",
    "detect_layout",
    "is_slice",
    "is_systemd_form",
    "open_cgroup",
    "scope_path",
    "systemd_form",
]


def open_cgroup(path: str, layout: Layout | None = None) -> Cgroup:
    """The cgroup at `path` below the mount point of each hierarchy, whether it exists or not.

    `layout` defaults to this host's. Raises ValueError for a path that is not absolute or has "..".
    """
    layout = layout or detect_layout()
    return CgroupV2(path, layout) if layout.mode is Mode.V2 else CgroupV1(path, layout)
