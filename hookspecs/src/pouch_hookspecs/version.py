"""The version of the contract and the rule that says which plugins fit it.

`MAJOR.MINOR`. A new hook, a new optional field or argument raises MINOR; anything that makes a
correct plugin wrong raises MAJOR. While MAJOR is 0 the contract is still being found: a plugin fits
only the very MINOR that it was written for. From 1.0 on, a plugin for 1.2 works with every 1.x, x >= 2.
"""

from __future__ import annotations

API = "0.1"


def parse_api(text: str) -> tuple[int, int]:
    """Read `MAJOR.MINOR`.

    Raises:
        ValueError: the text is not two decimal numbers with a dot between.
    """
    major, dot, minor = text.partition(".")
    if not (dot and major.isascii() and major.isdecimal() and minor.isascii() and minor.isdecimal()):
        raise ValueError(f"API version {text!r} is not of the form MAJOR.MINOR, such as {API!r}")
    return int(major), int(minor)


def is_compatible(declared: str, offered: str = API) -> bool:
    """Tell whether a plugin written for `declared` works with an engine that offers `offered`.

    Raises:
        ValueError: one of the two is not MAJOR.MINOR.
    """
    plugin, engine = parse_api(declared), parse_api(offered)
    if engine[0] == 0:
        return plugin == engine
    return plugin[0] == engine[0] and plugin[1] <= engine[1]
