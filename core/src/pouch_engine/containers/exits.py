"""Noticing that processes have ended: exit files appear by rename, and are never polled for."""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pouch_linux.inotify import Inotify, Mask
from pouch_linux.pidfd import pidfd_open

log = logging.getLogger(__name__)

Callback = Callable[[str, int | None], None]
GRACE_SECONDS = 5.0
"""So long after a supervised process's end its exit file may take to appear; then the supervisor must be dead."""


def _nobody_asked(container_id: str, code: int | None) -> None:
    log.error("container %s ended with %s, and nobody was to be told", container_id, code)


class ExitWatcher:
    """One thread that watches the directory of containers' exit files, and those of execs.

    Callbacks get the container's id and the exit code, None where the process is gone and nobody wrote one. They are
    called on the watching thread: they hand over and return.

    Args:
        directory: `exits`, for all containers.

    Attributes:
        on_container_end: the callback for containers; set once, before the first of them is expected.
    """

    def __init__(self, directory: Path) -> None:
        self.on_container_end: Callback = _nobody_asked
        self._directory = directory
        self._lock = threading.Lock()
        self._inotify = Inotify()
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._watches: dict[int, Path] = {self._inotify.add(directory, Mask.MOVED_TO): directory}
        self._waiting: dict[Path, Callback] = {}
        self._pidfds: dict[int, Path] = {}
        self._overdue: dict[Path, float] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="exits", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still watches."""
        return self._thread.is_alive()

    def expect(self, path: Path, callback: Callback | None = None) -> None:
        """Call back once when this exit file appears, at once if it is there.

        Args:
            path: `<exit dir>/<container id>`.
            callback: of an exec, whose exit directory is its own; None: `on_container_end`.
        """
        with self._lock:
            self._waiting[path] = callback or self.on_container_end
            if path.parent not in self._watches.values():
                self._watches[self._inotify.add(path.parent, Mask.MOVED_TO)] = path.parent
        if path.exists():
            self._appeared(path)

    def guard(self, path: Path, pid: int) -> None:
        """Also notice that the process ends without an exit file: its supervisor was killed."""
        try:
            fd = pidfd_open(pid)
        except OSError:  # it has ended already: the file, or the grace period, tells
            with self._lock:
                self._overdue[path] = time.monotonic() + GRACE_SECONDS
            self._wake()
            return
        with self._lock:
            self._pidfds[fd] = path
        self._wake()

    def forget(self, path: Path) -> None:
        """Nobody waits for this exit file any longer."""
        with self._lock:
            self._waiting.pop(path, None)
            self._overdue.pop(path, None)
            self._release(path)

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._wake()
        self._thread.join()
        with self._lock:
            for fd in self._pidfds:
                os.close(fd)
            self._pidfds.clear()
        self._inotify.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"w")
        except BlockingIOError:
            return  # it is awake

    def _watch(self) -> None:
        while not self._closed:
            try:
                self._wait_once()
            except Exception:
                log.exception("watching for exits failed once; going on")

    def _wait_once(self) -> None:
        with self._lock:
            pidfds = list(self._pidfds)
            timeout = min(self._overdue.values(), default=None)
        poller = select.poll()
        for fd in (self._inotify.fileno(), self._wake_read, *pidfds):
            poller.register(fd, select.POLLIN)
        wait_ms = None if timeout is None else max(0, int((timeout - time.monotonic()) * 1000) + 1)
        ready = {fd for fd, _ in poller.poll(wait_ms)}
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._inotify.fileno() in ready:
            self._read_notifications()
        for fd in ready & set(pidfds):
            self._process_ended(fd)
        self._report_overdue()

    def _read_notifications(self) -> None:
        for event in self._inotify.read():
            if Mask.Q_OVERFLOW in event.mask:
                with self._lock:
                    lost = list(self._waiting)
                for path in lost:
                    if path.exists():
                        self._appeared(path)
                continue
            directory = self._watches.get(event.wd)
            if directory is not None and event.name:
                self._appeared(directory / event.name)

    def _process_ended(self, fd: int) -> None:
        with self._lock:
            path = self._pidfds.pop(fd, None)
            if path is None:
                return
            os.close(fd)
            if path in self._waiting:
                self._overdue[path] = time.monotonic() + GRACE_SECONDS

    def _report_overdue(self) -> None:
        now = time.monotonic()
        with self._lock:
            late = [path for path, until in self._overdue.items() if until <= now]
        for path in late:
            self._appeared(path) if path.exists() else self._call(path, None)

    def _appeared(self, path: Path) -> None:
        try:
            code: int | None = int(path.read_text())
        except (OSError, ValueError):
            log.warning("exit file %s can not be read", path)
            code = None
        self._call(path, code)

    def _call(self, path: Path, code: int | None) -> None:
        with self._lock:
            callback = self._waiting.pop(path, None)
            self._overdue.pop(path, None)
            self._release(path)
        if callback is not None:
            callback(path.name, code)

    def _release(self, path: Path) -> None:
        """Close what belongs to this path alone; the lock is held."""
        for fd in [fd for fd, other in self._pidfds.items() if other == path]:
            del self._pidfds[fd]
            os.close(fd)
        if path.parent != self._directory:
            for wd in [wd for wd, directory in self._watches.items() if directory == path.parent]:
                del self._watches[wd]
                self._inotify.remove(wd)
