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
LINE_LIMIT = 1 << 16
"""No line of the file is longer: supervisors split what a container writes (conmon at 8 KiB)."""


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


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a log: which file, and how many bytes of it. Rotation renames a file, and leaves its inode."""

    inode: int
    offset: int


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
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        tail: int | None = None,
        end: Position | None = None,
    ) -> Iterator[Entry]:
        """All entries that are there now, oldest first.

        Args:
            since: not older than this.
            until: not younger than this.
            tail: the last so many lines of those.
            end: nothing behind this place: where a `Follower` begins.
        """
        entries = (entry for entry in self._entries(end) if _within(entry, since, until))
        if tail is None:
            yield from entries
        else:
            yield from _last_lines(entries, tail)

    def _entries(self, end: Position | None) -> Iterator[Entry]:
        for path in self.files():
            with path.open("rb") as file:
                last = end is not None and os.fstat(file.fileno()).st_ino == end.inode
                left = end.offset if end is not None and last else None
                for line in file:
                    if left is not None:
                        left -= len(line)
                        if left < 0:
                            break
                    entry = parse(line.removesuffix(b"\n")) if line.endswith(b"\n") else None
                    if entry is not None:
                        yield entry
                if last:
                    return


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

    Make it before reading what is there, and read that up to `start`: nothing is missed, and nothing comes twice.

    Attributes:
        start: the end of the newest file as it was when this was made; None where there was none yet.
    """

    def __init__(self, log: LogFiles) -> None:
        self._log = log
        self._inotify = Inotify()
        self._inotify.add(log.path.parent, Mask.MODIFY | Mask.CREATE | Mask.MOVED_TO)
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC)
        self._guard = threading.Lock()
        self._closed = False
        self._finish = threading.Event()
        self._stopped = threading.Event()
        self._file = _opened(log.path)
        self._rest = b""
        self.start = self._go_to_end(self._file) if self._file is not None else None

    @staticmethod
    def _go_to_end(file: int) -> Position:
        """The end of the last whole line: a line that is just being written is for the follower."""
        size = os.lseek(file, 0, os.SEEK_END)
        tail = os.pread(file, LINE_LIMIT, max(0, size - LINE_LIMIT))
        size -= len(tail) - (tail.rfind(b"\n") + 1)
        os.lseek(file, size, os.SEEK_SET)
        return Position(os.fstat(file).st_ino, size)

    def finish(self) -> None:
        """The container has ended: give what is written already, then end."""
        self._finish.set()
        self._wake()

    def stop(self) -> None:
        """Nobody reads any longer: end at once."""
        self._stopped.set()
        self._wake()

    def _wake(self) -> None:
        with self._guard:
            if not self._closed:
                os.write(self._wake_write, b"w")

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
            self.close()

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

    def close(self) -> None:
        """Close everything; again is fine. Only while no other thread is in `entries`."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            for fd in (self._file, self._wake_read, self._wake_write):
                if fd is not None:
                    os.close(fd)
            self._inotify.close()


def _opened(path: Path) -> int | None:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
