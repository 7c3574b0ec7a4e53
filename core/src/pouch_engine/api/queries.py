"""Reading what requests say: query parameters, filters, JSON bodies, in the forms that docker's clients send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from pouch_hookspecs.errors import InvalidArgument

Filters = Mapping[str, tuple[str, ...]]

JSON_LIMIT = 4 * 2**20
"""Bytes of a JSON body at most; streams (load, import) have no limit here."""

_FALSE = ("", "0", "no", "false", "none")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_SECONDS = re.compile(r"(-?[0-9]{1,12})(?:\.([0-9]{1,9}))?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def boolean(request: web.Request, name: str, default: bool = False) -> bool:
    """A switch: docker takes anything but nothing, 0, no, false and none for true (`True` of compose is)."""
    value = request.query.get(name)
    return default if value is None else value.strip().lower() not in _FALSE


def integer(request: web.Request, name: str) -> int | None:
    """A whole number; None if it is absent or empty.

    Raises:
        InvalidArgument: it is something else.
    """
    value = request.query.get(name, "")
    if not value:
        return None
    if not _INTEGER.fullmatch(value):
        raise InvalidArgument(f"query parameter {name}={value[:80]!r} is not a whole number")
    return int(value)


def required(request: web.Request, name: str) -> str:
    """A text that must be there.

    Raises:
        InvalidArgument: it is not.
    """
    value = request.query.get(name, "")
    if not value:
        raise InvalidArgument(f"query parameter {name} is missing")
    return value


def nanoseconds(request: web.Request, name: str) -> int | None:
    """A point in time, given as seconds since 1970 with up to nine decimals, in nanoseconds; None for none, and for 0.

    Raises:
        InvalidArgument: it has another form.
    """
    value = request.query.get(name, "")
    if value in ("", "0"):
        return None
    match = _SECONDS.fullmatch(value)
    if match is None:
        raise InvalidArgument(
            f"query parameter {name}={value[:80]!r} is not a time: expected seconds since 1970, such as 1764000000.5"
        )
    fraction = int((match[2] or "").ljust(9, "0"))
    return int(match[1]) * 10**9 + (-fraction if match[1].startswith("-") else fraction)


def moment(request: web.Request, name: str) -> datetime | None:
    """The same to the microsecond.

    Raises:
        InvalidArgument: see `nanoseconds`.
    """
    value = nanoseconds(request, name)
    if value is None:
        return None
    try:
        return _EPOCH + timedelta(microseconds=value // 1000)
    except OverflowError as error:
        raise InvalidArgument(f"query parameter {name}={value} is beyond the year 9999") from error


def filters(request: web.Request, known: Iterable[str]) -> Filters:
    """The filters, in both of docker's forms: `{"k": ["v"]}` and `{"k": {"v": true}}`.

    Args:
        request: with the query parameter `filters`.
        known: the filters that there are.

    Raises:
        InvalidArgument: not JSON, another form, or an unknown filter.
    """
    text = request.query.get("filters", "")
    document = _parsed(text, "query parameter filters") if text else {}
    if not isinstance(document, dict):
        raise InvalidArgument(f"query parameter filters: expected a JSON object, not {_kind(document)}")
    names = sorted(known)
    found: dict[str, tuple[str, ...]] = {}
    for name, values in document.items():
        if name not in names:
            raise InvalidArgument(f"invalid filter {name[:80]!r}; there are {', '.join(names)}")
        found[name] = _filter_values(name, values)
    return found


def _filter_values(name: str, values: Any) -> tuple[str, ...]:
    if isinstance(values, dict):
        values = [value for value, wanted in values.items() if wanted]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InvalidArgument(f"invalid filter {name}: expected a list of texts")
    return tuple(values)


async def json_object(request: web.Request, *, optional: bool = False) -> dict[str, Any]:
    """The body, an object of JSON.

    Args:
        request: of which it is.
        optional: no body is an empty object.

    Raises:
        InvalidArgument: it is none.
    """
    body = await request.read()
    if not body.strip():
        if optional:
            return {}
        raise InvalidArgument("invalid JSON: the request has no body")
    document = _parsed(body, "invalid JSON")
    if document is None and optional:
        return {}
    if not isinstance(document, dict):
        raise InvalidArgument(f"invalid JSON: expected an object, not {_kind(document)}")
    return document


def _parsed(text: str | bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{what}: {error}") from error


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "null")
