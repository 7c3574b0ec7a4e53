"""Amounts of bytes as people write them: `512m`, `1.5g`, `2000K`, `10gb`, in any case."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

from pydantic import BeforeValidator

_UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}
_FORM = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([bkmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


def parse_size(value: object) -> int:
    """Read an amount of bytes; numbers are taken as they are, units are powers of 1024.

    Raises:
        ValueError: the text is not a number with an optional unit, or is negative.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"size {value} is negative")
        return value
    match = _FORM.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a size; write a number with an optional unit b, k, m, g or t, such as 512m")
    return int(Fraction(match[1]) * _UNITS[match[2].lower()])


Size = Annotated[int, BeforeValidator(parse_size)]
"""A field that accepts `512m`, `1.5g` or a plain number and holds bytes."""
