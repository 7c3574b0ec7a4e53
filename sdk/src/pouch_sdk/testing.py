"""What tests of a runtime plugin need: containers driven through the plugin's hooks, as the engine drives them.

with RuntimeHarness(MyRuntime, root=make_busybox_root(tmp_path / "root")) as harness:
    container = harness.container(["echo", "hi"])
    assert container.run() == 0
"""

from __future__ import annotations

import secrets
import select
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pluggy
from pydantic import BaseModel

from pouch_hookspecs import (
    PROJECT,
    ROLES,
    CommonHooks,
    Handler,
    Process,
    Resources,
    Sandbox,
    Size,
    Task,
    TaskIO,
    TaskState,
    User,
)
from pouch_linux.cgroups import open_cgroup
from pouch_linux.inotify import Inotify, Mask
from pouch_linux.mounts import unmount_tree

from .bundles import config as bundle_config
from .bundles import write_bundle

TIMEOUT = 20.0
"""Seconds after which a test gives up waiting."""
_PACKET = 1 << 14
_STDOUT, _STDERR = 2, 3


def wait_for_exit(exit_file: Path, timeout: float = TIMEOUT) -> int:
    """Wait until an exit file is renamed into its directory, and return the code in it.

    Raises:
        TimeoutError: it did not come in time.
    """
    ends_at = time.monotonic() + timeout
    with Inotify() as inotify:
        inotify.add(exit_file.parent, Mask.MOVED_TO)
        while not exit_file.exists():
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{exit_file} did not appear within {timeout:g} seconds")
            inotify.read(left)
    return int(exit_file.read_text())


@dataclass(frozen=True)
class LogEntry:
    """A line of a CRI log: `time`, `stdout` or `stderr`, `P` or `F`, and the text."""

    time: str
    stream: str
    tag: str
    text: bytes


def read_log(path: Path) -> list[LogEntry]:
    """Read a log in CRI format. Raises ValueError for a line that is not of it."""
    entries = []
    for line in path.read_bytes().split(b"\n")[:-1]:
        time_, stream, tag, text = line.split(b" ", 3)
        entries.append(LogEntry(time_.decode(), stream.decode(), tag.decode(), text))
    return entries


def log_text(path: Path, stream: str = "stdout") -> bytes:
    """The bytes that a stream has written, put together from a log."""
    ours = [entry for entry in read_log(path) if entry.stream == stream]
    return b"".join(entry.text + (b"\n" if entry.tag == "F" else b"") for entry in ours)


