"""The daemon dies, hangs and comes back: containers run on, logs lose nothing, nothing half made stays."""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.pouchd import POUCH, Daemon

COUNT = "i=0; while [ $i -lt {n} ]; do echo line $i; i=$((i+1)); done"


def test_containers_run_on_without_a_daemon(own_pouchd: Daemon) -> None:
    """kill -9: the process goes on, its log is whole, its exit code is found, attach works again."""
    own_pouchd.pouch("run", "-d", "--name", "stays", "busybox", "sh", "-c", "echo up; exec sleep 1000")
    script = "while [ ! -e /go ]; do sleep 0.05; done; " + COUNT.format(n=5000) + "; exit 42"
    own_pouchd.pouch("run", "-d", "--name", "ends", "busybox", "sh", "-c", script)
    pid = own_pouchd.inspect("stays")["State"]["Pid"]
    go = Path(f"/proc/{own_pouchd.inspect('ends')['State']['Pid']}/root/go")
    ender = os.pidfd_open(own_pouchd.inspect("ends")["State"]["Pid"])
    own_pouchd.kill()
    go.touch()
    _await_end(ender)
    own_pouchd.start()
    assert own_pouchd.inspect("stays")["State"]["Pid"] == pid
    assert own_pouchd.text("wait", "ends") == "42"
    assert own_pouchd.text("logs", "ends") == "\n".join(f"line {i}" for i in range(5000))
    with subprocess.Popen(
        [POUCH, "attach", "--sig-proxy=false", "stays"], stdout=subprocess.PIPE, env=own_pouchd.environment()
    ) as attached:
        own_pouchd.pouch("exec", "stays", "sh", "-c", "echo again > /proc/1/fd/1")
        assert attached.stdout is not None
        assert attached.stdout.readline() == b"again\n"
        own_pouchd.pouch("kill", "stays")
        assert attached.wait(30) == 137


