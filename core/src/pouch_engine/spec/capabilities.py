"""Which capabilities a container may have."""

from __future__ import annotations

from collections.abc import Iterable

from pouch_hookspecs.errors import InvalidArgument
from pouch_linux.capabilities import NAMES

DEFAULT_CAPABILITIES = frozenset(
    {
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE",
        "CAP_NET_RAW",
        "CAP_SETFCAP",
        "CAP_SETGID",
        "CAP_SETPCAP",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
    }
)
"""docker's."""


def wanted_capabilities(add: Iterable[str], drop: Iterable[str], *, privileged: bool) -> frozenset[str]:
    """The set that a request means, before the host's say: the default, all for ALL or privileged, less the dropped.

    Raises:
        InvalidArgument: a name that is no capability.
    """
    added, dropped = capability_names(add, "cap-add"), capability_names(drop, "cap-drop")
    wanted = frozenset(NAMES) if privileged else DEFAULT_CAPABILITIES
    if "ALL" in dropped and not privileged:
        wanted = frozenset()
    if "ALL" in added:
        wanted = frozenset(NAMES)
    return (wanted | (added - {"ALL"})) - (frozenset() if privileged else dropped - {"ALL"})


def capability_names(names: Iterable[str], flag: str) -> frozenset[str]:
    """Names as the kernel has them, or ALL; given in any case, with or without CAP_. `flag` is for the error.

    Raises:
        InvalidArgument: a name that is no capability.
    """
    return frozenset(_normal(name, flag) for name in names)


def _normal(name: str, flag: str) -> str:
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in NAMES:
        raise InvalidArgument(f"{flag}: {name!r} is not a capability", hint="see capabilities(7), or ALL")
    return full
