"""Restart policies: when, how soon, how often; across restarts of the daemon and of the machine."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pouchd import Daemon


def _times(daemon: Daemon, id_: str, action: str) -> list[float]:
    """When something happened to a container, in seconds."""
    filters = ["-f", f"container={id_}", "-f", f"event={action}"]
    lines = daemon.text("events", "--since", "10m", "--until", "0s", *filters, "--format", "json")
    return [json.loads(line)["timeNano"] / 1e9 for line in lines.splitlines()]


def _await(daemon: Daemon, name: str, status: str, seconds: float = 20) -> dict[str, Any]:
    """The state, once it has this status."""
    until = time.monotonic() + seconds
    while (description := daemon.inspect(name))["State"]["Status"] != status:
        assert time.monotonic() < until, description["State"]
        time.sleep(0.02)
    return description


def _await_restarts(daemon: Daemon, name: str, count: int) -> None:
    until = time.monotonic() + 30
    while daemon.inspect(name)["RestartCount"] < count:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_delays_double(pouchd: Daemon) -> None:
    """A container that ends at once is started again after 0.1, 0.2, 0.4, 0.8 seconds."""
    id_ = pouchd.text("run", "-d", "--restart", "always", "busybox", "false")
    _await_restarts(pouchd, id_, 5)
    pouchd.pouch("rm", "-f", id_)
    starts, ends = _times(pouchd, id_, "start"), _times(pouchd, id_, "die")
    delays = [start - end for end, start in zip(ends, starts[1:], strict=False)][:4]
    late = 3  # seconds that a busy host may add
    assert [0.1 * 2**n <= delay < 0.1 * 2**n + late for n, delay in enumerate(delays)] == [True] * 4, delays


def test_on_failure_counts(pouchd: Daemon) -> None:
    """on-failure:2 is two more tries; the code of the last one stays."""
    id_ = pouchd.text("run", "-d", "--restart", "on-failure:2", "busybox", "sh", "-c", "exit 7")
    _await_restarts(pouchd, id_, 2)
    description = _await(pouchd, id_, "exited")
    assert (description["RestartCount"], description["State"]["ExitCode"]) == (2, 7)
    assert len(_times(pouchd, id_, "start")) == 3


def test_on_failure_leaves_a_success(pouchd: Daemon) -> None:
    """Exit code 0 is no failure."""
    pouchd.pouch("run", "--name", "box", "--restart", "on-failure", "busybox", "true")
    description = pouchd.inspect("box")
    assert (description["RestartCount"], description["State"]["Status"]) == (0, "exited")


def test_on_failure_of_a_start(pouchd: Daemon, tmp_path: Path) -> None:
    """A restart that itself fails counts as a try, waits as one, and comes to its end."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 3\n")
    script.chmod(0o755)
    flags = ["--restart", "on-failure:3", "--mount", f"type=bind,source={script},target=/script"]
    pouchd.pouch("create", "--name", "box", *flags, "busybox", "/script")
    pouchd.pouch("start", "box")
    script.chmod(0o644)
    description = pouchd.inspect("box")
    until = time.monotonic() + 20
    while description["RestartCount"] < 3 or description["State"]["Status"] != "exited":
        assert time.monotonic() < until
        time.sleep(0.05)
        description = pouchd.inspect("box")
    assert description["RestartCount"] == 3
    assert description["State"]["ExitCode"] in (3, 126)


