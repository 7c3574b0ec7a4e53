"""Processes that cannot be mistaken for others that got their number later: pidfd_open(2),
proc_pid_stat(5).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

_POLL_WITHOUT_PIDFD = 0.02  # seconds; kernels before 5.3


def pidfd_open(pid: int) -> int:
    """pidfd_open(2): a descriptor that becomes readable when the process has ended; close it with os.close.

    Raises ProcessLookupError if there is no such process, OSError (ENOSYS) before Linux 5.3.
    """
    return os.pidfd_open(pid)


def process_start_time(pid: int) -> int:
    """When the process was started, in clock ticks since boot: field 22 of /proc/PID/stat.

    Raises ProcessLookupError if there is no such process.
    """
    return int(_stat_fields(pid)[19])


def _stat_fields(pid: int) -> list[bytes]:
    """From field 3 (the state) on; the name before it may contain anything, also spaces and brackets."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(errno.ESRCH, f"no process {pid}") from None


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """A process by number and start time, which together are not used twice until the next boot."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this number now. Raises ProcessLookupError."""
        return cls(pid, process_start_time(pid))

    def alive(self) -> bool:
        """Whether it has not ended; a zombie has."""
        return not self.wait(0)

    def signal(self, signum: int) -> bool:
        """Sends a signal to exactly this process. False if it has ended. Raises PermissionError,
        ValueError.
        """
        with self._opened() as pidfd:
            if pidfd is None:
                return False
            try:
                if pidfd < 0:
                    os.kill(self.pid, signum)
                else:
                    signal.pidfd_send_signal(pidfd, signum)
            except ProcessLookupError:
                return False
            return True

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until it has ended, at most `timeout` seconds (None: however long). Does not reap. False if
        it lives on.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        with self._opened() as pidfd:
            if pidfd is None:
                return True
            if pidfd < 0:
                return self._wait_without_pidfd(ends_at)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            return bool(poll.poll(None if timeout is None else timeout * 1000))

    @contextmanager
    def _opened(self) -> Iterator[int | None]:
        """A pidfd of the process, None if it has ended, -1 if this kernel has none."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
            yield -1 if self._exists() else None
            return
        try:
            # Only now is the number held by what the descriptor names: compare after it was opened.
            yield pidfd if self._exists() else None
        finally:
            os.close(pidfd)

    def _exists(self) -> bool:
        try:
            return process_start_time(self.pid) == self.start_time
        except ProcessLookupError:
            return False

    def _wait_without_pidfd(self, ends_at: float | None) -> bool:
        while self._exists() and _stat_fields(self.pid)[0] not in (b"Z", b"X"):
            if ends_at is not None and time.monotonic() >= ends_at:
                return False
            time.sleep(_POLL_WITHOUT_PIDFD)
        return True