class Attachment:
    """A client of an attach socket, which keeps what it has read. A context manager."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.stdout = b""
        self.stderr = b""
        self.ended = False

    @classmethod
    def to(cls, attach_dir: Path) -> Self:
        """Connect to the socket in a directory. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(str(attach_dir / "attach"))
        except OSError:
            connection.close()
            raise
        return cls(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Write to the process's standard input."""
        for start in range(0, len(data), _PACKET):
            self._connection.sendall(data[start : start + _PACKET])

    def half_close(self) -> None:
        """End our sending side."""
        self._connection.shutdown(socket.SHUT_WR)

    def read_until(self, wanted: bytes, timeout: float = TIMEOUT) -> bytes:
        """Read until stdout has `wanted` in it, and return stdout. Raises TimeoutError, EOFError."""
        self._read(lambda: wanted in self.stdout, timeout)
        if wanted not in self.stdout:
            raise EOFError(f"the output ended without {wanted!r}: {self.stdout[-200:]!r}")
        return self.stdout

    def read_all(self, timeout: float = TIMEOUT) -> bytes:
        """Read to the end, and return stdout. Raises TimeoutError."""
        self._read(lambda: False, timeout)
        return self.stdout

    def _read(self, enough: Callable[[], bool], timeout: float) -> None:
        ends_at = time.monotonic() + timeout
        while not enough() and not self.ended:
            left = ends_at - time.monotonic()
            if left <= 0 or not select.select([self._connection], [], [], left)[0]:
                raise TimeoutError(f"no end after {timeout:g} seconds; so far {self.stdout[-200:]!r}")
            packet = self._connection.recv(_PACKET)
            if not packet:
                self.ended = True
            elif packet[0] == _STDOUT:
                self.stdout += packet[1:]
            elif packet[0] == _STDERR:
                self.stderr += packet[1:]
            else:
                raise ValueError(f"a packet of the unknown stream {packet[0]}")

    def close(self) -> None:
        """End the connection. Idempotent."""
        self._connection.close()


@dataclass
class Exec:
    """A further process in a container."""

    process: Process
    supervised_pid: int
    attachment: Attachment
    exit_file: Path

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Read its output to the end, wait for its exit file, and return the code."""
        self.attachment.read_all(timeout)
        self.attachment.close()
        return wait_for_exit(self.exit_file, timeout)


class Container:
    """One container of a harness: its task, and the hooks called for it."""

    def __init__(self, harness: RuntimeHarness, task: Task) -> None:
        self.harness = harness
        self.task = task

    @property
    def hooks(self) -> Any:
        """The plugin's hooks."""
        return self.harness.hooks

    def create(self) -> TaskState:
        """`runtime_create`."""
        state: TaskState = self.hooks.runtime_create(task=self.task, checkpoint=None)
        return state

    def start(self) -> None:
        """`runtime_start`."""
        self.hooks.runtime_start(task=self.task)

    def kill(self, signal: int, *, everyone: bool = False) -> None:
        """`runtime_kill`."""
        self.hooks.runtime_kill(task=self.task, signal=signal, everyone=everyone)

    def delete(self, *, force: bool = False) -> None:
        """`runtime_delete`."""
        self.hooks.runtime_delete(task=self.task, force=force)

    def state(self) -> TaskState | None:
        """`runtime_state`."""
        state: TaskState | None = self.hooks.runtime_state(task=self.task)
        return state

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for the exit file, and return the code."""
        return wait_for_exit(self.exit_file, timeout)

    def run(self) -> int:
        """Create, start, wait; the exit code."""
        self.create()
        self.start()
        return self.wait()

    def attach(self) -> Attachment:
        """A new client of the attach socket."""
        return Attachment.to(self.task.io.attach_dir)

    @property
    def exit_file(self) -> Path:
        """Where the exit code appears."""
        return self.task.io.exit_dir / self.task.id

    @property
    def stdout(self) -> bytes:
        """What the log has of standard output."""
        assert self.task.io.log_path is not None
        return log_text(self.task.io.log_path)

    @property
    def stderr(self) -> bytes:
        """What the log has of standard error."""
        assert self.task.io.log_path is not None
        return log_text(self.task.io.log_path, "stderr")

    def exec(
        self,
        args: Sequence[str],
        *,
        env: Sequence[str] = ("PATH=/bin",),
        cwd: str = "/",
        user: User | None = None,
        terminal: bool = False,
        stdin: bool = False,
        stdin_once: bool = True,
        size: Size | None = None,
    ) -> Exec:
        """`runtime_exec`, attached."""
        exec_id = secrets.token_hex(32)
        directory = self.task.bundle.parent / exec_id[:8]
        (directory / "exit").mkdir(parents=True, mode=0o700)
        io = TaskIO(
            log_path=None,
            attach_dir=directory,
            exit_dir=directory / "exit",
            control_fifo=directory / "ctl",
            pid_file=directory / "pid",
            terminal=terminal,
            stdin=stdin,
            stdin_once=stdin_once,
        )
        process = Process(
            exec_id=exec_id, args=tuple(args), env=tuple(env), cwd=cwd, user=user or User(), io=io, size=size
        )
        handle = self.hooks.runtime_exec(task=self.task, process=process)
        connection = None if handle.attach_fd is None else socket.socket(fileno=handle.attach_fd)
        attachment = Attachment.to(directory) if connection is None else Attachment(connection)
        self.harness.on_close(attachment.close)
        return Exec(process, handle.supervised_pid, attachment, io.exit_dir / self.task.id)


class RuntimeHarness:
    """A runtime plugin's handler in directories of its own. A context manager that removes all it made.

    Args:
        driver: the plugin's class.
        root: a root file system to be used by the containers (each writes into it).
        options: the handler's configuration.
        name: the handler's name.
    """

    def __init__(
        self, driver: type[Any], *, root: Path, options: Mapping[str, Any] | None = None, name: str = "under-test"
    ) -> None:
        self.driver = driver
        self.root = root
        # Not below pytest's tmp_path: a socket's address has room for 108 bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="pouch-t-", dir="/run"))
        self.cgroup_parent = f"/{self.directory.name}"
        for each in ("data", "run", "c", "x"):
            (self.directory / each).mkdir(mode=0o700)
        given = dict(options or {})
        if "supervisor_cgroup" in driver.Options.model_fields:
            given.setdefault("supervisor_cgroup", f"{self.cgroup_parent}/supervisors")
        validated: BaseModel = driver.Options.model_validate(given)
        self.handler = Handler(name, name, validated, self.directory / "data", self.directory / "run")
        self.containers: list[Container] = []
        self._on_close: list[Callable[[], None]] = []
        self.restart()

    def restart(self) -> None:
        """Make a new instance of the plugin, as a daemon does that starts again."""
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(CommonHooks)
        manager.add_hookspecs(ROLES["runtime"])
        self.plugin = self.driver(self.handler)
        manager.register(self.plugin)
        manager.check_pending()
        self.hooks = manager.hook

    def on_close(self, action: Callable[[], None]) -> None:
        """Have something done at the end."""
        self._on_close.append(action)

    def container(
        self,
        args: Sequence[str],
        *,
        terminal: bool = False,
        stdin: bool = False,
        stdin_once: bool = False,
        log: bool = True,
        root: Path | None = None,
        resources: Resources | None = None,
        change: Callable[[dict[str, Any]], None] | None = None,
    ) -> Container:
        """Write a bundle and describe its task; nothing is created yet.

        Args:
            args: command and arguments.
            terminal: with a pseudo-terminal.
            stdin: standard input can be written to.
            stdin_once: and ends with the first client's.
            log: a log is written.
            root: another root file system.
            resources: recorded in the task; `change` must write them into the config.
            change: edits the config.json object.
        """
        id_ = secrets.token_hex(32)
        home = self.directory / "c" / id_[:8]
        for each in ("b", "d", "r"):
            (home / each).mkdir(parents=True, mode=0o700)
        cgroup = f"{self.cgroup_parent}/{id_}"
        content = bundle_config(root or self.root, args, cgroup=cgroup)
        content["process"]["terminal"] = terminal
        if change is not None:
            change(content)
        bundle = write_bundle(home / "b", content)
        io = TaskIO(
            log_path=home / "log" if log else None,
            attach_dir=bundle,
            exit_dir=self.directory / "x",
            control_fifo=bundle / "ctl",
            pid_file=home / "pid",
            terminal=terminal,
            stdin=stdin,
            stdin_once=stdin_once,
        )
        task = Task(
            id=id_,
            handler=self.handler.name,
            bundle=bundle,
            rootfs=root or self.root,
            io=io,
            sandbox=Sandbox(id=id_),
            cgroup=cgroup,
            resources=resources or Resources(),
            options=self.handler.options,
            data_dir=home / "d",
            run_dir=home / "r",
        )
        container = Container(self, task)
        self.containers.append(container)
        return container

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove all containers by force, then the directories."""
        failures: list[Exception] = []
        for action in self._on_close:
            action()
        for container in self.containers:
            try:
                container.delete(force=True)
            except Exception as failure:
                failures.append(failure)
        open_cgroup(self.cgroup_parent).remove()
        unmount_tree(self.directory)
        shutil.rmtree(self.directory)
        if failures:
            raise ExceptionGroup("containers could not be deleted", failures)
