"""What this host grants to its root, and how a request that goes beyond is reduced, with a warning.

Only where less than asked for is still safe. docker simply fails on such hosts (a root in a container, a
virtual machine without CAP_SYS_RESOURCE).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache

from pouch_hookspecs import Rlimit
from pouch_hookspecs.errors import InvalidArgument
from pouch_linux.capabilities import bounding_set
from pouch_linux.cgroups import Mode, detect_layout
from pouch_linux.procfs import lowest_oom_score_adj
from pouch_linux.rlimits import INFINITY, NUMBERS, hard_limit


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
        """Not lower than this process may set.

        Raises:
            InvalidArgument: outside of -1000 to 1000.
        """
        if not -1000 <= asked <= 1000:
            raise InvalidArgument(f"OOM score adjustment {asked} is not within -1000 to 1000")
        lowest = self.host.lowest_oom_score_adj
        if asked < lowest:
            self.warnings.append(f"This host does not grant an OOM score of {asked}; {lowest} is used.")
        return max(asked, lowest)

    def rlimit(self, asked: Rlimit) -> Rlimit:
        """Not above this process's hard limit; -1, which stands for infinity, as the kernel writes it.

        Raises:
            InvalidArgument: a type that is none, or a soft limit above the hard one.
        """
        if asked.type not in NUMBERS:
            there = ", ".join(name.removeprefix("RLIMIT_").lower() for name in NUMBERS)
            raise InvalidArgument(f"ulimit {asked.type!r} is not there; there are: {there}")
        soft, hard = asked.soft % (INFINITY + 1), asked.hard % (INFINITY + 1)
        if soft > hard:
            raise InvalidArgument(
                f"ulimit {asked.type}: the soft limit {asked.soft} is above the hard one {asked.hard}"
            )
        ceiling = hard_limit(asked.type)
        if hard > ceiling and "CAP_SYS_RESOURCE" not in self.host.capabilities:
            self.warnings.append(f"This host does not grant {asked.type} above {ceiling}; {asked.hard} was asked for.")
            soft, hard = min(soft, ceiling), ceiling
        return Rlimit(type=asked.type, soft=soft, hard=hard)
