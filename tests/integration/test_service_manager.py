"""The daemon under a service manager: its sockets, its messages, its watchdog; spoken to as systemd would."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon

PATIENCE = 30
# Becomes the daemon, with the descriptors of its first argument as 3, 4 …, as sd_listen_fds(3) wants them.
PASS_SOCKETS = """\
n=3; for given in $0; do eval "exec $n<&$given"; n=$((n + 1)); done
export LISTEN_PID=$$ LISTEN_FDS=$((n - 3)); exec "$@"
"""


class Manager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path)}

    def hear(self, seconds: float = PATIENCE) -> dict[str, str]:
        """The next message's assignments. Raises TimeoutError."""
        self._socket.settimeout(seconds)
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def hear_until_silent(self, seconds: float) -> None:
        """Hear what comes until nothing comes for so long; fail if that does not happen."""
        ends_at = time.monotonic() + PATIENCE
        while time.monotonic() < ends_at:
            try:
                self.hear(seconds)
            except TimeoutError:
                return
        pytest.fail("it is never silent")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    """A service manager that hears what it is told."""
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def listening(path: Path) -> socket.socket:
    """A listening socket as a socket unit would hold it."""
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    made.listen()
    return made


def start_with_sockets(daemon: Daemon, *sockets: socket.socket) -> None:
    """Start it with inherited sockets."""
    numbers = " ".join(str(each.fileno()) for each in sockets)
    daemon.start(before=["bash", "-c", PASS_SOCKETS, numbers], pass_fds=[each.fileno() for each in sockets])


def answers(path: Path) -> bool:
    """Whether somebody answers /_ping there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(path))
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b"200 OK" in client.recv(4096)


def test_ready_when_it_serves_and_stopping_when_it_ends(own_pouchd: Daemon, manager: Manager) -> None:
    """READY=1 with a status line, and STOPPING=1 at SIGTERM."""
    own_pouchd.stop()
    own_pouchd.start(environment=manager.environment)
    ready = manager.hear()
    assert ready["READY"] == "1"
    assert str(own_pouchd.socket) in ready["STATUS"]
    assert answers(own_pouchd.socket)
    assert own_pouchd.stop() == 0
    assert manager.hear() == {"STOPPING": "1"}


def test_sighup_has_the_plugins_look_again(own_pouchd: Daemon, manager: Manager, tmp_path: Path) -> None:
    """RELOADING=1 and READY=1; a runtime that was installed meanwhile is in service."""
    command = tmp_path / "late-runc"
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.late]\ndriver = "runc"\ncommand = "{command}"\n')
    own_pouchd.start(environment=manager.environment)
    manager.hear()
    refused = own_pouchd.pouch("run", "--rm", "--runtime", "late", "busybox", "true", check=False)
    assert b"late-runc is not installed" in refused.stderr
    command.write_text('#!/bin/sh\nexec runc "$@"\n')
    command.chmod(0o755)
    assert own_pouchd.process is not None
    own_pouchd.process.send_signal(signal.SIGHUP)
    reloading = manager.hear()
    assert reloading["RELOADING"] == "1"
    assert int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert manager.hear()["READY"] == "1"
    own_pouchd.pouch("run", "--rm", "--runtime", "late", "busybox", "true")


def test_the_watchdog_is_fed(own_pouchd: Daemon, manager: Manager) -> None:
    """At least twice in the time that it gives."""
    own_pouchd.stop()
    own_pouchd.start(environment={**manager.environment, "WATCHDOG_USEC": "600000"})
    manager.hear()
    assert [manager.hear(0.6), manager.hear(0.6), manager.hear(0.6)] == [{"WATCHDOG": "1"}] * 3


def test_the_watchdog_of_another_process_is_not(own_pouchd: Daemon, manager: Manager) -> None:
    """WATCHDOG_PID says whose it is (sd_watchdog_enabled(3))."""
    own_pouchd.stop()
    own_pouchd.start(environment={**manager.environment, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"})
    manager.hear()
    with pytest.raises(TimeoutError):
        manager.hear(0.5)


def test_the_watchdog_hears_nothing_of_an_engine_that_hangs(own_pouchd: Daemon, manager: Manager) -> None:
    """The loop turns, but a request holds the engine's database and waits: that is no life until it has ended."""
    own_pouchd.stop()
    own_pouchd.start(environment={**manager.environment, "WATCHDOG_USEC": "600000"})
    manager.hear()
    other = sqlite3.connect(own_pouchd.root_dir / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    creation = threading.Thread(target=own_pouchd.pouch, args=("create", "busybox"))
    creation.start()
    try:
        manager.hear_until_silent(0.6)
        assert answers(own_pouchd.socket)
    finally:
        other.execute("ROLLBACK")
        other.close()
        creation.join()
    assert manager.hear() == {"WATCHDOG": "1"}


def test_inherited_sockets_are_served(own_pouchd: Daemon, tmp_path: Path) -> None:
    """Both: one in the place of its own, one for docker's clients; they stay when the daemon ends."""
    own_pouchd.stop()
    with listening(own_pouchd.socket) as own, listening(tmp_path / "docker.sock") as other:
        start_with_sockets(own_pouchd, own, other)
        assert answers(own_pouchd.socket)
        assert answers(tmp_path / "docker.sock")
        own_pouchd.stop()
        assert own_pouchd.socket.is_socket()
    own_pouchd.socket.unlink()


def test_a_request_before_the_start_is_answered_after_it(own_pouchd: Daemon) -> None:
    """Socket activation: the client that woke the daemon waits for it."""
    own_pouchd.stop()
    with listening(own_pouchd.socket) as own, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(own_pouchd.socket))
        client.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        start_with_sockets(own_pouchd, own)
        assert b"200 OK" in client.recv(4096)
        own_pouchd.stop()
    own_pouchd.socket.unlink()


