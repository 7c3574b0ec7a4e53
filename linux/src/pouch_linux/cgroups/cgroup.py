"""One cgroup, as the engine sees it, whatever the version: its processes, its end and its usage."""

from __future__ import annotations

import errno
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from pouch_linux.pidfd import ProcessIdentity

_KILL_ROUNDS = 100
_RELEASE_POLL = 0.005  # seconds; the kernel frees an empty cgroup's last references without an event


@dataclass(frozen=True, slots=True)
class CgroupUsage:
    """What a cgroup and those below it use and have used. None: the controller is not there, or there is no
    limit.
    """

    memory_usage_bytes: int | None
    memory_inactive_file_bytes: int | None
    """The part of the usage that is cache and can be had back at once."""
    memory_limit_bytes: int | None
    oom_kills: int | None
    cpu_usage_ns: int | None
    pids_current: int | None
    pids_limit: int | None
    io_read_bytes: int | None
    io_write_bytes: int | None


class Cgroup(ABC):
    """A cgroup by its path below the mount point of each hierarchy ("/pouch/ID")."""

    def __init__(self, path: str, hierarchies: tuple[str, ...]) -> None:
        parts = path.split("/")
        if not path.startswith("/") or ".." in parts or "\0" in path or not path.strip("/"):
            raise ValueError(f'cgroup path {path!r} must be absolute, not the root, and without ".."')
        self.path = "/" + "/".join(part for part in parts if part not in ("", "."))
        self.directories = tuple(hierarchy + self.path for hierarchy in hierarchies)

    @abstractmethod
    def create(self) -> None:
        """Makes it in each hierarchy, with its parents. Idempotent. Raises OSError."""

    @abstractmethod
    def usage(self) -> CgroupUsage:
        """What it uses now. Fields are None where it does not exist."""

    def exists(self) -> bool:
        """Whether it is there in any hierarchy."""
        return any(os.path.isdir(directory) for directory in self.directories)

    def add(self, pid: int) -> None:
        """Moves a process here, in each hierarchy. Raises OSError, ProcessLookupError if it has ended."""
        for directory in self.directories:
            with open(f"{directory}/cgroup.procs", "wb", buffering=0) as file:
                file.write(b"%d" % pid)

    def processes(self) -> list[int]:
        """The processes here and in all cgroups below, in any hierarchy; those of other pid namespaces are
        left out.
        """
        found: set[int] = set()
        for directory in self.directories:
            for below in _bottom_up(directory):
                found.update(int(pid) for pid in (read(f"{below}/cgroup.procs") or "").split())
        return sorted(found - {0})

    def kill(self) -> None:
        """Sends SIGKILL to all processes here and below until none is left that has not got it. Idempotent."""
        signalled: set[ProcessIdentity] = set()
        for _ in range(_KILL_ROUNDS):
            known = {identity for pid in self.processes() if (identity := _identity(pid))}
            # Listed before and after its start time was read: the number was this process's all the time.
            still_here = set(self.processes())
            new = {each for each in known if each.pid in still_here} - signalled
            if not new:
                return
            for each in new:
                each.signal(signal.SIGKILL)
            signalled |= new
        raise OSError(errno.EBUSY, "processes are made faster than they can be killed", self.path)

    def remove(self, timeout: float = 5.0) -> None:
        """Removes it and all below it in each hierarchy, once its processes have ended. Idempotent.

        Waits for them at most `timeout` seconds, then raises OSError (EBUSY), naming them.
        """
        ends_at = time.monotonic() + timeout
        while any(not _remove_tree(directory) for directory in self.directories):
            left = ends_at - time.monotonic()
            processes = self.processes()
            if left <= 0:
                raise OSError(errno.EBUSY, f"still has processes {processes}", self.path)
            if not any(self._wait_for(pid, left) for pid in processes):
                time.sleep(_RELEASE_POLL)

    @staticmethod
    def _wait_for(pid: int, timeout: float) -> bool:
        """Whether there was something to wait for; a process that has ended stays listed for a moment."""
        identity = _identity(pid)
        if identity is None or not identity.alive():
            return False
        identity.wait(timeout)
        return True


def _identity(pid: int) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.of(pid)
    except ProcessLookupError:
        return None


def _bottom_up(directory: str) -> Iterator[str]:
    """The cgroup's directory and all below it, children before parents; nothing if it is gone."""
    for root, _, _ in os.walk(directory, topdown=False):
        yield root


def _remove_tree(directory: str) -> bool:
    """Removes what can be removed; False if something is still busy."""
    for each in _bottom_up(directory):
        try:
            os.rmdir(each)
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            return False
    return True


def make_directories(path: str) -> None:
    """Makes a cgroup and those above it, mode 0755 whatever the umask: containers look at theirs. Raises OSError."""
    if os.path.isdir(path):
        return
    make_directories(os.path.dirname(path))
    try:
        os.mkdir(path)
    except FileExistsError:
        return
    os.chmod(path, 0o755)  # noqa: S103


def read(path: str) -> str | None:
    """A cgroup file's content; None if the file or its cgroup does not exist (any more)."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        # ENODEV: removed while it was open. EOPNOTSUPP: cgroup.procs of a threaded cgroup.
        if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):
            return None
        raise


def read_number(path: str) -> int | None:
    """A file that holds one number; None also for "max"."""
    text = (read(path) or "").strip()
    return int(text) if text.isdigit() else None


def read_table(path: str) -> dict[str, int]:
    """A file of lines "key number", such as memory.stat; empty if it does not exist."""
    pairs = (line.split() for line in (read(path) or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
