"""The conformance suite catches runtimes that are wrong in one point."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_HEAD = """
import os
import signal
from pouch_hookspecs import TaskStatus, hookimpl
from pouch_hookspecs.errors import RuntimeFailed
from pouch_sdk import OciCommandRuntime
from pouch_sdk.conformance import RuntimeConformance
"""
_TAIL = """
class TestMutant(RuntimeConformance):
    driver = Mutant
    options = {"command": "runc"}
"""
_MUTANTS = {
    "starts at create": (
        "test_create_does_not_run_the_first_instruction",
        """
    @hookimpl
    def runtime_create(self, task, checkpoint):
        state = super().runtime_create(task, checkpoint)
        super().runtime_start(task)
        while super().runtime_state(task).status is not TaskStatus.STOPPED:
            pass
        return state
    @hookimpl
    def runtime_start(self, task):
        pass
""",
    ),
    "deletes what runs": (
        "test_delete_of_a_running_container_is_refused",
        """
    @hookimpl
    def runtime_delete(self, task, force):
        super().runtime_delete(task, True)
""",
    ),
    "kills with another signal": (
        "test_kill_reaches_the_process",
        """
    @hookimpl
    def runtime_kill(self, task, signal, everyone):
        super().runtime_kill(task, 9, everyone)
""",
    ),
    "has one error for all": (
        "test_command_not_found",
        """
    @hookimpl
    def runtime_create(self, task, checkpoint):
        try:
            return super().runtime_create(task, checkpoint)
        except RuntimeFailed as error:
            raise RuntimeFailed(error.message) from None
""",
    ),
    "forgets the log": (
        "test_log_needs_nobody",
        """
    @hookimpl
    def runtime_create(self, task, checkpoint):
        io = task.io.model_copy(update={"log_path": None})
        state = super().runtime_create(task.model_copy(update={"io": io}), checkpoint)
        task.io.log_path.touch()
        return state
""",
    ),
    "makes a public log": (
        "test_log_is_private",
        """
    @hookimpl
    def runtime_create(self, task, checkpoint):
        state = super().runtime_create(task, checkpoint)
        task.io.log_path.chmod(0o644)
        return state
""",
    ),
    "leaks a descriptor of the daemon": (
        "test_containers_that_ended",
        """
    @hookimpl
    def runtime_start(self, task):
        os.open("/dev/null", os.O_RDONLY)
        super().runtime_start(task)
""",
    ),
    "leaves a file": (
        "test_containers_deleted_by_force",
        """
    @hookimpl
    def runtime_delete(self, task, force):
        super().runtime_delete(task, force)
        (task.run_dir / "left").touch()
""",
    ),
    "forgets tasks at a restart": (
        "test_running_container_is_found",
        """
    @hookimpl
    def runtime_recover(self, task):
        return None
""",
    ),
    "loses the size of terminals": (
        "test_size_before_start",
        """
    @hookimpl
    def runtime_resize(self, task, process, size):
        pass
""",
    ),
    "says no limits": (
        "test_update",
        """
    @hookimpl
    def runtime_update(self, task, resources):
        pass
""",
    ),
    "runs execs as root": (
        "test_exec_environment_directory_and_user",
        """
    @hookimpl
    def runtime_exec(self, task, process):
        return super().runtime_exec(task, process.model_copy(update={"user": type(process.user)()}))
""",
    ),
}


@pytest.mark.parametrize("mutant", _MUTANTS)
def test_mutant_is_caught(tmp_path: Path, mutant: str) -> None:
    """The case that is about this point fails, and not because of an error around it."""
    case, body = _MUTANTS[mutant]
    file = tmp_path / "test_mutant.py"
    file.write_text(f"{_HEAD}\nclass Mutant(OciCommandRuntime):\n    api = '0.1'\n{body}\n{_TAIL}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(file), "-k", case],
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout
    assert "error" not in done.stdout.splitlines()[-1]
