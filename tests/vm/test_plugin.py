"""What is told of tests in machines, and that machines leave nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.pouchd import REPOSITORY

TESTS = """
from pathlib import Path
import subprocess
import time
import pytest

WRITTEN = [Path(directory, "written-by-a-machine") for directory in ("/usr", "/etc", {directory!r})]
here = pytest.mark.vm()
other = pytest.mark.vm(cgroup="v1")

@pytest.fixture
def broken():
    raise RuntimeError("no such luck")

@here
def test_that_passes():
    time.sleep(0.25)

@here
def test_that_fails():
    print("said before")
    assert Path("/proc/1/comm").read_text() == "something else"

@here
def test_that_is_skipped():
    pytest.skip("not today")

@here
def test_with_a_broken_fixture(broken):
    pass

@here
@pytest.mark.parametrize("path", WRITTEN, ids=str)
def test_that_writes(path):
    path.write_text("in memory")
    assert path.read_text() == "in memory"

@here
def test_that_writes_past_the_layer():
    subprocess.run(["mount", "-t", "virtiofs", "-o", "rw", "host", "/mnt"], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        Path("/mnt/etc/written-by-a-machine").touch()

@here
def test_that_crashes_the_kernel():
    Path("/proc/sysrq-trigger").write_text("c")

@here
def test_after_the_crash():
    pass

@other
def test_in_another_machine():
    assert Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists()

@other
def test_that_hangs():
    time.sleep(1000)

@other
def test_after_the_hang():
    pass
"""
IMPATIENCE = """
from tests.vm import plugin

def pytest_runtest_logstart(nodeid):
    if nodeid.endswith("test_that_hangs"):
        plugin.TEST_SECONDS = 2.0
"""


class Project:
    """A directory with tests, and what a run of pytest in it has told."""

    def __init__(self, directory: Path, tests: str, conftest: str = "") -> None:
        self.directory = directory
        self.machines = directory / "machines"
        self.machines.mkdir()
        (directory / "pytest.ini").write_text("[pytest]\n")
        (directory / "conftest.py").write_text(conftest)
        (directory / "test_it.py").write_text(tests)

    def run(self) -> int:
        """Run pytest; gives its exit code."""
        command = [sys.executable, "-m", "pytest", "-p", "tests.vm.plugin", "-p", "no:randomly", "--junitxml=told.xml"]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(self.machines)}
        done = subprocess.run(command, cwd=self.directory, env=environment, capture_output=True, text=True)
        self.output = done.stdout + done.stderr
        return done.returncode

    def told(self, name: str) -> ElementTree.Element:
        """The report's entry of a test."""
        (entry,) = ElementTree.parse(self.directory / "told.xml").iterfind(f".//testcase[@name='{name}']")
        return entry


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Tests that end in every way that there is, and have been run."""
    directory = tmp_path_factory.mktemp("project")
    project = Project(directory, TESTS.format(directory=str(directory)), IMPATIENCE)
    assert project.run() == pytest.ExitCode.TESTS_FAILED, project.output
    return project


def _words(entry: ElementTree.Element, kind: str) -> str:
    found = entry.find(kind)
    assert found is not None, ElementTree.tostring(entry)
    return f"{found.get('message')}\n{found.text}"


def test_all_is_counted(project: Project) -> None:
    """In pytest's closing line as if the tests had run here."""
    assert "5 failed, 6 passed, 1 skipped, 1 error in" in project.output


def test_a_pass_has_its_duration(project: Project) -> None:
    """The time that the test took in the machine, without the machine's start."""
    entry = project.told("test_that_passes")
    assert list(entry) == []
    assert 0.25 <= float(entry.get("time", "0")) < 3


def test_a_failure_has_its_text(project: Project) -> None:
    """The assertion with the values it saw in there, and what the test had printed."""
    words = _words(project.told("test_that_fails"), "failure")
    assert "something else" in words
    assert "said before" in project.output


def test_a_skip_has_its_reason(project: Project) -> None:
    """The reason that the test gave."""
    assert "not today" in _words(project.told("test_that_is_skipped"), "skipped")


def test_a_broken_fixture_is_an_error(project: Project) -> None:
    """Not a failure of the test."""
    assert "no such luck" in _words(project.told("test_with_a_broken_fixture"), "error")


def test_the_hosts_files_are_as_they_were(project: Project) -> None:
    """What a machine wrote was written in its memory."""
    for directory in ("/usr", "/etc", project.directory):
        assert project.told(f"test_that_writes[{directory}/written-by-a-machine]").find("failure") is None
        assert not Path(directory, "written-by-a-machine").exists()


def test_the_hosts_files_can_not_be_written(project: Project) -> None:
    """Nor can root in a machine write to them on purpose."""
    assert list(project.told("test_that_writes_past_the_layer")) == []


def test_a_crash_is_a_failure_of_its_test(project: Project) -> None:
    """It says that the machine has ended, and shows what the console said last."""
    assert "the machine has ended" in _words(project.told("test_that_crashes_the_kernel"), "failure")
    assert "Kernel panic" in project.output


def test_a_crash_is_a_failure_of_the_tests_after_it(project: Project) -> None:
    """They have not run, and say so."""
    assert "the machine has ended" in _words(project.told("test_after_the_crash"), "failure")


def test_after_a_crash_other_machines_run(project: Project) -> None:
    """A configuration's machine is its own."""
    assert list(project.told("test_in_another_machine")) == []


def test_a_hang_is_a_failure(project: Project) -> None:
    """Of the test that hangs, after its time, and of those after it at once."""
    for name in ("test_that_hangs", "test_after_the_hang"):
        assert "the machine said nothing for 2 s" in _words(project.told(name), "failure")


def test_nothing_is_left_of_machines(project: Project) -> None:
    """No file, no process."""
    assert list(project.machines.iterdir()) == []
    assert list(_processes(project.machines)) == []


def _processes(directory: Path) -> Iterator[int]:
    """Those that have the directory in their command line."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if bytes(directory) in (process / "cmdline").read_bytes():
                yield int(process.name)


def test_a_machine_that_never_answers_is_a_failure(tmp_path: Path) -> None:
    """After the time that a start may take."""
    tests = "import pytest\n@pytest.mark.vm()\ndef test_it(): pass\n"
    project = Project(tmp_path, tests, "from tests.vm import plugin\nplugin.BOOT_SECONDS = 0.5\n")
    assert project.run() == pytest.ExitCode.TESTS_FAILED
    assert "the machine said nothing for 0.5 s" in _words(project.told("test_it"), "failure")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("cgroup='v3'", "cgroup='v3': it can be v2, v1, hybrid"),
        ("cgruop='v2'", "no argument 'cgruop': there are cgroup, init, disks, kernel"),
        ("disks=['btrfs']", "disk 'btrfs': its file system can be ext4 or xfs"),
        ("'v2'", "vm takes keyword arguments only"),
    ],
)
def test_a_wrong_marker_is_refused(arguments: str, words: str, tmp_path: Path) -> None:
    """Before anything runs, with the test's name and what is possible."""
    project = Project(tmp_path, f"import pytest\n@pytest.mark.vm({arguments})\ndef test_it(): pass\n")
    assert project.run() == pytest.ExitCode.USAGE_ERROR
    assert "test_it.py::test_it: " in project.output
    assert words in project.output


def test_machines_end_with_a_killed_owner(tmp_path: Path) -> None:
    """Even if pytest is killed, QEMU and virtiofsd do not stay."""
    program = (
        "from tests.vm.machine import Machine; from tests.vm.configuration import Configuration; import sys\n"
        "Machine(Configuration(), 'sleep 1000').start(); print('started', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"started\n"
        processes = [os.pidfd_open(pid) for pid in _processes(tmp_path)]
        owner.send_signal(signal.SIGKILL)
    assert len(processes) >= 2
    for process in processes:
        with os.fdopen(process):
            assert _ended(process)


def _ended(pidfd: int) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(10_000))
