"""Running a process under conmon(8), which keeps its log, its terminal, its attach socket and its exit code.

conmon is started, waits on a pipe until it is in the supervisors' cgroup, forks itself away from the daemon, runs
the OCI command's `create` or `exec`, and answers on another pipe with the process's number or the runtime's words.
Its flags and pipes are those that podman uses (conmon 2.1).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pouch_hookspecs import TaskIO
from pouch_hookspecs.errors import Conflict, DeadlineExceeded, RuntimeFailed, Unavailable
from pouch_linux.cgroups import Cgroup, Layout, open_cgroup

from .process_tree import end_tree
from .runtime_command import SEARCH_PATH, RuntimeCommand, find_command
from .runtime_words import failure

_ANSWER_LIMIT = 1 << 16
_GO = b"\0"
_UMASK = 0o022  # the daemon's own must not reach the container's processes
FILES_MADE = ("attach", "ctl", "winsz")
"""What conmon makes in the directory that it is given."""


@dataclass(frozen=True)
class Launch:
    """One process to be supervised.

    Attributes:
        container_id: names the exit file.
        unique_id: the container's, or the exec's.
        runtime: the OCI command.
        directory: the bundle, or an exec's own directory: conmon makes its socket and fifos here and works in it.
        scratch: for conmon's pid file and the runtime's log.
        terminals: for the socket on which conmon gets the terminal from the runtime; short.
        io: the process's files.
        process_spec: the OCI `process` object of an exec; None: the bundle's container is created.
        deadline: seconds until the runtime must have answered.
        systemd: the container's cgroup is a scope of systemd's; so shall be the supervisor's.
    """

    container_id: str
    unique_id: str
    runtime: RuntimeCommand
    directory: Path
    scratch: Path
    terminals: Path
    io: TaskIO
    process_spec: Path | None
    deadline: float
    systemd: bool = False

    @property
    def verb(self) -> str:
        """The runtime's verb."""
        return "create" if self.process_spec is None else "exec"

    def program(self) -> str:
        """What the process is to execute, as it is written in its spec."""
        if self.process_spec is not None:
            process = json.loads(self.process_spec.read_bytes())
        else:
            process = json.loads((self.directory / "config.json").read_bytes())["process"]
        return str(process["args"][0])

    @property
    def supervisor_pid_file(self) -> Path:
        """Where conmon's own number is."""
        return self.scratch / "conmon.pid"

    @property
    def runtime_log(self) -> Path:
        """Where the runtime writes its errors; its standard error is the container's already."""
        return self.scratch / "runtime.log"


@dataclass(frozen=True)
class Supervised:
    """A process under conmon.

    Attributes:
        pid: the process.
        supervisor: its conmon.
        connection: of an exec: connected to the attach socket since before the process ran; the receiver's.
    """

    pid: int
    supervisor: int
    connection: socket.socket | None


