"""Running a command with a deadline and a limit of output, see setsid(2), poll(2), pidfd_open(2)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_CHUNK = 1 << 16
_KILLED_WITHIN = 5.0  # seconds in which a killed process ends, unless the kernel is stuck in it
_POLL_WITHOUT_PIDFD = 0.01  # seconds; kernels before 5.3


@dataclass(frozen=True, slots=True)
class CompletedCommand:
    """A command that has ended. `returncode` is negative for a signal; `truncated`: output beyond the limit
    is lost.
    """

    args: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes
    truncated: bool


class CommandTimeout(TimeoutError):
    """The command missed its deadline and was killed with its process group; carries what it had said so
    far.
    """

    def __init__(self, args: Sequence[str], deadline: float, stdout: bytes, stderr: bytes) -> None:
        super().__init__(f"{' '.join(args)} did not end within {deadline:g} seconds and was killed")
        self.command = tuple(args)
        self.deadline = deadline
        self.stdout = stdout
        self.stderr = stderr


def run(
    args: Sequence[str],
    *,
    deadline: float,
    stdin: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: str = "/",
    pass_fds: Sequence[int] = (),
    output_limit: int = 1 << 20,
) -> CompletedCommand:
    """Runs a command to its end and returns what it said, whatever its exit code.

    It gets a session and process group of its own, closed descriptors except `pass_fds` (same numbers),
    `env` (default: ours) and `stdin` (default: /dev/null). `deadline` is in seconds from now. At most
    `output_limit` bytes of each of stdout and stderr are kept; the rest is read and thrown away. Returns
    once the command itself has ended, even if a child of it keeps the pipes open; such children live on.

    Raises CommandTimeout, and OSError if the command could not be started (FileNotFoundError,
    PermissionError).
    """
    ends_at = time.monotonic() + deadline
    process = subprocess.Popen(
        args,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=True,
        bufsize=0,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    stdout, stderr = (_Output(pipe.fileno(), output_limit) for pipe in (process.stdout, process.stderr))
    try:
        _converse(process, stdin or b"", (stdout, stderr), ends_at)
    except _DeadlineMissed:
        raise CommandTimeout(args, deadline, bytes(stdout.kept), bytes(stderr.kept)) from None
    finally:
        _kill_unless_ended(process)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    return CompletedCommand(
        tuple(args),
        process.returncode,
        bytes(stdout.kept),
        bytes(stderr.kept),
        stdout.truncated or stderr.truncated,
    )


class _DeadlineMissed(Exception):
    pass


class _Output:
    """The reading end of one pipe and what is kept of it."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self.descriptor = descriptor
        self.kept = bytearray()
        self.truncated = False
        self._limit = limit
        os.set_blocking(descriptor, False)

    def read(self) -> int:
        """Takes one chunk; returns its size, 0 at the end. Raises BlockingIOError if there is none."""
        chunk = os.read(self.descriptor, _CHUNK)
        room = self._limit - len(self.kept)
        self.kept += chunk[:room]
        self.truncated = self.truncated or len(chunk) > room
        return len(chunk)

    def read_rest(self) -> None:
        """Takes what the pipe holds now, and not what somebody who still has it open goes on writing."""
        left = fcntl.fcntl(self.descriptor, fcntl.F_GETPIPE_SZ)
        try:
            while left > 0 and (size := self.read()):
                left -= size
        except BlockingIOError:
            return


def _converse(process: subprocess.Popen[bytes], stdin: bytes, outputs: Sequence[_Output], ends_at: float) -> None:
    """Feeds and reads the command until it has ended."""
    poll = select.poll()
    by_descriptor = {output.descriptor: output for output in outputs}
    for descriptor in by_descriptor:
        poll.register(descriptor, select.POLLIN)
    writer = _Input(process, stdin, poll)
    pidfd = _pidfd(process.pid)
    try:
        if pidfd is not None:
            poll.register(pidfd, select.POLLIN)
        while True:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise _DeadlineMissed
            wait = left if pidfd is not None else min(left, _POLL_WITHOUT_PIDFD)
            for descriptor, _ in poll.poll(wait * 1000 + 1):
                if output := by_descriptor.get(descriptor):
                    if not output.read():
                        poll.unregister(descriptor)
                elif descriptor != pidfd:
                    writer.write()
            if process.poll() is not None:
                break
    finally:
        if pidfd is not None:
            os.close(pidfd)
    for output in outputs:
        output.read_rest()


class _Input:
    """The writing end of the command's stdin, closed when all is written or nobody reads."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes, poll: select.poll) -> None:
        self._pipe = process.stdin
        self._left = memoryview(data)
        self._poll = poll
        if self._pipe is not None:
            os.set_blocking(self._pipe.fileno(), False)
            poll.register(self._pipe.fileno(), select.POLLOUT)

    def write(self) -> None:
        assert self._pipe is not None
        try:
            self._left = self._left[os.write(self._pipe.fileno(), self._left[:_CHUNK]) :]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left:
            self._poll.unregister(self._pipe.fileno())
            self._pipe.close()


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return None


def _kill_unless_ended(process: subprocess.Popen[bytes]) -> None:
    """Ends the process group. Its leader is not reaped yet, so the number cannot be another group's."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        # A process stuck in the kernel does not end; the next Popen of this process reaps it one day.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_WITHIN)
