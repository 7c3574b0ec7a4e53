"""Signals by name and number."""

from __future__ import annotations

import signal

from pouch_hookspecs.errors import InvalidArgument


def signal_number(text: str) -> int:
    """Read `KILL`, `SIGKILL`, `9`, `SIGRTMIN+3`.

    Raises:
        InvalidArgument: there is no such signal.
    """
    name = text.upper().removeprefix("SIG")
    if name.isascii() and name.isdecimal() and 0 < int(name) < signal.NSIG:
        return int(name)
    base, plus, offset = name.partition("+")
    if plus and base == "RTMIN" and offset.isascii() and offset.isdecimal() and int(offset) <= 30:
        return signal.SIGRTMIN + int(offset)
    try:
        return signal.Signals[f"SIG{name}"].value
    except KeyError:
        raise InvalidArgument(f"invalid signal: {text}", hint="see signal(7)") from None
