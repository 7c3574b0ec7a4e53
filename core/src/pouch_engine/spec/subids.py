"""Sub-ids: which ids of the host stand for a container's user namespace, by subuid(5) and subgid(5)."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Iterator
from pathlib import Path

from pouch_hookspecs import IdMapping, IdMappings
from pouch_hookspecs.errors import InvalidArgument

DEFAULT_OWNER = "pouch"
"""Whose sub-ids `default` means; needs no account, only the lines in both files."""
_SUBUID, _SUBGID = Path("/etc/subuid"), Path("/etc/subgid")
_MAX_ID = 2**32 - 2


def sub_ids(remap: str, subuid: Path = _SUBUID, subgid: Path = _SUBGID) -> IdMappings:
    """The mapping that `[userns] remap` means: all sub-ids of the owner, in the order of the files, from 0 on.

    Args:
        remap: `default`, `USER` or `USER:GROUP`, by name or number; without a group, that of the user's name.
        subuid: subuid(5).
        subgid: subgid(5).

    Raises:
        InvalidArgument: the owner has no sub-ids, or a line of its own that is none.
    """
    user, colon, group = (DEFAULT_OWNER if remap == "default" else remap).partition(":")
    if not user or (colon and not group):
        raise InvalidArgument(f"userns remap {remap!r} is not of the form default, USER or USER:GROUP")
    group = group or user
    return IdMappings(
        uids=_extents(_names(user, _user_names), subuid),
        gids=_extents(_names(group, _group_names), subgid),
    )


def _names(owner: str, lookup: Callable[[str], Iterator[str]]) -> tuple[str, ...]:
    """The owner's name and number: the files may have either."""
    try:
        return (owner, *lookup(owner))
    except KeyError:
        return (owner,)


def _user_names(owner: str) -> Iterator[str]:
    entry = pwd.getpwuid(int(owner)) if owner.isdecimal() else pwd.getpwnam(owner)
    yield from (entry.pw_name, str(entry.pw_uid))


def _group_names(owner: str) -> Iterator[str]:
    entry = grp.getgrgid(int(owner)) if owner.isdecimal() else grp.getgrnam(owner)
    yield from (entry.gr_name, str(entry.gr_gid))


def _extents(names: tuple[str, ...], path: Path) -> tuple[IdMapping, ...]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        lines = []
    extents: list[IdMapping] = []
    inside = 0
    for line in lines:
        owner, _, rest = line.strip().partition(":")
        if owner not in names:
            continue
        first, _, count = rest.partition(":")
        if not (_is_id(first) and _is_id(count)) or int(count) == 0 or int(first) + int(count) - 1 > _MAX_ID:
            raise InvalidArgument(f"{path}: {line!r} is not of the form NAME:FIRST:COUNT, see subuid(5)")
        extents.append(IdMapping(container_id=inside, host_id=int(first), size=int(count)))
        inside += int(count)
    if not extents:
        raise InvalidArgument(
            f"{names[0]!r} has no sub-ids in {path}",
            hint=f"add a range that nobody else has: echo {names[0]}:100000:65536 >> {path}",
        )
    return tuple(extents)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10
