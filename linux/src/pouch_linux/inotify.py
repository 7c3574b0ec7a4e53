"""Watching directories and files, see inotify(7)."""

from __future__ import annotations

import os
import select
import struct
from dataclasses import dataclass
from enum import IntFlag
from types import TracebackType
from typing import Self

from pouch_linux import _libc
from pouch_linux._libc import PathLike

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_BUFFER = 1 << 16


class Mask(IntFlag):
    """What to watch, and what has happened; inotify(7)."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    CLOSE_NOWRITE = 0x10
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x01000000
    DONT_FOLLOW = 0x02000000
    EXCL_UNLINK = 0x04000000
    MASK_ADD = 0x20000000
    ISDIR = 0x40000000
    ONESHOT = 0x80000000


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `wd` is -1 for Q_OVERFLOW: events were lost, look at everything. `name` is "" for the
    watched thing itself.
    """

    wd: int
    mask: Mask
    name: str


class Inotify:
    """One inotify queue. Reading belongs to one thread; watches may be added and removed by others."""

    def __init__(self) -> None:
        self._fd = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, path: PathLike, mask: Mask) -> int:
        """Watches `path` and returns the watch's number; the same again if it is watched already. Raises
        OSError.
        """
        return _libc.inotify_add_watch(self._fd, path, mask)

    def remove(self, wd: int) -> None:
        """Ends a watch; an IGNORED event follows. Raises OSError (EINVAL) if it has ended, say with the
        thing watched.
        """
        _libc.inotify_rm_watch(self._fd, wd)

    def read(self, timeout: float | None = 0.0) -> list[Event]:
        """The events that are there; if none, those that come within `timeout` seconds (None: however
        long), else [].
        """
        self._poll.poll(None if timeout is None else timeout * 1000)
        try:
            buffer = os.read(self._fd, _BUFFER)
        except BlockingIOError:
            return []
        events, offset = [], 0
        while offset < len(buffer):
            wd, mask, _, length = _HEADER.unpack_from(buffer, offset)
            offset += _HEADER.size
            name = buffer[offset : offset + length].rstrip(b"\0")
            offset += length
            events.append(Event(wd, Mask(mask), os.fsdecode(name)))
        return events

    def fileno(self) -> int:
        """The descriptor, readable when events are there; for select, poll and event loops."""
        return self._fd

    def close(self) -> None:
        """Ends all watches. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
