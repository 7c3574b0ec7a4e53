"""The files and processes around a task: made reachable where the engine wants them, and removed at the end."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from pouch_hookspecs import Task, TaskIO
from pouch_linux.cgroups import Cgroup

from .conmon import FILES_MADE
from .process_tree import end_tree
from .supervision_record import SupervisionRecord

_SUPERVISOR_ENDS_WITHIN = 2.0  # seconds after its process; longer only if a client does not read


def expose(io: TaskIO, directory: Path) -> None:
    """Link conmon's socket and control fifo, made in `directory`, to where `io` promises them."""
    for made, promised in ((directory / "attach", io.attach_dir / "attach"), (directory / "ctl", io.control_fifo)):
        if made != promised:
            promised.unlink(missing_ok=True)
            promised.symlink_to(made)


def end_strays(container_id: str, state_root: Path) -> None:
    """Kill the conmon of a create that was never finished (a daemon died in it), with all that came from it."""
    wanted = {b"--cid", container_id.encode(), b"--runtime-arg=" + os.fsencode(state_root)}
    strays = []
    for name in os.listdir("/proc"):
        if name.isdigit() and wanted <= set(_arguments(name)):
            strays.append(int(name))
    if strays:
        end_tree(strays)


def _arguments(pid: str) -> list[bytes]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def remove_remains(task: Task, record: SupervisionRecord | None, cgroup: Cgroup | None, state_dir: Path) -> None:
    """End what still runs and remove what is still there, after (or instead of) the runtime's own delete. Idempotent.

    Raises:
        OSError: something can't be removed, the message names it.
    """
    if record is not None and record.process is not None:
        record.process.signal(signal.SIGKILL)
    if cgroup is not None and cgroup.exists():
        cgroup.kill()
        cgroup.remove()
    supervisor = None if record is None else record.supervisor
    if supervisor is not None and not supervisor.wait(_SUPERVISOR_ENDS_WITHIN):
        end_tree([supervisor.pid])
    if state_dir.exists():
        shutil.rmtree(state_dir)
    for path in (
        *(task.bundle / name for name in FILES_MADE),
        task.io.attach_dir / "attach",
        task.io.control_fifo,
        task.io.pid_file,
        task.run_dir / "conmon.pid",
        *task.run_dir.glob("conmon-term.*"),
    ):
        path.unlink(missing_ok=True)
    SupervisionRecord.forget(task.run_dir)
