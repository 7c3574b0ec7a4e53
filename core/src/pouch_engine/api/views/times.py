"""Times as docker writes them, for machines and for people."""

from __future__ import annotations

from datetime import UTC, datetime

ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: it never happened."""


def timestamp(moment: datetime | None) -> str:
    """RFC 3339 in UTC, as Go writes it; `ZERO` for None."""
    if moment is None:
        return ZERO
    moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}Z"


def timestamp_ns(nanoseconds: int) -> str:
    """The same of nanoseconds since 1970."""
    whole, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def seconds(moment: datetime | None) -> int:
    """Since 1970; 0 for None."""
    if moment is None:
        return 0
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def duration(length: float) -> str:
    """A length of time in docker's words (go-units HumanDuration), of seconds: `2 minutes`, `About an hour`."""
    if length < 1:
        return "Less than a second"
    if length < 60:
        return "1 second" if int(length) == 1 else f"{int(length)} seconds"
    minutes, hours = int(length // 60), int(length / 3600 + 0.5)
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for unit, size, limit in (("days", 24, 24 * 14), ("weeks", 24 * 7, 24 * 60), ("months", 24 * 30, 24 * 730)):
        if hours < limit:
            return f"{hours // size} {unit}"
    return f"{int(length / 3600) // (24 * 365)} years"
