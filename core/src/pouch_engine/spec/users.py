"""Who a container's process is: resolved by the files inside its root file system, which are hostile."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence

from pouch_hookspecs import User
from pouch_hookspecs.errors import DataDamaged, InvalidArgument
from pouch_linux.paths import Root

FILE_LIMIT = 2**20
_MAX_ID = 2**32 - 2


def resolve_user(root: Root, text: str, groups: Sequence[str] = ()) -> User:
    """Resolve `user[:group]` and further groups to numbers.

    A name wins over a number only where /etc/passwd has such a name; numbers are plain ASCII decimals from 0 to
    2³²−2. Without a group, the user's own from /etc/passwd counts, and the groups that list the user.

    Args:
        root: the container's root file system.
        text: empty for root.
        groups: names or numbers to add.

    Raises:
        InvalidArgument: an unknown name, or a number out of range.
        DataDamaged: passwd or group is longer than 1 MiB.
    """
    user_text, colon, group_text = text.partition(":")
    if colon and not group_text:
        raise InvalidArgument(f"user {text!r}: the group after ':' is missing")
    name, uid, gid = _find_user(root, user_text or "0")
    additional: list[int] = []
    if group_text:
        gid = _find_group(root, group_text)
    elif name:
        additional = [entry_gid for _, entry_gid, members in _groups(root) if name in members and entry_gid != gid]
    additional += [_find_group(root, group) for group in groups]
    return User(uid=uid, gid=gid, additional_gids=tuple(dict.fromkeys(additional)))


def user_by_number(text: str) -> User:
    """Understand `uid[:gid]` where no root file system can be looked at; empty for root.

    Raises:
        InvalidArgument: a name, or a number out of range.
    """
    user_text, colon, group_text = text.partition(":")
    uid = _number(user_text or "0", "user")
    gid = _number(group_text, "group") if colon else 0
    if uid is None or gid is None:
        raise InvalidArgument(f"user {text!r}: only numbers can be understood here, UID or UID:GID")
    return User(uid=uid, gid=gid)


def _find_user(root: Root, text: str) -> tuple[str, int, int]:
    number = _number(text, "user")
    fallback: tuple[str, int, int] | None = None
    for fields in _entries(root, "/etc/passwd", 4):
        uid, gid = _stored(fields[2]), _stored(fields[3])
        if uid is None or gid is None:
            continue
        if fields[0] == text:
            return fields[0], uid, gid
        if uid == number and fallback is None:
            fallback = fields[0], uid, gid
    if fallback:
        return fallback
    if number is None:
        raise InvalidArgument(
            f"unable to find user {text}: no matching entries in passwd file",
            hint="name a user of the image's /etc/passwd, or a number",
        )
    return "", number, 0


def _find_group(root: Root, text: str) -> int:
    for name, gid, _ in _groups(root):
        if name == text:
            return gid
    number = _number(text, "group")
    if number is None:
        raise InvalidArgument(
            f"unable to find group {text}: no matching entries in group file",
            hint="name a group of the image's /etc/group, or a number",
        )
    return number


def _groups(root: Root) -> Iterator[tuple[str, int, list[str]]]:
    for fields in _entries(root, "/etc/group", 3):
        gid = _stored(fields[2])
        if gid is not None:
            yield fields[0], gid, fields[3].split(",") if len(fields) > 3 else []


def _entries(root: Root, path: str, least: int) -> Iterator[list[str]]:
    try:
        content = root.read(path, FILE_LIMIT)
    except OSError as error:  # absent, a directory, a device, a loop of links: as good as empty
        if error.errno == errno.EFBIG:
            raise DataDamaged(f"{path} in the image is longer than {FILE_LIMIT} bytes") from error
        return
    for line in content.decode("utf-8", "replace").split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= least and fields[0] and not fields[0].startswith("#"):
            yield fields


def _stored(text: str) -> int | None:
    """A number in passwd or group; one that is none makes the line void, as for libc."""
    return int(text) if _is_decimal(text) and int(text) <= _MAX_ID else None


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 10


def _number(text: str, what: str) -> int | None:
    """The id that a text means; None where it can only be a name. int() alone would take `1_0`, `+1` and `٣`."""
    if _is_decimal(text):
        if int(text) > _MAX_ID:
            raise InvalidArgument(f"{what} id {text} is out of range: 0 to {_MAX_ID}")
        return int(text)
    if text.isascii() and text.isdecimal():
        raise InvalidArgument(f"{what} id {text} is out of range: 0 to {_MAX_ID}")
    if text.lstrip("+-").isdecimal():
        raise InvalidArgument(f"{what} {text!r} is neither a name nor a plain decimal number")
    return None
