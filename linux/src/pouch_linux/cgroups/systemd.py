"""Names of cgroups that systemd makes: slices and scopes, systemd.slice(5), systemd.scope(5).

OCI runtimes with `--systemd-cgroup` take `linux.cgroupsPath` as "SLICE:PREFIX:NAME", and have systemd make the scope
PREFIX-NAME.scope in that slice.
"""

from __future__ import annotations

import re

_SLICE = re.compile(r"(?:[a-zA-Z0-9_.]+(?:-[a-zA-Z0-9_.]+)*|-)\.slice", re.ASCII)
_LONGEST = 255


def is_slice(name: str) -> bool:
    """Whether this is the name of a slice, such as `system.slice` or `a-b.slice` (which is in `a.slice`)."""
    return len(name) <= _LONGEST and _SLICE.fullmatch(name) is not None


def systemd_form(slice_: str, prefix: str, name: str) -> str:
    """The `linux.cgroupsPath` of a scope. Raises ValueError for a slice that is none."""
    if not is_slice(slice_):
        raise ValueError(f"{slice_!r} is not the name of a slice, such as system.slice")
    return f"{slice_}:{prefix}:{name}"


def is_systemd_form(cgroup: str) -> bool:
    """Whether this `linux.cgroupsPath` is a scope's rather than a path."""
    return not cgroup.startswith("/") and cgroup.count(":") == 2


def scope_path(cgroup: str) -> str:
    """Where systemd makes this scope: "a-b.slice:pouch:ID" is "/a.slice/a-b.slice/pouch-ID.scope".

    Raises ValueError if it is not of that form.
    """
    slice_, prefix, name = cgroup.split(":")
    if not is_slice(slice_):
        raise ValueError(f"{slice_!r} is not the name of a slice, such as system.slice")
    return f"{_slice_path(slice_)}/{prefix}-{name}.scope"


def _slice_path(slice_: str) -> str:
    stem = slice_.removesuffix(".slice")
    if stem == "-":  # the root
        return ""
    parts = stem.split("-")
    return "".join(f"/{'-'.join(parts[: count + 1])}.slice" for count in range(len(parts)))