def test_its_own_socket_is_there_beside_an_inherited_one(own_pouchd: Daemon, tmp_path: Path) -> None:
    """Docker's socket unit alone does not take the pouch command's socket away."""
    own_pouchd.stop()
    with listening(tmp_path / "docker.sock") as other:
        start_with_sockets(own_pouchd, other)
        assert answers(own_pouchd.socket)
        assert answers(tmp_path / "docker.sock")


def test_a_descriptor_that_is_no_listening_socket_is_refused(own_pouchd: Daemon) -> None:
    """A datagram socket, as of ListenDatagram=, by a sentence."""
    own_pouchd.stop()
    words = "descriptor 3 of LISTEN_FDS is not a listening unix stream"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as wrong,
        pytest.raises(pytest.fail.Exception, match=words),
    ):
        start_with_sockets(own_pouchd, wrong)
    own_pouchd.start()


def test_containers_hear_nothing_of_the_manager(own_pouchd: Daemon, manager: Manager, tmp_path: Path) -> None:
    """No variable of the protocol reaches the daemon's children: they would speak in its name."""
    seen = tmp_path / "environment"
    runtime = tmp_path / "runtime"
    runtime.write_text(f'#!/bin/sh\nenv >> {seen}\nexec runc "$@"\n')
    runtime.chmod(0o755)
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.seen]\ndriver = "runc"\ncommand = "{runtime}"\n')
    own_pouchd.start(environment={**manager.environment, "WATCHDOG_USEC": "60000000"})
    own_pouchd.pouch("run", "--rm", "--runtime", "seen", "busybox", "true")
    names = {line.partition("=")[0] for line in seen.read_text().splitlines()}
    assert "PATH" in names
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"} & names


def test_stopped_in_the_middle_the_daemon_is_not_alive(own_pouchd: Daemon, manager: Manager) -> None:
    """A daemon that does not run (SIGSTOP) is silent, and speaks again when it goes on."""
    own_pouchd.stop()
    own_pouchd.start(environment={**manager.environment, "WATCHDOG_USEC": "300000"})
    manager.hear()
    assert own_pouchd.process is not None
    os.kill(own_pouchd.process.pid, signal.SIGSTOP)
    try:
        manager.hear_until_silent(0.6)
    finally:
        os.kill(own_pouchd.process.pid, signal.SIGCONT)
    assert manager.hear() == {"WATCHDOG": "1"}
