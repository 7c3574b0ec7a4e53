"""The execs that the engine knows: they live as long as their container's run."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field

from pouch_hookspecs import Process
from pouch_hookspecs.errors import NotFound


@dataclass(frozen=True)
class ExecConfig:
    """A further process as it is asked for.

    Attributes:
        args: command and arguments.
        env: `NAME=value`, on top of the container's.
        working_dir: empty: the container's.
        user: empty: the container's.
        terminal: a pseudo-terminal.
        stdin: standard input can be written to.
        privileged: all capabilities that this host grants.
        attach_stdin: docker's record.
        attach_stdout: docker's record.
        attach_stderr: docker's record.
        detach_keys: docker's record.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    terminal: bool = False
    stdin: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""


@dataclass
class Exec:
    """An exec and how it is.

    Attributes:
        id: 64 hexadecimal digits.
        container_id: where it runs.
        config: see `ExecConfig`.
        process: as the runtime got it; None before the start.
        pid: of the supervised process; None before the start.
        exit: resolved with its exit code.
        settled: the runtime has answered its start: nobody needs its directory any more once it has ended.
    """

    id: str
    container_id: str
    config: ExecConfig
    process: Process | None = None
    pid: int | None = None
    started: bool = False
    exit: Future[int] = field(default_factory=Future)
    settled: threading.Event = field(default_factory=threading.Event)

    def ended(self, code: int) -> None:
        """It has ended; only the first word counts."""
        with contextlib.suppress(InvalidStateError):
            self.exit.set_result(code)

    @property
    def running(self) -> bool:
        """It was started and has not ended."""
        return self.pid is not None and not self.exit.done()


class Execs:
    """The table, in memory only: after a daemon restart execs run on, and nobody can ask for them any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._execs: dict[str, Exec] = {}

    def add(self, exec_: Exec) -> None:
        """Remember one."""
        with self._lock:
            self._execs[exec_.id] = exec_

    def get(self, exec_id: str) -> Exec:
        """Find by id.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            found = self._execs.get(exec_id)
        if found is None:
            raise NotFound(f"no such exec instance: {exec_id[:12]}")
        return found

    def of(self, container_id: str) -> list[Exec]:
        """All of one container."""
        with self._lock:
            return [exec_ for exec_ in self._execs.values() if exec_.container_id == container_id]

    def begin(self, exec_: Exec) -> bool:
        """Mark as being started; False if it was before."""
        with self._lock:
            if exec_.started:
                return False
            exec_.started = True
            return True

    def forget(self, container_id: str) -> None:
        """The container is gone."""
        with self._lock:
            for id_ in [id_ for id_, exec_ in self._execs.items() if exec_.container_id == container_id]:
                del self._execs[id_]
