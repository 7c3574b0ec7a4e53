"""Times: what the daemon sends (RFC 3339, seconds) shown to people, and what people write for `--since`."""

from __future__ import annotations

import time

from pouch_engine.cli.errors import CommandError

_DAYS_BEFORE_MONTH = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def elapsed(seconds: float) -> str:
    """Return a length of time for people, in docker's words: `About a minute`, `3 hours`."""
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return f"{int(seconds)} second{'s' if seconds >= 2 else ''}"
    minutes = int(seconds // 60)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = round(seconds / 3600)
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for unit, length, limit in (("day", 24, 24 * 14), ("week", 24 * 7, 24 * 60), ("month", 24 * 30, 24 * 730)):
        if hours < limit:
            return f"{hours // length} {unit}s"
    return f"{hours // (24 * 365)} years"


def ago(timestamp: float) -> str:
    """Return how long ago `timestamp` (seconds since 1970) was: `2 minutes ago`."""
    return f"{elapsed(time.time() - timestamp)} ago"


def parse_rfc3339(text: str) -> float:
    """Return the seconds since 1970 of a time such as `2026-11-24T06:20:13.5Z`; 0 for Go's zero time.

    A text that is no time gives 0 too: the daemon writes it where nothing happened yet.
    """
    try:
        days = _days(int(text[:4]), int(text[5:7]), int(text[8:10]))
        seconds = days * 86400.0 + int(text[11:13]) * 3600 + int(text[14:16]) * 60 + int(text[17:19])
        rest = text[19:]
        digits = len(rest) - len(rest.lstrip(".0123456789"))
        zone = rest[digits:]
        offset = 0 if zone in ("", "Z") else int(zone[:3]) * 3600 + int(zone[0] + zone[4:6]) * 60
    except ValueError:
        return 0.0
    return max(0.0, seconds + float(rest[:digits] or 0) - offset)


def _days(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the Gregorian calendar."""
    full_years = year - 1
    leap = month > 2 and (year % 4 == 0 and (year % 100 != 0 or year % 400 == 0))
    before = 365 * full_years + full_years // 4 - full_years // 100 + full_years // 400
    return before + _DAYS_BEFORE_MONTH[month - 1] + leap + day - 719163


def local_rfc3339(seconds: int, nanoseconds: int) -> str:
    """Return a time in the local zone with nanoseconds: `2026-11-24T06:20:13.579116887Z`."""
    local = time.localtime(seconds)
    minutes = (local.tm_gmtoff or 0) // 60
    sign = "-" if minutes < 0 else "+"
    zone = f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}" if minutes else "Z"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{nanoseconds:09}{zone}"


def since_parameter(text: str | None) -> str | None:
    """Return the API's form ("seconds" or "seconds.nanoseconds") of a time that a user wrote; None stays None.

    Accepted as by docker: a duration before now (`42m`, `1h30m`), seconds since 1970, a date (`2026-11-24`) or a time
    (`2026-11-24T06:20`, with seconds, fraction and zone if wanted; the local zone if not). Raises CommandError.
    """
    if not text:
        return None
    if text.replace(".", "", 1).isdecimal() and text[0] != ".":
        return text
    duration = parse_duration(text)
    moment = time.time() - duration if duration is not None else _parse_date(text)
    return f"{moment:.9f}"


def parse_duration(text: str) -> float | None:
    """Return the seconds of a duration as Go writes it (`1h30m`, `1.5s`), None when `text` is none."""
    total = 0.0
    rest = text
    while rest:
        after_number = rest.lstrip("0123456789.")
        number = rest[: len(rest) - len(after_number)]
        rest = after_number.lstrip("hmsnuµ")
        unit = after_number[: len(after_number) - len(rest)]
        if unit not in _UNITS or not number.replace(".", "", 1).isdecimal():
            return None
        total += float(number) * _UNITS[unit]
    return total if text else None


def _parse_date(text: str) -> float:
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text)  # without a zone: local time, as docker has it
    except ValueError:
        raise CommandError(
            f"invalid time {text!r}: expected a duration such as 42m, seconds since 1970, "
            "or a time such as 2026-11-24T06:20:00Z"
        ) from None
    return moment.timestamp()
