"""Processes as ps(1) shows them, for GET /containers/{id}/top."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from pouch_hookspecs import TaskProcess
from pouch_hookspecs.errors import InvalidArgument

FULL = ("uid", "pid", "ppid", "c", "stime", "tty", "time", "cmd")
"""The columns of `ps -ef`."""

_OTHER_NAMES = {
    "user": "uid",
    "euid": "uid",
    "pcpu": "c",
    "%cpu": "c",
    "start": "stime",
    "start_time": "stime",
    "tt": "tty",
    "tname": "tty",
    "cputime": "time",
    "args": "cmd",
    "command": "cmd",
}


def chosen_columns(arguments: str) -> tuple[str, ...]:
    """The columns that ps arguments ask for: none, `-ef`, or `-o LIST` with or without `e`.

    Raises:
        InvalidArgument: other arguments, or a column that is not known.
    """
    words = arguments.split()
    if words in ([], ["-ef"], ["-e", "-f"]):
        return FULL
    option, *lists = words
    if option not in ("-o", "o", "-eo") or len(lists) != 1:
        raise InvalidArgument(
            f"ps arguments {arguments[:80]!r} are not supported: expected -ef (the default), or -o COLUMN,…"
        )
    names = [_OTHER_NAMES.get(name.lower(), name.lower()) for name in lists[0].split(",")]
    for name in names:
        if name not in FULL:
            raise InvalidArgument(f"ps column {name[:80]!r} is not known; there are: {', '.join(FULL)}")
    return tuple(names)


def processes(found: Iterable[TaskProcess], columns: Sequence[str] = FULL) -> dict[str, Any]:
    """The answer; users are numbers, since their names are the container's matter."""
    now = datetime.now(UTC)
    rows = [[_COLUMNS[column](process, now) for column in columns] for process in found]
    return {"Titles": [column.upper() for column in columns], "Processes": rows}


def _utilization(process: TaskProcess, now: datetime) -> str:
    """Percent of a processor since its start, as ps(1) has it."""
    lifetime = (now - process.started_at).total_seconds() if process.started_at else 0
    return str(int(process.cpu_ns / 1e7 / lifetime) if lifetime > 0 else 0)


def _clock(process: TaskProcess, _: datetime) -> str:
    total = process.cpu_ns // 10**9
    return f"{total // 3600:02d}:{total // 60 % 60:02d}:{total % 60:02d}"


def _start(process: TaskProcess, _: datetime) -> str:
    return process.started_at.astimezone().strftime("%H:%M") if process.started_at else "-"


_COLUMNS: dict[str, Callable[[TaskProcess, datetime], str]] = {
    "uid": lambda process, _: str(process.uid),
    "pid": lambda process, _: str(process.pid),
    "ppid": lambda process, _: str(process.ppid),
    "c": _utilization,
    "stime": _start,
    "tty": lambda process, _: process.tty,
    "time": _clock,
    "cmd": lambda process, _: process.args,
}
