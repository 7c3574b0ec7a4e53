"""What a user gets must not depend on the runtime: the same tests by runc and by crun, each as it is installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from pouch_linux.cgroups import open_cgroup
from tests.pouchd import POUCH, Daemon

pytestmark = pytest.mark.parametrize("runtime", ["runc", "crun"])


def test_exit_codes(pouchd: Daemon, runtime: str) -> None:
    """The process's own, 128+n, 126 and 127 with the command's name."""

    def run(*command: str) -> tuple[int, str]:
        done = pouchd.pouch("run", "--rm", "--runtime", runtime, "busybox", *command, check=False)
        return done.returncode, done.stderr.decode()

    assert run("sh", "-c", "exit 7")[0] == 7
    assert run("sh", "-c", "sh -c 'kill -9 $$'; exit $?")[0] == 137
    code, words = run("nosuchcommand")
    assert (code, "nosuchcommand" in words) == (127, True)
    code, words = run("/etc/passwd")
    assert (code, "/etc/passwd" in words) == (126, True)


def test_streams(pouchd: Daemon, runtime: str) -> None:
    """Input goes in, output and errors come out apart and whole."""
    script = "cat; echo err >&2"
    data = os.urandom(1 << 20)
    done = pouchd.pouch("run", "-i", "--rm", "--runtime", runtime, "busybox", "sh", "-c", script, stdin=data)
    assert (done.stdout, done.stderr) == (data, b"err\n")


def test_life(pouchd: Daemon, runtime: str) -> None:
    """run -d, exec, top, pause, update, stop and start again."""
    pouchd.pouch("run", "-d", "--name", "c", "--runtime", runtime, "-m", "64m", "busybox", "sleep", "1000")
    assert pouchd.text("exec", "c", "hostname") == pouchd.inspect("c")["Id"][:12]
    assert "sleep 1000" in pouchd.text("top", "c")
    pouchd.pouch("pause", "c")
    refused = pouchd.pouch("exec", "c", "true", check=False)
    assert b"paused" in refused.stderr
    pouchd.pouch("unpause", "c")
    pouchd.pouch("update", "-m", "128m", "--memory-swap", "256m", "c")
    usage = open_cgroup(f"{pouchd.cgroup}/{pouchd.inspect('c')['Id']}").usage()
    assert usage.memory_limit_bytes == 128 << 20
    pouchd.pouch("stop", "-t", "0", "c")
    assert pouchd.inspect("c")["State"]["ExitCode"] == 137
    pouchd.pouch("start", "c")
    assert pouchd.text("exec", "c", "echo", "again") == "again"


def test_limits_can_be_taken_away(pouchd: Daemon, runtime: str) -> None:
    """update with -1: no limit of processes, nor of processor time, is left in the kernel."""
    limits = ["--pids-limit", "50", "--cpus", "0.5"]
    id_ = pouchd.text("run", "-d", "--runtime", runtime, *limits, "busybox", "sleep", "1000")
    cgroup = open_cgroup(f"{pouchd.cgroup}/{id_}")
    assert cgroup.usage().pids_limit == 50
    pouchd.pouch("update", "--pids-limit", "-1", id_)
    assert cgroup.usage().pids_limit is None


def test_it_survives_the_daemon(own_pouchd: Daemon, runtime: str) -> None:
    """kill -9 of the daemon: the container runs on, and obeys the next one."""
    own_pouchd.pouch("run", "-d", "--name", "c", "--runtime", runtime, "busybox", "sleep", "1000")
    pid = own_pouchd.inspect("c")["State"]["Pid"]
    own_pouchd.restart()
    assert own_pouchd.inspect("c")["State"]["Pid"] == pid
    assert own_pouchd.text("exec", "c", "echo", "here") == "here"
    own_pouchd.pouch("kill", "-s", "TERM", "c")
    own_pouchd.pouch("rm", "-f", "c")
    assert own_pouchd.remains() == []


def test_signals_reach_the_process(pouchd: Daemon, runtime: str) -> None:
    """SIGTERM to the command arrives in the container, and its exit code comes back."""
    script = "trap 'exit 42' TERM; echo ready; while :; do sleep 0.1; done"
    command: list[str | Path] = [POUCH, "run", "--rm", "--runtime", runtime, "busybox", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=pouchd.environment()) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 42


def test_inspect_shows_its_features(pouchd: Daemon, runtime: str) -> None:
    """`runtime inspect`: what it can do, and whether it told so itself."""
    told = json.loads(pouchd.text("runtime", "inspect", runtime))
    features = (told[0] if isinstance(told, list) else told)["features"]
    assert features["seccomp"] is True
    assert {"cgroupfs", "systemd"} == set(features["cgroup_drivers"])
    assert features["version"]
