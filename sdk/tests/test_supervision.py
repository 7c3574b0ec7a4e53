"""conmon itself: missing, refused, killed; and a daemon that dies in the middle of a create."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_hookspecs import TaskStatus
from pouch_hookspecs.errors import Refused, RuntimeFailed, Unavailable
from pouch_linux.cgroups import open_cgroup
from pouch_sdk import OciCommandRuntime
from pouch_sdk.supervision_record import SupervisionRecord
from pouch_sdk.testing import TIMEOUT, Container, RuntimeHarness

_DAEMON = """
import sys
from pathlib import Path
from pouch_hookspecs import Handler, Task
from pouch_sdk import OciCommandOptions, OciCommandRuntime

options = OciCommandOptions.model_validate_json(sys.argv[1])
task = Task.model_validate_json(sys.argv[2])
handler = Handler("x", "x", options, Path(sys.argv[3]) / "data", Path(sys.argv[3]) / "run")
OciCommandRuntime(handler).runtime_create(task, None)
"""


@pytest.fixture
def made(busybox_root: Path) -> Iterator[list[RuntimeHarness]]:
    """Harnesses that are closed after the test."""
    harnesses: list[RuntimeHarness] = []
    yield harnesses
    for each in harnesses:
        each.close()


def _harness(made: list[RuntimeHarness], root: Path, **options: object) -> RuntimeHarness:
    made.append(RuntimeHarness(OciCommandRuntime, root=root, options={"command": "runc", **options}))
    return made[-1]


def _supervisor(container: Container) -> int:
    record = SupervisionRecord.load(container.task.run_dir)
    assert record is not None
    assert record.supervisor is not None
    return record.supervisor.pid


def test_missing_conmon(made: list[RuntimeHarness], busybox_root: Path) -> None:
    """It raises Unavailable that names the path and the remedy."""
    harness = _harness(made, busybox_root, conmon="/no/such/conmon")
    with pytest.raises(Unavailable, match="/no/such/conmon") as raised:
        harness.container(["true"]).create()
    assert "apt-get install conmon" in raised.value.hint


def test_conmon_that_refuses_its_flags(made: list[RuntimeHarness], busybox_root: Path, tmp_path: Path) -> None:
    """A conmon that ends without an answer gives an error with its own words."""
    conmon = tmp_path / "conmon"
    conmon.write_text("#!/bin/sh\necho conmon: option parsing failed: Unknown option --cid\nexit 1\n")
    conmon.chmod(0o755)
    harness = _harness(made, busybox_root, conmon=str(conmon))
    with pytest.raises(RuntimeFailed, match="Unknown option --cid"):
        harness.container(["true"]).create()


def test_conmon_that_can_not_be_executed(made: list[RuntimeHarness], busybox_root: Path, tmp_path: Path) -> None:
    """A conmon that is no program raises Unavailable that names it."""
    conmon = tmp_path / "conmon"
    conmon.write_text("garbage")
    conmon.chmod(0o755)
    harness = _harness(made, busybox_root, conmon=str(conmon))
    with pytest.raises(Unavailable, match=str(conmon)):
        harness.container(["true"]).create()


def test_supervisors_live_in_their_cgroup(made: list[RuntimeHarness], busybox_root: Path) -> None:
    """conmon is in the configured cgroup of every hierarchy, made anew if somebody has removed it; never in ours."""
    place = f"/pouch-test-{os.getpid()}/supervisors"
    harness = _harness(made, busybox_root, supervisor_cgroup=place)
    cgroup = open_cgroup(place)
    try:
        for _ in range(2):
            container = harness.container(["sleep", "1000"])
            container.create()
            assert cgroup.processes() == [_supervisor(container)]
            for directory in cgroup.directories:
                assert Path(directory, "cgroup.procs").read_text() == f"{_supervisor(container)}\n"
            container.delete(force=True)
            cgroup.remove()
    finally:
        open_cgroup(os.path.dirname(place)).remove()


def test_files_elsewhere_than_conmon_makes_them(harness: RuntimeHarness) -> None:
    """Where attach_dir and control_fifo are not the bundle's, they work all the same, and go with the container."""
    container = harness.container(["cat"], stdin=True, stdin_once=True)
    place = harness.directory / "elsewhere"
    place.mkdir(mode=0o700)
    io = container.task.io.model_copy(update={"attach_dir": place, "control_fifo": place / "control"})
    container.task = container.task.model_copy(update={"io": io})
    container.create()
    with container.attach() as attachment:
        container.start()
        attachment.send(b"x")
        attachment.half_close()
        assert attachment.read_all() == b"x"
    assert (place / "control").is_fifo()
    container.wait()
    container.delete()
    assert list(place.iterdir()) == []


def test_killed_supervisor(harness: RuntimeHarness) -> None:
    """If conmon is killed, the state still tells the truth, and the container can be removed."""
    container = harness.container(["sleep", "1000"])
    container.create()
    container.start()
    os.kill(_supervisor(container), signal.SIGKILL)
    state = container.state()
    assert state is not None
    assert state.status is TaskStatus.RUNNING
    container.delete(force=True)
    assert container.state() is None


def test_killed_supervisor_of_an_ended_process(harness: RuntimeHarness) -> None:
    """A task that ended without a supervisor is stopped with an unknown code, and lost for recover()."""
    container = harness.container(["sleep", "1000"])
    state = container.create()
    container.start()
    os.kill(_supervisor(container), signal.SIGKILL)
    assert state.supervised_pid is not None
    pidfd = os.pidfd_open(state.supervised_pid)
    try:
        container.kill(9)
        assert select.select([pidfd], [], [], TIMEOUT)[0]
    finally:
        os.close(pidfd)
    after = container.state()
    assert after is not None
    assert (after.status, after.exit_code) == (TaskStatus.STOPPED, None)
    assert container.hooks.runtime_recover(task=container.task) is None
    container.delete()


def test_root_with_a_linked_dev_is_refused(harness: RuntimeHarness, tmp_path: Path) -> None:
    """It raises Refused before anything is made."""
    (tmp_path / "dev").symlink_to("/etc")
    with pytest.raises(Refused, match="/dev"):
        harness.container(["true"], root=tmp_path).create()


def test_daemon_killed_while_the_runtime_creates(
    made: list[RuntimeHarness], busybox_root: Path, tmp_path: Path
) -> None:
    """After kill -9 of the daemon in a create that hangs, delete by a new daemon leaves no process and no state."""
    fifo = tmp_path / "reached"
    os.mkfifo(fifo)
    runtime = tmp_path / "runtime"
    runtime.write_text(
        f'#!/bin/sh\nfor each; do if [ "$each" = create ]; then echo $$ > {fifo}; exec sleep 1000; fi; done\n'
        'exec runc "$@"\n'
    )
    runtime.chmod(0o755)
    harness = _harness(made, busybox_root, command=str(runtime))
    container = harness.container(["true"])
    options = harness.plugin.options.model_dump_json()
    daemon = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, options, container.task.model_dump_json(), str(harness.directory)]
    )
    try:
        pidfd = os.pidfd_open(int(fifo.read_text()))  # the runtime has been reached
    finally:
        daemon.kill()
        daemon.wait()
    try:
        container.delete(force=True)
        assert select.select([pidfd], [], [], TIMEOUT)[0], "the runtime hangs on"
    finally:
        os.close(pidfd)
    assert container.state() is None
    assert sorted(each.name for each in container.task.bundle.iterdir()) == ["config.json"]
