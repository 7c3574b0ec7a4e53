"""What this host grants to its root, and how a request that goes beyond is reduced, with a warning.

Only where less than asked for is still safe. docker simply fails on such hosts (a root in a container, a
virtual machine without CAP_SYS_RESOURCE).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache

from pouch_hookspecs import Rlimit
from pouch_linux.capabilities import bounding_set
from pouch_linux.cgroups import Mode, detect_layout
from pouch_linux.procfs import lowest_oom_score_adj
from pouch_linux.rlimits import INFINITY, hard_limit


@dataclass(frozen=True)
class Host:
    """This host, as far as containers are concerned.

    Attributes:
        capabilities: that a container can have at most.
        cgroups: v1, v2 or hybrid (which counts as v1).
        processors: online.
        lowest_oom_score_adj: that this process may set.
        apparmor: the kernel enforces profiles.
        recursive_read_only: mount_setattr(2) is there (kernel 5.12).
    """

    capabilities: frozenset[str]
    cgroups: Mode
    processors: int
    lowest_oom_score_adj: int
    apparmor: bool
    recursive_read_only: bool


@cache
def this_host() -> Host:
    """Look at the host once; nothing of this changes while the daemon runs."""
    return Host(
        capabilities=bounding_set(),
        cgroups=detect_layout().mode,
        processors=os.cpu_count() or 1,
        lowest_oom_score_adj=lowest_oom_score_adj(),
        apparmor=os.path.exists("/sys/kernel/security/apparmor"),
        recursive_read_only=_kernel() >= (5, 12),
    )


def _kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(character for character in minor if character.isdecimal()))


@dataclass
class Grants:
    """Reduces what is asked for to what the host grants, collecting warnings for the user."""

    host: Host
    warnings: list[str] = field(default_factory=list)

    def capabilities(self, asked: frozenset[str], *, named: frozenset[str]) -> frozenset[str]:
        """Those of `asked` that can be had; losing one that was `named` by the user is told."""
        lost = (asked - self.host.capabilities) & named
        if lost:
            self.warnings.append(f"This host does not grant {', '.join(sorted(lost))}; the container runs without.")
        return asked & self.host.capabilities

    def oom_score_adj(self, asked: int) -> int:
        """Not lower than this process may set."""
        lowest = self.host.lowest_oom_score_adj
        if asked < lowest:
            self.warnings.append(f"This host does not grant an OOM score of {asked}; {lowest} is used.")
        return max(asked, lowest)

    def rlimit(self, asked: Rlimit) -> Rlimit:
        """Not above this process's hard limit."""
        ceiling = hard_limit(asked.type)
        if "CAP_SYS_RESOURCE" in self.host.capabilities or _within(asked.hard, ceiling):
            return asked
        self.warnings.append(f"This host does not grant {asked.type} above {ceiling}; {asked.hard} was asked for.")
        return Rlimit(type=asked.type, soft=asked.soft if _within(asked.soft, ceiling) else ceiling, hard=ceiling)


def _within(value: int, ceiling: int) -> bool:
    """Compare limits as the kernel does: -1 stands for infinity."""
    return value % (INFINITY + 1) <= ceiling
