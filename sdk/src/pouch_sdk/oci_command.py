"""A runtime plugin from an OCI command (runc, crun, youki …), each container under a conmon of its own.

A runtime of one's own is a subclass with `api` and `Options`, whose `command` has a default; see the README.
"""

from __future__ import annotations

import json
import os
import re
import threading
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pouch_hookspecs import (
    API,
    ExecHandle,
    Finding,
    Handler,
    Level,
    Process,
    Resources,
    RuntimeFeatures,
    Size,
    Stats,
    Task,
    TaskIO,
    TaskProcess,
    TaskState,
    TaskStatus,
    hookimpl,
)
from pouch_hookspecs.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    PouchError,
    RuntimeFailed,
    Unavailable,
    Unsupported,
)
from pouch_linux import commands
from pouch_linux.cgroups import Cgroup, Layout, detect_layout, is_systemd_form, open_cgroup, scope_path

from .cgroup_processes import list_processes
from .cgroup_stats import cgroup_stats
from .conmon import Conmon, Launch, Supervised
from .hostile_root import refuse_links
from .oci_features import assumed_features, features_from_json
from .oci_options import OciCommandOptions
from .oci_resources import update_json
from .oci_state import read_exit, task_state
from .process_spec import process_spec
from .remains import end_strays, expose, remove_remains
from .runtime_command import RuntimeCommand
from .supervision_record import SupervisionRecord

_VERSION = re.compile(rb"version:? v?(\d+(?:\.\d+)+)")
_LAST_SIGNAL = 64


