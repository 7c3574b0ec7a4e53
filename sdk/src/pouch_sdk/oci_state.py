"""A task's state from what can be believed: the exit file, the process table, then the runtime's `state` verb."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from pouch_hookspecs import Task, TaskState, TaskStatus
from pouch_hookspecs.errors import RuntimeFailed

from .supervision_record import SupervisionRecord

_EXIT_FILE_WITHIN = 2.0  # seconds from a process's end to its supervisor's: it writes the exit file before that
_STATUS = {
    "creating": TaskStatus.CREATED,
    "created": TaskStatus.CREATED,
    "running": TaskStatus.RUNNING,
    "paused": TaskStatus.PAUSED,
    "pausing": TaskStatus.PAUSED,
}


def read_exit(task: Task) -> tuple[int, datetime] | None:
    """The exit code and when it was written; None while there is no (readable) exit file."""
    try:
        with open(task.io.exit_dir / task.id, encoding="ascii") as file:
            written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            code = int(file.read(16))
    except (FileNotFoundError, ValueError):
        return None
    return (code, written) if 0 <= code <= 255 else None


def task_state(task: Task, record: SupervisionRecord, told: bytes | None) -> TaskState:
    """The state of a task that was created.

    Args:
        task: the task.
        record: its processes.
        told: what the `state` verb printed; None if its process is known to have ended.

    Raises:
        RuntimeFailed: what the verb printed can't be understood, or can't be true.
    """
    if told is None:
        return _stopped(task, record)
    status, pid = _understand(task, told)
    if record.process is None or not record.process.alive():
        return _stopped(task, record)
    if status is None:
        raise RuntimeFailed(
            f"the runtime says that container {task.id[:12]} has stopped, but its process {record.process.pid} lives"
        )
    return TaskState(status=status, supervised_pid=record.process.pid, init_pid=pid or None)


def _stopped(task: Task, record: SupervisionRecord) -> TaskState:
    exit_ = read_exit(task)
    if exit_ is None and record.supervisor is not None and record.supervisor.wait(_EXIT_FILE_WITHIN):
        exit_ = read_exit(task)
    code, finished_at = exit_ or (None, None)
    return TaskState(
        status=TaskStatus.STOPPED, exit_code=code, finished_at=finished_at, oom=(task.bundle / "oom").exists()
    )


def _understand(task: Task, told: bytes) -> tuple[TaskStatus | None, int]:
    """The status (None: stopped) and pid of the JSON object that the OCI runtime spec calls the state."""
    try:
        state = json.loads(told)
        if state["id"] != task.id:
            raise ValueError(f"it is about the container {state['id']!r}")
        status = None if state["status"] == "stopped" else _STATUS[state["status"]]
        return status, int(state.get("pid", 0))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RuntimeFailed(f"the runtime's state of {task.id[:12]} can't be understood: {told[:120]!r}") from error
