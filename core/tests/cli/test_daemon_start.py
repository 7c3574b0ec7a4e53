"""Starting the daemon when there is none."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_engine.cli.daemon_start import leave_cgroups, through_fifo

from .conftest import outside_environment

_POUCH = [sys.executable, "-c", "from pouch_engine.cli import main; main()"]


def _environment(run_dir: Path, **more: str) -> dict[str, str]:
    """The caller's environment, with directories of the test's own and a configuration that no daemon accepts."""
    config = run_dir / "pouchd.toml"
    config.write_text("this is no TOML\n")
    own = {"POUCH_ROOT": f"{run_dir}/root", "POUCH_RUN": f"{run_dir}/run", "POUCH_CONFIG": str(config)}
    return {**outside_environment(), **own, **more}


def _pouch(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_POUCH, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_failed_start_shows_the_end_of_the_log(run_dir: Path) -> None:
    """A daemon that does not come up gives exit code 125 and the last words of its log, which only root may read."""
    result = _pouch(_environment(run_dir), "ps")
    log = run_dir / "run" / "pouchd.log"
    assert result.returncode == 125
    assert result.stderr.startswith(f"pouch: pouchd did not start. The end of {log}:\n")
    assert log.read_text().splitlines()[-1] in result.stderr
    assert log.stat().st_mode & 0o777 == 0o600


def test_no_start_at_an_address_that_the_user_gave(run_dir: Path) -> None:
    """Who names an address wants the daemon that is there: none is started."""
    environment = _environment(run_dir, POUCH_HOST=f"unix://{run_dir}/other.sock")
    del environment["POUCH_ROOT"], environment["POUCH_RUN"]
    result = _pouch(environment, "ps")
    assert result.returncode == 1
    assert f"cannot connect to pouchd at unix://{run_dir}/other.sock" in result.stderr
    assert not (run_dir / "run").exists()


def test_only_root_can_start_one(run_dir: Path) -> None:
    """Without root the error says so."""
    run_dir.chmod(0o755)
    program = "import os; os.setuid(65534); from pouch_engine.cli import run; raise SystemExit(run(['ps']))"
    result = subprocess.run(
        [sys.executable, "-c", f"import pouch_engine.cli.daemon_start, pouch_engine.cli.commands.ps; {program}"],
        env=_environment(run_dir),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 125
    assert "starting one needs root" in result.stderr


def test_ready_word_through_a_fifo(run_dir: Path) -> None:
    """The command that a unit runs has the fifo as descriptor 3, and nothing else of it changes."""
    fifo = run_dir / "ready.fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        subprocess.run(through_fifo(str(fifo), ["/bin/sh", "-c", 'echo "$1" >&3', "sh", "a b"]), check=True)
        assert os.read(reader, 99) == b"a b\n"
        assert os.read(reader, 99) == b""
    finally:
        os.close(reader)


@pytest.fixture
def grouped_process() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a cgroup of its own, in every hierarchy that lets us make one."""
    made = []
    process = subprocess.Popen(["sleep", "60"])
    try:
        for directory in Path("/sys/fs/cgroup").glob("*/cgroup.procs"):
            group = directory.parent / f"pouch-cli-test-{os.getpid()}"
            group.mkdir()
            made.append(group)
            if not (group / "cpuset.mems").exists():  # which is empty at first, and refuses every process
                (group / "cgroup.procs").write_text(str(process.pid))
        yield process
    finally:
        process.kill()
        process.wait()
        for group in made:
            group.rmdir()


def test_process_leaves_its_starters_cgroups(grouped_process: subprocess.Popen[bytes], run_dir: Path) -> None:
    """The daemon is moved to the root of every hierarchy, and nothing is complained about."""
    groups = Path(f"/proc/{grouped_process.pid}/cgroup")
    assert "pouch-cli-test" in groups.read_text()
    leave_cgroups(grouped_process.pid, str(run_dir / "log"))
    assert {line.split(":", 2)[2] for line in groups.read_text().splitlines()} == {"/"}
    assert not (run_dir / "log").exists()


def test_commands_that_race_start_one_daemon(run_dir: Path) -> None:
    """Several first commands all get their answer from one daemon, which is in a session of its own."""
    environment = _environment(run_dir)
    Path(environment["POUCH_CONFIG"]).write_text("")
    command = [*_POUCH, "version", "--format", "{{.Server.ApiVersion}}"]
    racers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        outputs = [racer.communicate(timeout=60) for racer in racers]
        daemons = _daemons(run_dir)
        assert outputs == [("1.43\n", "")] * 4
        assert len(daemons) == 1
        assert os.getsid(daemons[0]) == daemons[0]
    finally:
        for pid in _daemons(run_dir):
            descriptor = os.pidfd_open(pid)
            signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            select.select([descriptor], [], [], 20)
            os.close(descriptor)


def _daemons(run_dir: Path) -> list[int]:
    """Return the processes that run pouchd with this run directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            words = path.read_bytes().split(b"\0")
            if b"pouch_engine.daemon" in words and f"{run_dir}/run".encode() in words:
                found.append(int(path.parent.name))
    return found
