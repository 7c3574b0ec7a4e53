"""exec: a further process in a running container."""

from __future__ import annotations

import os
import shutil
import socket

from pouch_engine.spec.capabilities import wanted_capabilities
from pouch_engine.spec.granted import Grants, this_host
from pouch_engine.spec.users import resolve_user, user_by_number
from pouch_hookspecs import ExecHandle, Process, Size, TaskIO, User
from pouch_hookspecs.errors import CommandNotFound, Conflict, InvalidArgument
from pouch_linux.paths import Root

from .attach import connect
from .context import Context
from .execs import Exec, ExecConfig
from .names import new_id
from .record import Container, Status

__all__ = ["Exec", "ExecConfig", "create", "resize", "start"]


def create(context: Context, container_id: str, config: ExecConfig) -> Exec:
    """See `Engine.exec_create`."""
    container = _running(context, container_id)
    if not config.args:
        raise InvalidArgument("no exec command specified")
    exec_ = Exec(id=new_id(), container_id=container_id, config=config)
    context.execs.add(exec_)
    context.tell("exec_create", container, execID=exec_.id)
    return exec_


def _running(context: Context, container_id: str) -> Container:
    container = context.table.get(container_id)
    if container.state.status is Status.PAUSED:
        raise Conflict(f"container {container.name} is paused, unpause it before exec")
    if not container.state.running:
        raise Conflict(f"container {container.id} is not running")
    return container


def start(context: Context, exec_id: str, *, detach: bool, size: Size | None) -> socket.socket | None:
    """See `Engine.exec_start`."""
    exec_ = context.execs.get(exec_id)
    container = _running(context, exec_.container_id)
    if not context.execs.begin(exec_):
        raise Conflict(f"exec {exec_id[:12]} was started already")
    exit_path = context.run / "execs" / exec_.id / "exit" / container.id
    try:
        exec_.process = _process(context, container, exec_, size)
        context.exits.expect(exit_path, lambda _id, code: _ended(context, exec_, code))
        handle: ExecHandle = context.runtime(container).runtime_exec(
            task=context.task(container), process=exec_.process
        )
    except BaseException as error:
        context.exits.forget(exit_path)
        exec_.ended(127 if isinstance(error, CommandNotFound) else 126)
        context.workers.submit(_tidy, context, exec_)
        raise
    finally:
        exec_.settled.set()
    exec_.pid = handle.supervised_pid
    context.exits.guard(exit_path, handle.supervised_pid)
    context.tell("exec_start", container, execID=exec_.id)
    return _streams(handle, exec_.process, detach)


def _streams(handle: ExecHandle, process: Process, detach: bool) -> socket.socket | None:
    if detach:
        if handle.attach_fd is not None:
            os.close(handle.attach_fd)
        return None
    if handle.attach_fd is None:
        return connect(process.io.attach_dir)
    return socket.socket(fileno=handle.attach_fd)


def _process(context: Context, container: Container, exec_: Exec, size: Size | None) -> Process:
    config = exec_.config
    directory = context.run / "execs" / exec_.id
    (directory / "exit").mkdir(mode=0o700, parents=True)
    user = _user(container, config)
    overriding = dict(entry.partition("=")[::2] for entry in config.env)
    inherited = dict(entry.partition("=")[::2] for entry in container.command.env)
    terminal = {"TERM": "xterm"} if config.terminal else {}
    own = {"HOSTNAME": container.config.hostname or container.id[:12], **terminal}
    privileged = config.privileged
    capabilities = Grants(this_host()).capabilities(
        wanted_capabilities(("ALL",), (), privileged=True), named=frozenset()
    )
    return Process(
        exec_id=exec_.id,
        args=config.args,
        env=tuple(f"{name}={value}" for name, value in {**own, **inherited, **overriding}.items()),
        cwd=config.working_dir or container.command.working_dir,
        user=user,
        io=TaskIO(
            log_path=None,
            attach_dir=directory,
            exit_dir=directory / "exit",
            control_fifo=directory / "ctl",
            pid_file=directory / "pid",
            terminal=config.terminal,
            stdin=config.stdin,
            stdin_once=True,
        ),
        capabilities=tuple(sorted(capabilities)) if privileged else None,
        no_new_privileges=container.config.no_new_privileges and not privileged,
        size=size,
    )


def _user(container: Container, config: ExecConfig) -> User:
    """Resolved in the root file system as the container sees it now."""
    init = container.state.init
    text = config.user or container.command.user
    if init is None:
        return user_by_number(text)
    with Root(f"/proc/{init.pid}/root") as root:
        if not init.identity().alive():
            raise Conflict(f"container {container.id} is not running")
        return resolve_user(root, text, () if config.user else container.config.groups)


def _ended(context: Context, exec_: Exec, code: int | None) -> None:
    exec_.ended(255 if code is None else code)
    context.workers.submit(_tidy, context, exec_)


def _tidy(context: Context, exec_: Exec) -> None:

    exec_.settled.wait()
    shutil.rmtree(context.run / "execs" / exec_.id, ignore_errors=True)
    container = next((c for c in context.table.all() if c.id == exec_.container_id), None)
    if container is not None:
        context.tell("exec_die", container, execID=exec_.id, exitCode=str(exec_.exit.result()))


def resize(context: Context, exec_id: str, size: Size) -> None:
    """See `Engine.exec_resize`."""
    exec_ = context.execs.get(exec_id)
    if not exec_.running:
        raise Conflict(f"exec {exec_id[:12]} is not running")
    container = context.table.get(exec_.container_id)
    context.runtime(container).runtime_resize(task=context.task(container), process=exec_.process, size=size)
