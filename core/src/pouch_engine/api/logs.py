"""GET /containers/{id}/logs: what a container wrote, and goes on writing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from aiohttp import web

from pouch_engine.containers.logs import Entry, Follower, LogFiles
from pouch_engine.containers.record import Container
from pouch_engine.containers.waits import Exit
from pouch_engine.engine import Engine
from pouch_hookspecs.errors import InvalidArgument

from . import queries
from .errors import broken_off_on_error
from .frames import STDERR, STDOUT, content_type, frame
from .handover import Handover
from .keys import ENDLESS, ENGINE, WORKERS
from .versions import version_of

_BATCH = 65536


@dataclass(frozen=True)
class Wanted:
    """What of a log a client wants, and how.

    Attributes:
        stdout: entries of standard output.
        stderr: entries of standard error.
        timestamps: before each line, docker's form of its time.
        since: not older.
        until: not younger.
        tail: the last so many lines; None: all.
        terminal: no frames.
    """

    stdout: bool
    stderr: bool
    timestamps: bool = False
    since: datetime | None = None
    until: datetime | None = None
    tail: int | None = None
    terminal: bool = False

    def encode(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """Give the entries of the chosen streams as the client gets them."""
        begins = {"stdout": True, "stderr": True}
        for entry in entries:
            first, begins[entry.stream] = begins[entry.stream], entry.whole
            if not (self.stdout if entry.stream == "stdout" else self.stderr):
                continue
            data = entry.data
            if self.timestamps and first:
                data = f"{docker_time(entry.time)} ".encode() + data
            yield data if self.terminal else frame(STDOUT if entry.stream == "stdout" else STDERR, data)


def docker_time(text: str) -> str:
    """RFC 3339 in UTC with nanoseconds, from the log's time, which has the zone of the host."""
    head, _, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :]
    try:
        moment = datetime.fromisoformat(head + zone).astimezone(UTC)
    except ValueError:  # a damaged entry is shown as it is
        return text
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{digits:0<9.9}Z"


def batches(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces: a write for each line of a big log takes too long."""
    batch = bytearray()
    for piece in pieces:
        batch += piece
        if len(batch) >= _BATCH:
            yield bytes(batch)
            batch.clear()
    if batch:
        yield bytes(batch)


async def container_logs(request: web.Request) -> web.StreamResponse:
    """Answer with the log."""
    engine, workers = request.app[ENGINE], request.app[WORKERS]
    name = request.match_info["name"]
    container = await workers.look(engine.container, name)
    wanted = _wanted(request, container)
    log = await workers.look(engine.container_logs, container.id)
    response = web.StreamResponse(headers={"Content-Type": content_type(version_of(request), terminal=wanted.terminal)})
    follow = queries.boolean(request, "follow") and container.state.running
    handover = Handover()
    reader = _Reader(engine, log, wanted, handover, container.id if follow else None)
    with request.app[ENDLESS].until_shutdown():
        try:
            await response.prepare(request)
            with broken_off_on_error(request):
                reader.start()
                while data := await handover.take():
                    await response.write(data)
                reader.raise_failure()
        finally:
            reader.stop()
            handover.close()
    await response.write_eof()
    return response


def _wanted(request: web.Request, container: Container) -> Wanted:
    stdout, stderr = queries.boolean(request, "stdout"), queries.boolean(request, "stderr")
    if not (stdout or stderr):
        raise InvalidArgument("Bad parameters: you must choose at least one stream (stdout=1, stderr=1)")
    tail = request.query.get("tail", "all")
    if tail not in ("all", "") and not (tail.isascii() and tail.isdecimal() and len(tail) < 10):
        tail = "all"  # docker: what is no number of lines means all
    return Wanted(
        stdout=stdout,
        stderr=stderr,
        timestamps=queries.boolean(request, "timestamps"),
        since=queries.moment(request, "since"),
        until=queries.moment(request, "until"),
        tail=None if tail in ("all", "") else int(tail),
        terminal=container.config.terminal,
    )


class _Reader(threading.Thread):
    """Reads the log, and follows it to the container's end if `follow` names it: reading files blocks."""

    def __init__(self, engine: Engine, log: LogFiles, wanted: Wanted, handover: Handover, follow: str | None) -> None:
        super().__init__(name="api-logs", daemon=True)
        self._engine = engine
        self._log = log
        self._wanted = wanted
        self._handover = handover
        self._follow = follow
        self._guard = threading.Lock()
        self._follower: Follower | None = None
        self._end: Future[Exit] | None = None
        self._stopped = False
        self._signalled = False
        self._last = ""
        self._failure: Exception | None = None

    def run(self) -> None:
        """Hand over what there is, then what comes."""
        try:
            self._begin_to_follow()
            if all(self._handover.put(data) for data in batches(self._wanted.encode(self._history()))):
                self._go_on()
        except Exception as error:
            self._failure = error
        finally:
            self._close()
            self._handover.finish()

    def stop(self) -> None:
        """Nobody reads any longer."""
        self._stopped = True
        self._signal(Follower.stop)

    def raise_failure(self) -> None:
        """Let the request fail with what failed here."""
        if self._failure is not None:
            raise self._failure

    def _begin_to_follow(self) -> None:
        """Before the history is read, so that nothing is missed between the two."""
        if self._follow is None or self._stopped:
            return
        self._follower = Follower(self._log)
        self._end = self._engine.container_wait(self._follow, "not-running")
        self._end.add_done_callback(lambda _: self._signal(Follower.finish))
        if self._stopped:  # between the first look and the follower's making
            self._signal(Follower.stop)

    def _signal(self, call: Callable[[Follower], None]) -> None:
        """Tell the follower to end, once: after that it closes its descriptors, and their numbers are others'."""
        with self._guard:
            if self._follower is not None and not self._signalled:
                self._signalled = True
                call(self._follower)

    def _history(self) -> Iterator[Entry]:
        for entry in self._log.read(since=self._wanted.since, until=self._wanted.until, tail=self._wanted.tail):
            self._last = entry.time
            yield entry

    def _go_on(self) -> None:
        if self._follower is None:
            return
        entries = cast("Generator[Entry, None, None]", self._follower.entries())
        try:
            for data in self._wanted.encode(self._new(entries)):
                if not self._handover.put(data):
                    return
        finally:
            with self._guard:
                self._follower = None
                entries.close()

    def _close(self) -> None:
        """End what was begun, also a follower that was never read: it closes its files when its entries end."""
        if self._end is not None:
            self._end.cancel()
        self._signal(Follower.stop)
        with self._guard:
            follower, self._follower = self._follower, None
        if follower is not None:
            list(follower.entries())

    def _new(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """Without those that were written while the history was read, which has them already."""
        last = docker_time(self._last)
        old = bool(last)
        for entry in entries:
            old = old and docker_time(entry.time) <= last
            if old:
                continue
            if self._wanted.until is not None and entry.moment() > self._wanted.until:
                return
            yield entry