@pytest.mark.parametrize("ending", [["stop"], ["rm", "-f"], ["update", "--restart", "no"]])
def test_a_loop_can_be_ended(pouchd: Daemon, ending: list[str]) -> None:
    """Also between two tries: who waits is answered, and nothing starts any more."""
    id_ = pouchd.text("run", "-d", "--name", "box", "--restart", "always", "busybox", "sh", "-c", "exit 5")
    _await_restarts(pouchd, "box", 5)  # now a try comes after 1.6 s only
    _await(pouchd, "box", "restarting")
    answers: list[str] = []
    waiting = threading.Thread(target=lambda: answers.append(pouchd.text("wait", "box", check=False)))
    waiting.start()
    pouchd.pouch(*ending, "box")
    waiting.join(20)
    assert answers == ["5"] or ending[0] == "rm"
    if ending[0] != "rm":
        assert pouchd.inspect("box")["State"]["Status"] == "exited"
    starts = len(_times(pouchd, id_, "start"))
    time.sleep(2)  # longer than the delay: the time is the test's input
    assert len(_times(pouchd, id_, "start")) == starts


def test_a_policy_that_comes_later(pouchd: Daemon) -> None:
    """update --restart counts for the end of the very run that is going on."""
    script = "while ! [ -e /go ]; do sleep 0.02; done; exit 3"
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", script)
    pouchd.pouch("update", "--restart", "on-failure:2", "box")
    pouchd.pouch("exec", "box", "touch", "/go")
    _await_restarts(pouchd, "box", 2)
    assert _await(pouchd, "box", "exited")["State"]["ExitCode"] == 3


def test_a_restarting_container_counts_as_running(pouchd: Daemon) -> None:
    """docker's ps and inspect show it so, and rm wants force."""
    pouchd.pouch("run", "-d", "--name", "box", "--restart", "always", "busybox", "false")
    _await_restarts(pouchd, "box", 5)
    state = _await(pouchd, "box", "restarting")["State"]
    assert (state["Running"], state["Restarting"]) == (True, True)
    assert "Restarting (1)" in pouchd.text("ps")
    assert pouchd.pouch("rm", "box", check=False).returncode == 1


@pytest.mark.parametrize(
    ("policy", "again"), [("no", False), ("always", True), ("unless-stopped", False), ("on-failure", False)]
)
def test_kill_and_stop_by_hand(own_pouchd: Daemon, policy: str, again: bool) -> None:
    """What was ended by hand stays so; a new daemon starts it again for `always` alone, as docker's does."""
    for name, ending in (("stopped", ["stop", "-t", "0"]), ("killed", ["kill"])):
        own_pouchd.pouch("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000")
        own_pouchd.pouch(*ending, name)
        own_pouchd.pouch("wait", name)
    own_pouchd.restart()
    for name in ("stopped", "killed"):
        if again:
            _await(own_pouchd, name, "running")
        else:
            assert own_pouchd.inspect(name)["State"]["Status"] == "exited"


def test_the_daemon_dies_between_two_tries(own_pouchd: Daemon) -> None:
    """The next daemon goes on; the number of tries is kept."""
    own_pouchd.pouch("run", "-d", "--name", "box", "--restart", "on-failure:6", "busybox", "false")
    _await_restarts(own_pouchd, "box", 5)
    _await(own_pouchd, "box", "restarting")
    own_pouchd.restart()
    _await_restarts(own_pouchd, "box", 6)
    assert _await(own_pouchd, "box", "exited")["RestartCount"] == 6


