"""Reading and rotating a container's log (CRI format; hookspecs/task-contract.md, 1)."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pouch_linux.inotify import Inotify, Mask

CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: a line, or a part of one where `whole` is false."""

    time: str
    stream: str
    text: bytes
    whole: bool

    @property
    def data(self) -> bytes:
        """As the container wrote it."""
        return self.text + b"\n" if self.whole else self.text

    def moment(self) -> datetime:
        """When, to the microsecond."""
        return parse_time(self.time)


def parse_time(text: str) -> datetime:
    """Read RFC 3339 with nanoseconds, which datetime.fromisoformat of Python 3.11 refuses beyond six digits."""
    head, dot, rest = text.partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}"
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse(line: bytes) -> Entry | None:
    """Read one line of the file; None for one that is damaged (a crash of the machine)."""
    fields = line.split(b" ", 3)
    if len(fields) != 4 or fields[1] not in (b"stdout", b"stderr"):
        return None
    return Entry(fields[0].decode("ascii", "replace"), fields[1].decode(), fields[3], fields[2] == b"F")


class LogFiles:
    """A log with its rotated files: `container.log`, `container.log.1` (older), …

    Args:
        path: of the newest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def files(self) -> list[Path]:
        """Oldest first; those that exist."""
        rotated = []
        for number in range(1, 1000):
            path = self.path.with_name(f"{self.path.name}.{number}")
            if not path.exists():
                break
            rotated.append(path)
        return [*reversed(rotated), *([self.path] if self.path.exists() else [])]

    def read(
        self, *, since: datetime | None = None, until: datetime | None = None, tail: int | None = None
    ) -> Iterator[Entry]:
        """All entries that are there now, oldest first.

        Args:
            since: not older than this.
            until: not younger than this.
            tail: the last so many lines of those.
        """
        entries = (entry for entry in self._entries() if _within(entry, since, until))
        if tail is None:
            yield from entries
        else:
            yield from _last_lines(entries, tail)

    def _entries(self) -> Iterator[Entry]:
        for path in self.files():
            with path.open("rb") as file:
                for line in file:
                    entry = parse(line.removesuffix(b"\n")) if line.endswith(b"\n") else None
                    if entry is not None:
                        yield entry

    def size(self) -> int:
        """Bytes in the newest file."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0


def _within(entry: Entry, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    moment = entry.moment()
    return (since is None or moment >= since) and (until is None or moment <= until)


def _last_lines(entries: Iterator[Entry], count: int) -> Iterator[Entry]:
    """The last `count` lines, each with all its parts."""
    if count <= 0:
        return
    lines: deque[list[Entry]] = deque(maxlen=count)
    parts: dict[str, list[Entry]] = {}
    for entry in entries:
        line = parts.setdefault(entry.stream, [])
        line.append(entry)
        if entry.whole:
            lines.append(parts.pop(entry.stream))
    lines.extend(parts.values())
    for line in lines:
        yield from line


class Follower:
    """Entries that are written from now on, across rotation; a blocking iterator for a thread of its own.

    Make it before reading what is there, so that nothing is missed: it starts at `position` in the newest file.

    Args:
        log: which log.
        position: where to begin; None: at the end as it is now.
    """

    def __init__(self, log: LogFiles, position: int | None = None) -> None:
        self._log = log
        self._inotify = Inotify()
        self._inotify.add(log.path.parent, Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._finish = threading.Event()
        self._stopped = threading.Event()
        self._file = _opened(log.path)
        self._rest = b""
        if self._file is not None:
            os.lseek(self._file, 0 if position is None else position, os.SEEK_END if position is None else os.SEEK_SET)

    def finish(self) -> None:
        """The container has ended: give what is written already, then end."""
        self._finish.set()
        os.write(self._wake_write, b"f")

    def stop(self) -> None:
        """Nobody reads any longer: end at once."""
        self._stopped.set()
        os.write(self._wake_write, b"s")

    def entries(self) -> Iterator[Entry]:
        """Give entries until `finish` or `stop`; closes everything at its end."""
        try:
            while not self._stopped.is_set():
                finishing = self._finish.is_set()
                yield from self._drain()
                if finishing:
                    return
                self._wait()
        finally:
            self._close()

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._inotify.fileno(), select.POLLIN)
        poller.register(self._wake_read, select.POLLIN)
        for fd, _ in poller.poll():
            if fd == self._wake_read:
                os.read(self._wake_read, 16)
            else:
                self._inotify.read()

    def _drain(self) -> Iterator[Entry]:
        """All that can be read now; when the file was rotated, the old one to its end, then the new one."""
        while True:
            yield from self._read_file()
            if not self._switch():
                return

    def _read_file(self) -> Iterator[Entry]:
        while self._file is not None and (data := os.read(self._file, CHUNK)):
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                entry = parse(line)
                if entry is not None:
                    yield entry

    def _switch(self) -> bool:
        new = _opened(self._log.path)
        if new is None:
            return False
        if self._file is not None and os.path.sameopenfile(new, self._file):
            os.close(new)
            return False
        if self._file is not None:
            os.close(self._file)
        self._file, self._rest = new, b""
        return True

    def _close(self) -> None:
        for fd in (self._file, self._wake_read, self._wake_write):
            if fd is not None:
                os.close(fd)
        self._inotify.close()


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
