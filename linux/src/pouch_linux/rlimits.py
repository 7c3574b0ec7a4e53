"""Resource limits by name, and what this process may grant: getrlimit(2)."""

from __future__ import annotations

import resource

INFINITY = (1 << 64) - 1  # RLIM_INFINITY of the kernel and of the OCI runtime specification

# asm-generic/resource.h, the numbers of all architectures but alpha, mips and sparc.
NUMBERS = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}


def hard_limit(name: str) -> int:
    """The hard limit of this process, which its children can't exceed without CAP_SYS_RESOURCE.

    `name` is one of NUMBERS; units as in getrlimit(2). INFINITY where there is none. Raises KeyError.
    """
    _, hard = resource.getrlimit(NUMBERS[name])
    return INFINITY if hard == resource.RLIM_INFINITY else hard