def test_a_container_that_ends_without_a_daemon(own_pouchd: Daemon) -> None:
    """Its policy is applied by the next daemon."""
    own_pouchd.pouch("run", "-d", "--name", "box", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    pid = own_pouchd.inspect("box")["State"]["Pid"]
    pidfd = os.pidfd_open(pid)
    own_pouchd.kill()
    os.kill(pid, signal.SIGKILL)
    _await_end(pidfd)
    own_pouchd.start()
    _await_restarts(own_pouchd, "box", 1)
    assert _await(own_pouchd, "box", "running")["State"]["Pid"] != pid


def _await_end(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(30_000)
    os.close(pidfd)


def _reboot(daemon: Daemon) -> None:
    """What the end of a machine does: the daemon, all containers and their supervisors, mounts, cgroups, /run."""
    daemon.kill()
    for line in daemon.remains():
        kind, rest = line.split(" ", 1)
        if kind == "process":
            _end(int(rest.split()[0]))
    cgroups = [Path(line.split(" ", 1)[1]) for line in daemon.remains() if line.startswith("cgroup ")]
    for cgroup in cgroups:
        for pid in map(int, (cgroup / "cgroup.procs").read_text().split()):
            _end(pid)
    for cgroup in cgroups:
        until = time.monotonic() + 10
        while cgroup.exists():
            assert time.monotonic() < until
            subprocess.run(["rmdir", cgroup], stderr=subprocess.DEVNULL)
    mounts = [line.split(" ", 1)[1] for line in daemon.remains() if line.startswith("mount ")]
    for mount in reversed(mounts):
        subprocess.run(["umount", "-l", mount], check=True)
    for path in daemon.run_dir.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _end(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    _await_end(pidfd)


def test_the_machine_restarts(own_pouchd: Daemon) -> None:
    """All below /run is gone: names, volumes and exit reasons are right, and what should run does."""
    daemon = own_pouchd
    script = "cat /data/x 2>/dev/null; echo $HOSTNAME >> /data/x; exec sleep 1000"
    policies = {"plain": "no", "always": "always", "unless": "unless-stopped", "failing": "on-failure"}
    for name, policy in policies.items():
        flags = ["--name", name, "-h", name, "--restart", policy, "-v", f"{name}-data:/data"]
        daemon.pouch("run", "-d", *flags, "busybox", "sh", "-c", script)
    for name, policy in (("always-stopped", "always"), ("unless-stopped", "unless-stopped")):
        daemon.pouch("run", "-d", "--name", name, "--restart", policy, "busybox", "sleep", "1000")
        daemon.pouch("stop", "-t", "0", name)
    daemon.pouch("run", "-d", "--rm", "--name", "rm", "-v", "/anonymous", "busybox", "sleep", "1000")
    daemon.pouch("run", "--name", "ended", "busybox", "sh", "-c", "exit 9", check=False)
    daemon.pouch("create", "--name", "made", "busybox", "echo", "made")
    daemon.pouch("run", "-d", "--name", "paused", "busybox", "sleep", "1000")
    daemon.pouch("pause", "paused")
    for name in policies:
        daemon.pouch("exec", name, "sh", "-c", "while ! [ -s /data/x ]; do :; done")
    before = {name: daemon.inspect(name) for name in policies}
    daemon.pouch("unpause", "paused")  # a frozen process can't be killed on cgroup v1: the machine has no such bounds
    _reboot(daemon)
    daemon.start()
    for name in ("always", "unless", "failing", "always-stopped"):
        after = _await(daemon, name, "running")
        if name in before:
            assert after["Id"] == before[name]["Id"]
            assert after["State"]["Pid"] != before[name]["State"]["Pid"]
            text = daemon.text(
                "exec", name, "sh", "-c", "while [ $(cat /data/x | wc -l) -lt 2 ]; do :; done; cat /data/x"
            )
            assert text == f"{name}\n{name}"
    for name in ("plain", "paused"):
        state = daemon.inspect(name)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 255)
        assert "host-restarted" in state["Error"]
        assert daemon.inspect(name)["Pouch"]["Unsupervised"] is False
    assert daemon.inspect("unless-stopped")["State"]["Status"] == "exited"
    assert daemon.inspect("unless-stopped")["State"]["Error"] == ""
    assert daemon.inspect("ended")["State"]["ExitCode"] == 9
    assert daemon.text("start", "-a", "made") == "made"
    assert daemon.pouch("inspect", "--type", "container", "rm", check=False).returncode == 1
    assert set(daemon.text("volume", "ls", "-q").split()) == {f"{name}-data" for name in policies}
    daemon.pouch("start", "plain")
    daemon.pouch("exec", "plain", "sh", "-c", "while [ $(cat /data/x | wc -l) -lt 2 ]; do :; done")
    assert daemon.text("logs", "plain") == "plain"  # what the second run has read