def _await_end(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(30_000)
    os.close(pidfd)


def test_rm_of_a_container_that_ended_while_the_daemon_was_away(own_pouchd: Daemon) -> None:
    """--rm is honoured at the next start."""
    own_pouchd.pouch("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1000")
    pid = own_pouchd.inspect("gone")["State"]["Pid"]
    pidfd = os.pidfd_open(pid)
    own_pouchd.kill()
    os.kill(pid, signal.SIGKILL)
    _await_end(pidfd)
    own_pouchd.start()
    _await_nothing(own_pouchd)


def _await_nothing(daemon: Daemon) -> None:
    """Removal after a restart goes on behind; it is bounded."""
    until = time.monotonic() + 20
    while daemon.text("ps", "-aq") or daemon.remains():
        assert time.monotonic() < until, (daemon.text("ps", "-a"), daemon.remains())
        time.sleep(0.05)


@pytest.mark.parametrize("operation", ["create", "start", "stop", "rm"])
def test_killed_in_the_middle(own_pouchd: Daemon, operation: str) -> None:
    """kill -9 at twelve moments of an operation: after the next start all is whole or gone, and can be done again."""
    chance = random.Random(operation)
    for attempt in range(12):
        name = f"c{attempt}"
        if operation != "create":
            own_pouchd.pouch("create", "--name", name, "-v", "/data", "busybox", "sleep", "1000")
        if operation in ("stop", "rm"):
            own_pouchd.pouch("start", name)
        arguments = {
            "create": ["create", "--name", name, "-v", "/data", "busybox", "sleep", "1000"],
            "start": ["start", name],
            "stop": ["stop", "-t", "0", name],
            "rm": ["rm", "-f", "-v", name],
        }[operation]
        command = subprocess.Popen(
            [POUCH, *arguments], env=own_pouchd.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(chance.uniform(0.02, 0.14))  # the moment is the test's input, not a wait
        own_pouchd.kill()
        command.wait(30)
        own_pouchd.start()
        _, containers = own_pouchd.api("GET", "/containers/json?all=1")
        for container in containers:
            assert container["State"] in ("created", "running", "exited"), container
            if container["State"] != "running":
                own_pouchd.pouch("start", container["Id"])
            assert own_pouchd.text("exec", container["Id"], "echo", "alive") == "alive"
            own_pouchd.pouch("rm", "-f", "-v", container["Id"])
        assert own_pouchd.remains() == []
        assert own_pouchd.text("volume", "ls", "-q") == ""


def test_ctrl_c_at_any_moment(own_pouchd: Daemon) -> None:
    """Interrupting `pouch run --rm` of a process that ends on it leaves nothing, whenever it comes."""
    chance = random.Random(7)
    for _ in range(15):
        script = "trap 'exit 130' INT TERM; while :; do sleep 0.02; done"
        run = subprocess.Popen(
            [POUCH, "run", "--rm", "busybox", "sh", "-c", script],
            env=own_pouchd.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        time.sleep(chance.uniform(0.0, 0.3))  # the moment is the test's input, not a wait
        run.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            run.wait(2)
        if run.poll() is None:  # it came before the trap was set, and pid 1 ignores what it does not handle
            run.send_signal(signal.SIGINT)
        assert run.wait(30) in (130, -signal.SIGINT, 0, 1)  # 1: the interpreter itself was still starting
        assert run.stderr is not None
        assert b"pouch_engine" not in run.stderr.read()  # a traceback of ours; the interpreter's own start may have one
        run.stderr.close()
    for container in own_pouchd.text("ps", "-aq").split():
        own_pouchd.pouch("rm", "-f", "-v", container)
    _await_nothing(own_pouchd)


def test_a_second_daemon_is_refused(own_pouchd: Daemon) -> None:
    """One daemon for a root directory."""
    second = subprocess.run(
        [
            Path(POUCH).with_name("pouchd"),
            "--root",
            own_pouchd.root_dir,
            "--run",
            own_pouchd.run_dir,
            "--config",
            "/dev/null",
        ],
        capture_output=True,
        timeout=30,
    )
    assert second.returncode == 4
    assert str(own_pouchd.root_dir) in second.stderr.decode()


def _script(directory: Path, body: str) -> Path:
    path = directory / "runtime"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, ["/no/such/runtime"]),
        ('case "$*" in *--version*) echo runc version 1.1.5;; *features*) exit 1;; *) sleep 1000;; esac', ["did not"]),
        (
            'case "$*" in *--version*) echo runc version 1.1.5;; *) head -c 5000000 /dev/urandom >&2; exit 1;; esac',
            ["runtime"],
        ),
    ],
    ids=["missing", "hanging", "garbage"],
)
def test_bad_runtime(own_pouchd: Daemon, tmp_path: Path, body: str | None, words: list[str]) -> None:
    """A runtime that is missing, hangs or prints garbage costs one failed start, and nothing stays of it."""
    command = "/no/such/runtime" if body is None else str(_script(tmp_path, body))
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.bad]\ndriver = "runc"\ncommand = "{command}"\ndeadline-factor = 0.05\n')
    own_pouchd.start()
    done = own_pouchd.pouch("run", "--rm", "--runtime", "bad", "busybox", "true", check=False)
    error = done.stderr.decode()
    assert done.returncode in (125, 126, 127)
    assert [word for word in words if word not in error] == [], error
    assert len(error) < 10_000
    assert "Traceback" not in error
    assert own_pouchd.text("run", "--rm", "busybox", "echo", "fine") == "fine"
    for container in own_pouchd.text("ps", "-aq").split():
        own_pouchd.pouch("rm", "-f", container)
    _await_nothing(own_pouchd)


def test_commands_that_race_start_one_daemon(tmp_path: Path) -> None:
    """Five commands find no daemon: one is started, all are answered; it is of no caller's session."""
    root, run = tmp_path / "root", Path(f"/run/pt-auto-{os.getpid()}")
    environment = {**os.environ, "POUCH_ROOT": str(root), "POUCH_RUN": str(run), "POUCH_CONFIG": "/dev/null"}
    environment.pop("POUCH_HOST", None)
    results: list[subprocess.CompletedProcess[bytes]] = []

    def ask() -> None:
        results.append(subprocess.run([POUCH, "info"], env=environment, capture_output=True, timeout=60))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if _is_daemon_of(pid, root)]
    try:
        assert [done.returncode for done in results] == [0] * 5, results
        assert len(pids) == 1
        assert os.getsid(pids[0]) != os.getsid(0)
    finally:
        for pid in pids:
            pidfd = os.pidfd_open(pid)
            os.kill(pid, signal.SIGTERM)
            _await_end(pidfd)
        subprocess.run(["rm", "-rf", run], check=True)


def _is_daemon_of(pid: int, root: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"pouch_engine.daemon" in command and os.fsencode(root) in command
