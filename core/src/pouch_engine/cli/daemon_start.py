"""Starting pouchd when a command finds none.

Under systemd the unit `pouchd.service` is started where it is installed; else the daemon runs as a transient unit of
its own, so that it does not end with the user's session. Without systemd it is spawned in a session of its own and
moved to the root of every cgroup hierarchy. Commands that race start one daemon: the first holds a lock until it is
ready.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import subprocess
import sys

from pouch_engine.cli.client import socket_path
from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_RUN = "/run/pouch"
_READY = b"ready\n"
_DEADLINE = 60.0
_LOG_LINES = 15
_FAILED = 125
# What a daemon may inherit from whoever happened to start it; the rest of a user's environment is none of its business.
_INHERITED = ("PATH", "LANG", "LC_ALL", "TMPDIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "POUCH_DISABLE_PLUGINS")


def start_daemon(host: str) -> None:
    """Make a daemon listen at `host`, unless another command just did. Raises CommandError when that fails.

    Its directories and configuration are POUCH_ROOT, POUCH_RUN (default /run/pouch) and POUCH_CONFIG, where they are
    set, else its own defaults.
    """
    path = socket_path(host)
    if os.geteuid() != 0:
        raise CommandError(
            f"no pouchd runs at {host}, and starting one needs root: use sudo, or start it as root", _FAILED
        )
    run_dir = os.environ.get("POUCH_RUN", DEFAULT_RUN)
    try:
        os.makedirs(run_dir, mode=0o711, exist_ok=True)
        lock = os.open(os.path.join(run_dir, "start.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise CommandError(f"pouchd can't be started: {error.filename}: {error.strerror}", _FAILED) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _listens(path):
            _start(path, run_dir)
    finally:
        os.close(lock)


def _start(path: str, run_dir: str) -> None:
    under_systemd = os.path.isdir("/run/systemd/system")
    if under_systemd and _is_units(path) and _unit_installed():
        result = subprocess.run(["systemctl", "start", "pouchd.service"], capture_output=True, text=True, check=False)
        if result.returncode:
            raise CommandError(f"systemctl start pouchd failed: {result.stderr.strip()}", _FAILED)
        return
    log = os.path.join(run_dir, "pouchd.log")
    if under_systemd:
        _start_as_unit(path, run_dir, log)
    else:
        _spawn(path, log)


def _spawn(path: str, log: str) -> None:
    """Start the daemon as a process in a session of its own, outside of our cgroups, and wait until it is ready."""
    log_start = _size(log)
    reader, writer = os.pipe()
    try:
        with open(log, "ab", opener=_private) as output:
            process = subprocess.Popen(
                daemon_command(path, writer),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=_environment(),
                pass_fds=(writer,),
                start_new_session=True,
            )
    finally:
        os.close(writer)
    process.returncode = 0  # it lives on without us: Popen shall not warn about that
    with os.fdopen(reader, "rb", buffering=0):
        leave_cgroups(process.pid, log)
        _await_ready(reader, log, log_start)


def _start_as_unit(path: str, run_dir: str, log: str) -> None:
    """Start the daemon as a transient unit. systemd-run passes no descriptors: a fifo takes the ready pipe's place."""
    log_start = _size(log)
    fifo = os.path.join(run_dir, "ready.fifo")
    if os.path.lexists(fifo):
        os.unlink(fifo)
    os.mkfifo(fifo, 0o600)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        result = subprocess.run(
            [
                "systemd-run",
                "--unit=pouchd-auto",
                "--property=KillMode=process",
                f"--property=StandardOutput=append:{log}",
                f"--property=StandardError=append:{log}",
                "--collect",
                "--quiet",
                *(f"--setenv={name}={value}" for name, value in _environment().items()),
                *through_fifo(fifo, daemon_command(path, 3)),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise CommandError(f"systemd-run could not start pouchd: {result.stderr.strip()}", _FAILED)
        _await_ready(reader, log, log_start)
    finally:
        os.close(reader)
        os.unlink(fifo)


def through_fifo(fifo: str, command: list[str]) -> list[str]:
    """Return a command that becomes `command` with the fifo open for writing as descriptor 3."""
    return ["/bin/sh", "-c", 'exec 3>"$0"; exec "$@"', fifo, *command]


def daemon_command(path: str, ready_descriptor: int) -> list[str]:
    """Return the daemon's command line: a self-started daemon that listens at `path`."""
    given = {
        "--root": os.environ.get("POUCH_ROOT"),
        "--run": os.environ.get("POUCH_RUN", DEFAULT_RUN),
        "--socket": path,
        "--config": os.environ.get("POUCH_CONFIG"),
    }
    places = [word for flag, value in given.items() if value for word in (flag, value)]
    module = [sys.executable, "-I", "-m", "pouch_engine.daemon"]
    return [*module, "--autostarted", "--ready-fd", str(ready_descriptor), *places]


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _await_ready(reader: int, log: str, log_start: int) -> None:
    """Wait for the word on the ready pipe. Its end without the word means that the daemon failed: its log says why."""
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    said = b""
    while _READY not in said:
        if not poll.poll(_DEADLINE * 1000):
            raise CommandError(f"pouchd is not ready after {_DEADLINE:.0f} s; see {log}", _FAILED)
        piece = os.read(reader, 64)
        if not piece:
            raise CommandError(f"pouchd did not start. The end of {log}:\n{_last_lines(log, log_start)}", _FAILED)
        said += piece


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _size(log: str) -> int:
    return os.stat(log).st_size if os.path.exists(log) else 0


def _last_lines(log: str, start: int) -> str:
    """Return the end of what was added to the log since it was `start` bytes long."""
    try:
        with open(log, errors="replace") as file:
            file.seek(start)
            return "".join(file.readlines()[-_LOG_LINES:]).rstrip()
    except OSError as error:
        return f"(not readable: {error.strerror})"


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _is_units(path: str) -> bool:
    """Tell whether the unit's daemon would be the one that is wanted, rather than one with places of its own."""
    elsewhere = any(os.environ.get(name) for name in ("POUCH_ROOT", "POUCH_CONFIG"))
    return path == f"{DEFAULT_RUN}/pouch.sock" and not elsewhere


def _unit_installed() -> bool:
    answer = subprocess.run(
        ["systemctl", "list-unit-files", "--no-legend", "pouchd.service"], capture_output=True, text=True, check=False
    )
    return answer.stdout.startswith("pouchd.service")


def leave_cgroups(pid: int, log: str) -> None:
    """Move a process to the root of every cgroup hierarchy, so that it does not end or starve with its starter's group.

    Where the host forbids it the process stays, and the daemon's log says so.
    """
    problems = [problem for directory in _cgroup_roots(pid) if (problem := _move(pid, directory))]
    if problems:
        with open(log, "a", opener=_private) as file:
            file.writelines(f"pouchd stays in its starter's cgroup: {problem}\n" for problem in problems)


def _cgroup_roots(pid: int) -> Iterator[str]:
    """Yield the mount points of the hierarchies in which the process is not at the root (cgroups(7), proc(5))."""
    mounts = _cgroup_mounts()
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            mount = mounts.get(controllers)
            if path != "/" and mount:
                yield mount


def _cgroup_mounts() -> dict[str, str]:
    """Return the mount points of the cgroup hierarchies by their controllers, as /proc/PID/cgroup writes them."""
    mounts: dict[str, str] = {}
    with open("/proc/self/mountinfo") as file:
        for line in file:
            fields, _, filesystem = line.partition(" - ")
            kind, _, super_options = filesystem.split(None, 2)
            target = fields.split()[4]
            if kind == "cgroup2":
                mounts.setdefault("", target)
            elif kind == "cgroup":
                controllers = [option for option in super_options.strip().split(",") if option != "rw"]
                mounts.setdefault(",".join(controllers), target)
    return mounts


def _move(pid: int, directory: str) -> str | None:
    """Write the pid to the group's process list; return what went wrong, if anything."""
    try:
        with open(os.path.join(directory, "cgroup.procs"), "w") as file:
            file.write(str(pid))
    except OSError as error:
        return f"{directory}: {error.strerror}"
    return None
