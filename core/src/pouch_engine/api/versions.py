"""Versions of Docker's Engine API: those that are spoken, and the prefix that says which one is meant."""

from __future__ import annotations

from importlib import metadata

from aiohttp import web

from pouch_hookspecs.errors import InvalidArgument

Version = tuple[int, int]

OLDEST: Version = (1, 24)
NEWEST: Version = (1, 43)
PREFIXES = ("", "/v{version:[0-9]+[.][0-9]+}")
"""Of every route: without a version the newest is meant."""

POUCH_VERSION = metadata.version("pouch-engine")


def text(version: Version) -> str:
    """Write a version: `1.43`."""
    return f"{version[0]}.{version[1]}"


def version_of(request: web.Request) -> Version:
    """The version that a request speaks.

    Raises:
        InvalidArgument: it is too new or too old, in docker's words.
    """
    said = request.match_info.get("version")
    if said is None:
        return NEWEST
    major, _, minor = said.partition(".")
    version = (int(major[:9]), int(minor[:9]))
    if version > NEWEST:
        raise InvalidArgument(f"client version {said} is too new. Maximum supported API version is {text(NEWEST)}")
    if version < OLDEST:
        raise InvalidArgument(
            f"client version {said} is too old. Minimum supported API version is {text(OLDEST)}, "
            "please upgrade your client to a newer version"
        )
    return version
