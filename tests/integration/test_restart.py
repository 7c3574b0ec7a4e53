"""The verb restart."""

from __future__ import annotations

import pytest

from tests.pouchd import Daemon


@pytest.mark.parametrize("state", ["created", "running", "paused", "exited"])
def test_restart_runs_a_container_in_any_state(pouchd: Daemon, state: str) -> None:
    """A new process runs, whatever was before; its data is there; the event tells."""
    pouchd.pouch("create", "--name", "box", "busybox", "sh", "-c", "echo run >> /runs; exec sleep 1000")
    if state != "created":
        pouchd.pouch("start", "box")
        assert _runs(pouchd, 1) == "1"
    before = pouchd.inspect("box")["State"]["Pid"]
    if state == "paused":
        pouchd.pouch("pause", "box")
    if state == "exited":
        pouchd.pouch("kill", "box")
        pouchd.pouch("wait", "box")
    assert pouchd.text("restart", "-t", "0", "box") == "box"
    after = pouchd.inspect("box")["State"]
    assert after["Status"] == "running"
    assert after["Pid"] != before
    expected = 1 if state == "created" else 2
    assert _runs(pouchd, expected) == str(expected)
    told = pouchd.text(
        "events", "--since", "1m", "--until", "0s", "-f", "event=restart", "-f", "container=box", "--format", "json"
    )
    assert pouchd.inspect("box")["Id"] in told


def _runs(daemon: Daemon, least: int) -> str:
    """How often the container's command has begun, once that is `least`."""
    return daemon.text(
        "exec", "box", "sh", "-c", f"while [ $(cat /runs | wc -l) -lt {least} ]; do :; done; wc -l < /runs"
    )


def test_restart_keeps_a_container_with_rm(pouchd: Daemon) -> None:
    """--rm does not count for the end that a restart makes, and counts for the next."""
    id_ = pouchd.text("run", "-d", "--rm", "--name", "box", "busybox", "sleep", "1000")
    pouchd.pouch("restart", "-t", "0", "box")
    assert pouchd.inspect("box")["Id"] == id_
    assert pouchd.inspect("box")["State"]["Running"] is True
    pouchd.pouch("stop", "-t", "0", "box")
    pouchd.pouch("wait", "--condition", "removed", id_, check=False)
    assert pouchd.text("ps", "-aq") == ""


def test_restart_of_a_short_run_with_rm(pouchd: Daemon) -> None:
    """A command that is over at once is removed after the restart, and the restart itself succeeds."""
    id_ = pouchd.text("create", "--rm", "--name", "box", "busybox", "true")
    pouchd.pouch("restart", "box")
    pouchd.pouch("wait", "--condition", "removed", id_, check=False)
    assert pouchd.text("ps", "-aq") == ""


def test_restart_sends_the_signal(pouchd: Daemon) -> None:
    """-s: the process itself answers to it."""
    script = "trap 'echo usr1; exit 0' USR1; echo up; while :; do sleep 0.02; done"
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", script)
    pouchd.pouch("exec", "box", "sh", "-c", "while ! grep -q '^SigCgt.*2' /proc/1/status; do sleep 0.01; done")
    pouchd.pouch("restart", "-s", "USR1", "box")
    assert "usr1" in pouchd.text("logs", "box")


def test_restart_mistakes(pouchd: Daemon) -> None:
    """A missing container and a wrong signal are refused, and a running container stays."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = pouchd.inspect("box")["State"]["Pid"]
    for arguments, word in ((["nosuch"], "nosuch"), (["-s", "NOSUCH", "box"], "NOSUCH")):
        done = pouchd.pouch("restart", *arguments, check=False)
        assert done.returncode == 1
        assert word in done.stderr.decode()
    assert pouchd.inspect("box")["State"]["Pid"] == pid