class Conmon:
    """Starts supervisors.

    Args:
        command: a name to be found in PATH, or a path.
        cgroup: in which they live, in every hierarchy; made when needed.
        slice_: of systemd, in which each has a scope of its own where containers have theirs.
    """

    def __init__(self, command: str, cgroup: str, slice_: str) -> None:
        self.command = command
        self._cgroup_path = cgroup
        self._slice = slice_
        self._cgroup: Cgroup | None = None
        self._lock = threading.Lock()

    def path(self) -> str:
        """Where the command is. Raises Unavailable."""
        return find_command(
            self.command,
            hint="install it (Debian: apt-get install conmon), or set `conmon` of the handler in pouchd.toml",
        )

    def launch(self, order: Launch, layout: Layout) -> Supervised:
        """Start a supervisor, and return when the runtime has made the process.

        Raises:
            CommandNotFound, CommandNotExecutable, RuntimeFailed: with the runtime's words. conmon has ended.
            DeadlineExceeded: no answer in time; conmon, the runtime and their descendants were killed. What the
                runtime has made by then is still to be deleted.
            Unavailable: a command is missing, or there is no cgroup for the supervisor.
        """
        for stale in (order.supervisor_pid_file, order.runtime_log, order.io.pid_file):
            stale.unlink(missing_ok=True)
        with contextlib.ExitStack() as held:
            before = held.enter_context(order.runtime.surroundings())
            arguments = [*self._scope(order), *_arguments(order, self.path(), [*before, *_runtime(order)])]
            try:
                conversation = held.enter_context(_Conversation(order, arguments))
            except OSError as error:
                raise Unavailable(f"{arguments[0]} could not be started: {error}") from error
            try:
                if not order.systemd:
                    self._admit(conversation.process.pid, layout)
                return conversation.hold()
            except BaseException:
                conversation.end_everything()
                raise
            finally:
                order.runtime_log.unlink(missing_ok=True)

    def _scope(self, order: Launch) -> list[str]:
        """Words before conmon's that become conmon in a scope of its own.

        systemd-run(1) has systemd make the scope, waits until it is in there, and executes the rest as itself.
        """
        if not order.systemd:
            return []
        systemd_run = find_command("systemd-run", hint="it comes with systemd, whose cgroup driver is in use")
        unit = f"--unit=pouch-conmon-{order.unique_id}.scope"
        return [systemd_run, "--scope", "--quiet", "--collect", unit, f"--slice={self._slice}", "--"]

    def _admit(self, pid: int, layout: Layout) -> None:
        """Put a process into the supervisors' cgroup."""
        with self._lock:
            try:
                if self._cgroup is not None:
                    with contextlib.suppress(FileNotFoundError):  # somebody has removed it: make it again
                        return self._cgroup.add(pid)
                self._cgroup = open_cgroup(self._cgroup_path, layout)
                self._cgroup.create()
                return self._cgroup.add(pid)
            except ProcessLookupError:
                return None  # conmon has ended already; its pipes tell why
            except OSError as error:
                self._cgroup = None
                raise Unavailable(
                    f"conmon could not enter the cgroup {self._cgroup_path}: {error}",
                    hint="set `supervisor_cgroup` of the handler in pouchd.toml to one that can be made here",
                ) from error


def _runtime(order: Launch) -> list[str]:
    """The runtime's path and what stands before its verb."""
    runtime = order.runtime
    systemd = ["--systemd-cgroup"] if order.systemd else []
    return [runtime.path(), "--log", str(order.runtime_log), *runtime.global_arguments(), *systemd]


def _arguments(order: Launch, conmon: str, runtime: list[str]) -> list[str]:
    """conmon's command line, see conmon(8); the first word of `runtime` is a path."""
    io = order.io
    # Everything conmon fsyncs is complete without it, too, as long as the machine runs: --no-sync-log.
    arguments = [
        conmon, "--api-version", "1", "--cid", order.container_id, "--cuuid", order.unique_id,
        "--name", order.container_id, "--runtime", runtime[0], "--bundle", str(order.directory), "--full-attach",
        "--container-pidfile", str(io.pid_file), "--conmon-pidfile", str(order.supervisor_pid_file),
        "--exit-dir", str(io.exit_dir), "--log-level", "error", "--no-sync-log",
        "--log-path", "none" if io.log_path is None else f"k8s-file:{io.log_path}",
        *(f"--runtime-arg={argument}" for argument in runtime[1:]),
    ]  # fmt: skip
    if order.process_spec is not None:
        arguments += ["--exec", "--exec-attach", "--exec-process-spec", str(order.process_spec)]
    if io.terminal:
        arguments.append("--terminal")
    if io.stdin:
        arguments.append("--stdin")
        if not io.stdin_once:
            arguments.append("--leave-stdin-open")
    return arguments