class OciCommandRuntime:
    """All hooks of a runtime, by an OCI command.

    A subclass sets `Options` (a subclass of `OciCommandOptions` with a default for `command`) and, where the
    command differs from runc, overrides a method.
    """

    api: ClassVar[str] = API
    Options: ClassVar[type[OciCommandOptions]] = OciCommandOptions
    minimum_version: ClassVar[tuple[int, ...]] = ()
    """The oldest version of the command that works; empty: any."""
    minimum_conmon: ClassVar[tuple[int, ...]] = (2, 1)
    Command: ClassVar[type[RuntimeCommand]] = RuntimeCommand
    """How the command is called."""
    remedy: ClassVar[str] = "install the runtime command, or set `command` of the handler in pouchd.toml"
    """What to do when the command is missing or too old."""

    def __init__(self, handler: Handler[OciCommandOptions]) -> None:
        self.handler = handler
        self.options = handler.options
        self.command = self.Command(self.options.command, self.options.runtime_args, handler.run_dir / "state")
        self.conmon = Conmon(self.options.conmon, self.options.supervisor_cgroup, self.options.supervisor_slice)
        self._lock = threading.Lock()
        self._features: RuntimeFeatures | None = None

    @cached_property
    def layout(self) -> Layout:
        """This host's cgroup hierarchies."""
        return detect_layout()

    # -- what is here -------------------------------------------------------------------------------------

    @hookimpl
    def check(self) -> tuple[Finding, ...]:
        """See `CommonHooks.check`: the command and conmon, found and new enough."""
        return (
            self._check(self.command.command, self.command.path, self.minimum_version, self.remedy),
            self._check(self.conmon.command, self.conmon.path, self.minimum_conmon, "apt-get install conmon"),
        )

    def _check(self, what: str, path: Any, minimum: tuple[int, ...], remedy: str) -> Finding:
        try:
            found = path()
            version = self._version(found)
        except PouchError as error:
            return Finding(level=Level.ERROR, what=what, why=error.message, remedy=remedy)
        if tuple(map(int, version.split("."))) < minimum:
            wanted = ".".join(map(str, minimum))
            why = f"{found} has version {version}, at least {wanted} is needed"
            return Finding(level=Level.ERROR, what=what, why=why, remedy=remedy)
        return Finding(level=Level.OK, what=what, why=f"{found}, version {version}")

    def _version(self, path: str) -> str:
        """What `--version` says: `1.1.5`. Raises RuntimeFailed, Unavailable."""
        try:
            done = commands.run((path, "--version"), deadline=self.options.deadlines.features)
        except (OSError, commands.CommandTimeout) as error:
            raise Unavailable(f"{path} --version failed: {error}") from error
        match = _VERSION.search(done.stdout)
        if match is None:
            raise RuntimeFailed(f"{path} --version printed no version: {done.stdout[:80]!r}")
        return match[1].decode()

    @hookimpl
    def runtime_features(self) -> RuntimeFeatures:
        """See `RuntimeHooks`; asked of the command once."""
        with self._lock:
            if self._features is None:
                self._features = self.find_features()
            return self._features

    def find_features(self) -> RuntimeFeatures:
        """Ask the command for its features, or assume them where it has no word for that."""
        version = self._version(self.command.path())
        try:
            told = json.loads(self.command.call("features", deadline=self.options.deadlines.features))
            return features_from_json(told, version)
        except (RuntimeFailed, ValueError, TypeError, AttributeError):
            return assumed_features(version)

    # -- the way of a container ---------------------------------------------------------------------------

    @hookimpl
    def runtime_create(self, task: Task, checkpoint: Path | None) -> TaskState:
        """See `RuntimeHooks`."""
        if checkpoint is not None:
            raise Unsupported(f"the runtime {self.handler.name} can't restore checkpoints")
        refuse_links(task.rootfs)
        SupervisionRecord.forget(task.run_dir)
        if task.io.log_path is not None:
            os.close(os.open(task.io.log_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        try:
            supervised = self._launch(task, task.id, task.bundle, task.run_dir, task.io, None)
        except PouchError as error:
            self._undo_create(task, error)
            raise
        SupervisionRecord.of(supervised.pid, supervised.supervisor).save(task.run_dir)
        expose(task.io, task.bundle)
        return TaskState(
            status=TaskStatus.CREATED, supervised_pid=supervised.pid, init_pid=self.init_pid(task, supervised.pid)
        )

    def init_pid(self, task: Task, supervised_pid: int) -> int | None:
        """The container's first process; None for a runtime whose supervised process only stands for it."""
        return supervised_pid

    def _launch(
        self, task: Task, unique_id: str, directory: Path, scratch: Path, io: TaskIO, spec: Path | None
    ) -> Supervised:
        deadlines = self.options.deadlines
        order = Launch(
            container_id=task.id,
            unique_id=unique_id,
            runtime=self.command,
            directory=directory,
            scratch=scratch,
            terminals=task.run_dir,
            io=io,
            process_spec=spec,
            deadline=deadlines.create if spec is None else deadlines.exec,
            systemd=is_systemd_form(task.cgroup),
        )
        return self.conmon.launch(order, self.layout)

    def _undo_create(self, task: Task, error: PouchError) -> None:
        """Remove what a failed create may have left; what can't be removed is noted on the error."""
        try:
            self._delete_by_command(task, force=True)
            remove_remains(task, None, self.cgroup(task), self._state_dir(task))
        except (PouchError, OSError) as second:
            error.add_note(f"and what was made could not be removed: {second}")

    @hookimpl
    def runtime_start(self, task: Task) -> None:
        """See `RuntimeHooks`."""
        self.command.call("start", task.id, deadline=self.options.deadlines.start)

    @hookimpl
    def runtime_kill(self, task: Task, signal: int, everyone: bool) -> None:
        """See `RuntimeHooks`."""
        if not 0 < signal <= _LAST_SIGNAL:
            raise InvalidArgument(f"there is no signal {signal}; expected 1 to {_LAST_SIGNAL}")
        if self._ended(task) and not everyone:
            return
        arguments = ["--all"] if everyone else []
        try:
            self.command.call("kill", *arguments, task.id, str(signal), deadline=self.options.deadlines.kill)
        except RuntimeFailed:
            if not self._ended(task):
                raise

    @hookimpl
    def runtime_delete(self, task: Task, force: bool) -> None:
        """See `RuntimeHooks`. With `force` it converges even when the command hangs, fails or is gone."""
        record = SupervisionRecord.load(task.run_dir)
        if not force and record is not None and not self._ended(task):
            raise Conflict(f"container {task.id[:12]} runs", hint="stop it first, or remove it with force")
        if record is None:
            end_strays(task.id, self.command.root)
        try:
            self._delete_by_command(task, force=force)
        except RuntimeFailed:
            pass  # half made, or the command is broken: what follows does it by hand and tells if it can't
        except PouchError:
            if not force:
                raise
        remove_remains(task, record, self.cgroup(task), self._state_dir(task))

    def _delete_by_command(self, task: Task, *, force: bool) -> None:
        if self._state_dir(task).exists():
            arguments = ["--force"] if force else []
            self.command.call("delete", *arguments, task.id, deadline=self.options.deadlines.delete)

    def _state_dir(self, task: Task) -> Path:
        """Where the command keeps what it knows of the container."""
        return self.command.root / task.id

    def cgroup(self, task: Task) -> Cgroup:
        """The container's cgroup, whether it exists or not."""
        path = scope_path(task.cgroup) if is_systemd_form(task.cgroup) else task.cgroup
        return open_cgroup(path, self.layout)

    def _ended(self, task: Task) -> bool:
        """Tell from files and the process table alone whether the task has ended (or never was)."""
        if read_exit(task) is not None:
            return True
        record = SupervisionRecord.load(task.run_dir)
        return record is None or record.process is None or not record.process.alive()

    # -- how it is ----------------------------------------------------------------------------------------

    @hookimpl
    def runtime_state(self, task: Task) -> TaskState | None:
        """See `RuntimeHooks`."""
        record = SupervisionRecord.load(task.run_dir)
        if record is None:
            return None
        if self._ended(task):
            return task_state(task, record, None)
        told = self.command.call("state", task.id, deadline=self.options.deadlines.state)
        return task_state(task, record, told)

    @hookimpl
    def runtime_recover(self, task: Task) -> TaskState | None:
        """See `RuntimeHooks`. conmon has gone on supervising: there is nothing to take over."""
        state = self.runtime_state(task)
        if state is not None and state.status is TaskStatus.STOPPED and state.exit_code is None:
            return None
        return state

    @hookimpl
    def runtime_stats(self, task: Task) -> Stats:
        """See `RuntimeHooks`."""
        return cgroup_stats(self.cgroup_of_running(task).path, self.layout)

    @hookimpl
    def runtime_processes(self, task: Task) -> tuple[TaskProcess, ...]:
        """See `RuntimeHooks`."""
        return list_processes(self.cgroup_of_running(task).processes())

    def cgroup_of_running(self, task: Task) -> Cgroup:
        """Where the container's processes and limits are. Raises NotFound, Conflict if it does not run."""
        self._require_running(task)
        return self.cgroup(task)

    def _require_running(self, task: Task) -> None:
        if SupervisionRecord.load(task.run_dir) is None:
            raise NotFound(f"the runtime {self.handler.name} knows no container {task.id[:12]}")
        if self._ended(task):
            raise Conflict(f"container {task.id[:12]} does not run", hint="start it first")

    # -- what is done to it -------------------------------------------------------------------------------

    @hookimpl
    def runtime_exec(self, task: Task, process: Process) -> ExecHandle:
        """See `RuntimeHooks`. The handle's connection was made before the process ran."""
        self._require_running(task)
        directory = process.io.attach_dir
        spec = directory / "process.json"
        spec.touch(mode=0o600)  # it may hold secrets, in the environment
        try:
            spec.write_text(json.dumps(process_spec(process, task.bundle)))
            supervised = self._launch(task, process.exec_id, directory, directory, process.io, spec)
        except RuntimeFailed:
            self._require_running(task)
            raise
        finally:
            spec.unlink(missing_ok=True)
        expose(process.io, directory)
        assert supervised.connection is not None
        return ExecHandle(
            exec_id=process.exec_id, supervised_pid=supervised.pid, attach_fd=supervised.connection.detach()
        )

    @hookimpl
    def runtime_resize(self, task: Task, process: Process | None, size: Size) -> None:
        """See `RuntimeHooks`; by conmon's control fifo."""
        io = task.io if process is None else process.io
        try:
            fifo = os.open(io.control_fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:  # ENXIO: nobody reads it, conmon has ended; ENOENT: it never was
            raise Conflict(f"the terminal of {task.id[:12]} can't be resized: the process does not run") from error
        try:
            os.write(fifo, b"1 %d %d\n" % (size.height, size.width))
        finally:
            os.close(fifo)

    @hookimpl
    def runtime_pause(self, task: Task) -> None:
        """See `RuntimeHooks`."""
        self._require_running(task)
        self.command.call("pause", task.id, deadline=self.options.deadlines.pause)

    @hookimpl
    def runtime_resume(self, task: Task) -> None:
        """See `RuntimeHooks`."""
        self._require_running(task)
        self.command.call("resume", task.id, deadline=self.options.deadlines.pause)

    @hookimpl
    def runtime_update(self, task: Task, resources: Resources) -> None:
        """See `RuntimeHooks`; `task.resources` are the limits in force, which a failure puts in force again."""
        self._require_running(task)
        document = self.update_document(task, resources)
        self._refuse_below_use(task, resources)
        try:
            self._update(task, document)
        except RuntimeFailed as error:
            self._require_running(task)
            try:
                changed = task.model_copy(update={"resources": resources})
                self._update(task, self.update_document(changed, task.resources))
            except PouchError as second:
                error.add_note(f"and the limits before could not be put in force again: {second}")
            raise

    def _update(self, task: Task, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.command.call("update", "-r", "-", task.id, deadline=self.options.deadlines.update, stdin=text)

    def _refuse_below_use(self, task: Task, resources: Resources) -> None:
        """cgroup v1 answers EBUSY to a memory limit below what is in use, v2 kills processes: neither is meant."""
        limit, cgroup = resources.memory_limit_bytes, self.cgroup(task)
        if limit is None or cgroup is None:
            return
        usage = cgroup.usage()
        used = (usage.memory_usage_bytes or 0) - (usage.memory_inactive_file_bytes or 0)
        if used > limit:
            raise Conflict(
                f"the memory limit {limit} is below the {used} bytes that container {task.id[:12]} uses now",
                hint="give a higher limit, or stop the container first",
            )

    def update_document(self, task: Task, resources: Resources) -> dict[str, Any]:
        """`linux.resources` for the verb `update`. Raises Unsupported: something can't be changed while it runs."""
        return update_json(resources, task.resources, all_cpus=_online("cpu"), all_mems=_online("node"))

    @hookimpl
    def runtime_checkpoint(self, task: Task, directory: Path) -> None:
        """See `RuntimeHooks`."""
        raise Unsupported(f"the runtime {self.handler.name} can't checkpoint containers")


def _online(what: str) -> str:
    """The processors or memory nodes of this host, as a list `0-3`."""
    try:
        return Path(f"/sys/devices/system/{what}/online").read_text().strip()
    except FileNotFoundError:  # a kernel without NUMA
        return "0"
