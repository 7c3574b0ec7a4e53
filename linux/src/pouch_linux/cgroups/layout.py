"""Which cgroup hierarchies this host has mounted where: cgroups(7), by /proc/self/mountinfo."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from pouch_linux.mounts import MountPoint, mountinfo

# What else stands among the options of a version 1 mount.
_NO_CONTROLLERS = frozenset({"rw", "ro", "xattr", "noprefix", "clone_children", "cpuset_v2_mode", "favordynmods"})


class Mode(Enum):
    """The versions in use."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"  # controllers on version 1, and a version 2 tree beside them


@dataclass(frozen=True, slots=True)
class Layout:
    """The hierarchies of a host."""

    mode: Mode
    controllers: Mapping[str, str]
    """Version 1: controller ("memory", also "name=systemd") → mount point. Several may share one."""
    unified: str | None
    """Version 2: the mount point."""

    @property
    def hierarchies(self) -> tuple[str, ...]:
        """All mount points, each once."""
        points = dict.fromkeys(self.controllers.values())
        return (*points, self.unified) if self.unified else tuple(points)


def detect_layout(mounts: Sequence[MountPoint] | None = None) -> Layout:
    """Reads the layout from a mount table, this process's by default. Raises OSError (ENOENT) if there are
    no cgroups.
    """
    controllers: dict[str, str] = {}
    unified = None
    for mount in mountinfo() if mounts is None else mounts:
        if mount.fstype == "cgroup2":
            unified = unified or mount.target
        elif mount.fstype == "cgroup":
            for option in mount.super_options:
                if option not in _NO_CONTROLLERS and not option.startswith("release_agent="):
                    controllers.setdefault(option, mount.target)
    if not controllers and unified is None:
        raise OSError(errno.ENOENT, "no cgroup file system is mounted; expected one at /sys/fs/cgroup")
    mode = Mode.V2 if not controllers else Mode.HYBRID if unified else Mode.V1
    return Layout(mode, controllers, unified)