class _Conversation:
    """A conmon that is starting, and the pipes to it; it waits for `hold` before it does anything."""

    def __init__(self, order: Launch, arguments: list[str]) -> None:
        self._order = order
        self._ends_at = time.monotonic() + order.deadline
        self._own = contextlib.ExitStack()
        with contextlib.ExitStack() as theirs, self._own:
            answer, their_answer = self._pipe(theirs)
            their_start, start = self._pipe(theirs, ours_is_read=False)
            attached, their_attached = self._pipe(theirs)
            words, their_words = self._pipe(theirs)
            self.process = subprocess.Popen(
                arguments,
                cwd=order.directory,  # conmon writes `oom` into it
                env={
                    "PATH": SEARCH_PATH,
                    "TMPDIR": str(order.terminals),
                    "_OCI_SYNCPIPE": str(their_answer),
                    "_OCI_STARTPIPE": str(their_start),
                    "_OCI_ATTACHPIPE": str(their_attached),
                },
                stdin=subprocess.DEVNULL,
                stdout=their_words,
                stderr=their_words,
                pass_fds=(their_answer, their_start, their_attached),
                umask=_UMASK,
            )
            self._answer, self._start, self._attached, self._words = answer, start, attached, words
            self._own = self._own.pop_all()

    def _pipe(self, theirs: contextlib.ExitStack, *, ours_is_read: bool = True) -> tuple[int, int]:
        """A pipe (read end, write end): our end is closed with the conversation, theirs after the start."""
        read, write = os.pipe()
        (self._own if ours_is_read else theirs).callback(os.close, read)
        (theirs if ours_is_read else self._own).callback(os.close, write)
        return read, write

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._own.close()

    def hold(self) -> Supervised:
        """Let conmon begin, and wait for its answer."""
        order = self._order
        with contextlib.ExitStack() as on_failure:
            self._go()
            connection = None
            if order.process_spec is not None:
                connection = on_failure.enter_context(self._attach())
                self._go()
            supervised = Supervised(self._read_pid(), self._read_supervisor(), connection)
            on_failure.pop_all()
        return supervised

    def _read_supervisor(self) -> int:
        """conmon's number; the process that we started has written it down when it has ended."""
        try:
            self.process.wait(self._left())
            return int(self._order.supervisor_pid_file.read_text())
        except subprocess.TimeoutExpired:
            raise self._deadline_missed() from None
        except (OSError, ValueError) as error:
            raise RuntimeFailed(f"conmon wrote no pid file that can be read: {error}") from error

    def _attach(self) -> socket.socket:
        """Connect before the runtime runs: conmon takes the connection before it reads any output."""
        if not self._line(self._attached):
            raise self._failure("")
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with _short_name(self._order.directory) as directory:
                connection.connect(f"{directory}/attach")
        except BaseException:
            connection.close()
            raise
        return connection

    def _read_pid(self) -> int:
        line = self._line(self._answer)
        try:
            answer = json.loads(line, strict=False) if line else {}
            pid = int(answer.get("data", -1))
        except (ValueError, TypeError, AttributeError):
            raise RuntimeFailed(f"conmon answered what can't be understood: {line[:200]!r}") from None
        if pid <= 0:
            raise self._failure(str(answer.get("message", "")))
        return pid

    def _failure(self, message: str) -> RuntimeFailed | Conflict:
        """The error by whoever has something to say: the runtime's log, conmon's message, conmon's output."""
        order = self._order
        logged = b""
        with contextlib.suppress(FileNotFoundError), open(order.runtime_log, "rb") as file:
            logged = file.read(_ANSWER_LIMIT)
        if logged.strip() or message:
            words = logged.decode(errors="replace") or message
            return failure(order.runtime.command, order.verb, words, order.program())
        os.set_blocking(self._words, False)
        output = b""
        with contextlib.suppress(BlockingIOError):
            output = os.read(self._words, _ANSWER_LIMIT)
        return failure("conmon, running " + order.runtime.command, order.verb, output.decode(errors="replace"))

    def _go(self) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: the other pipes say so
            os.write(self._start, _GO)

    def _left(self) -> float:
        return max(0.0, self._ends_at - time.monotonic())

    def _line(self, descriptor: int) -> str:
        """One line from conmon; what there was if it has ended. Raises DeadlineExceeded."""
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        data = b""
        while b"\n" not in data and len(data) < _ANSWER_LIMIT:
            if not poll.poll(self._left() * 1000):
                raise self._deadline_missed()
            chunk = os.read(descriptor, _ANSWER_LIMIT)
            if not chunk:
                break
            data += chunk
        # The exit code of a short exec may follow the first answer at once; the exit file has it, too.
        return data.partition(b"\n")[0].decode(errors="replace")

    def _deadline_missed(self) -> DeadlineExceeded:
        order = self._order
        return DeadlineExceeded(
            f"{order.runtime.command} {order.verb} did not end within {order.deadline:g} seconds and was killed"
        )

    def end_everything(self) -> None:
        """Kill conmon and the runtime with all that came from them."""
        roots = {self.process.pid}
        with contextlib.suppress(FileNotFoundError, ValueError):
            roots.add(int(self._order.supervisor_pid_file.read_text()))
        end_tree(roots)
        self.process.wait()
        for name in FILES_MADE:
            (self._order.directory / name).unlink(missing_ok=True)
        for path in (self._order.supervisor_pid_file, self._order.io.pid_file):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _short_name(directory: Path) -> Iterator[str]:
    """A name of a directory that fits a socket's address (108 bytes), however long its path is."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
