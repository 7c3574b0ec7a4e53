"""Who runs a task, kept in its `run_dir`, so that a daemon that starts again finds it: by number and start time."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pouch_linux.pidfd import ProcessIdentity

_FILE = "supervision.json"
_VERSION = 1


@dataclass(frozen=True)
class SupervisionRecord:
    """The two processes of a task that was created.

    Attributes:
        process: the container's first process.
        supervisor: its conmon.
    """

    process: ProcessIdentity | None
    supervisor: ProcessIdentity | None

    @classmethod
    def of(cls, pid: int, supervisor: int) -> Self:
        """Of processes that run now; None stands for one that has ended already."""
        return cls(_identity(pid), _identity(supervisor))

    @classmethod
    def load(cls, run_dir: Path) -> Self | None:
        """What was saved; None: nothing (readable) was, the task was never completely created."""
        try:
            saved = json.loads((run_dir / _FILE).read_bytes())
            if saved["version"] != _VERSION:
                return None
            return cls(*(None if each is None else ProcessIdentity(*map(int, each)) for each in saved["processes"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, run_dir: Path) -> None:
        """Write it, whole or not at all."""
        processes = [None if each is None else (each.pid, each.start_time) for each in (self.process, self.supervisor)]
        temporary = run_dir / f"{_FILE}.new"
        temporary.write_text(json.dumps({"version": _VERSION, "processes": processes}))
        os.replace(temporary, run_dir / _FILE)

    @staticmethod
    def forget(run_dir: Path) -> None:
        """Remove it. Idempotent."""
        (run_dir / _FILE).unlink(missing_ok=True)


def _identity(pid: int) -> ProcessIdentity | None:
    try:
        return ProcessIdentity.of(pid)
    except ProcessLookupError:
        return None
