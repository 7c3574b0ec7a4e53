"""`run -it` under a real terminal: raw mode, window size, detach keys."""

from __future__ import annotations

import fcntl
import os
import pty
import queue
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator

import pytest

from .conftest import Request, Server, outside_environment

ID = "0123456789abcdef" * 4


class Session:
    """`pouch run -it` at a terminal of our own, with a container that says what it got."""

    def __init__(self, server: Server) -> None:
        self.sizes: queue.Queue[str] = queue.Queue()
        self.typed: queue.Queue[bytes] = queue.Queue()
        self._gone = threading.Event()
        path = f"/containers/{ID}"
        server.answer("POST /containers/create", {"Id": ID}, "201 Created")
        server.on(f"POST {path}/attach", self._attach)
        server.on(f"POST {path}/wait", self._wait)
        server.answer(f"POST {path}/start", None, "204 No Content")
        server.on(f"POST {path}/resize", self._resize)
        self.terminal, self._end = pty.openpty()
        self.resize(33, 77)
        self.before = termios.tcgetattr(self._end)
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from pouch_engine.cli import main; main()", "run", "-it", "busybox"],
            env={**outside_environment(), "POUCH_HOST": server.host},
            stdin=self._end,
            stdout=self._end,
            stderr=subprocess.PIPE,
        )

    def resize(self, rows: int, columns: int) -> None:
        """Give the terminal a size."""
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def mode(self) -> list[object]:
        """Return the terminal's mode."""
        return termios.tcgetattr(self._end)

    def close(self) -> None:
        """End the container and the command, and close the terminal."""
        self._gone.set()
        self.process.kill()
        self.process.communicate()
        os.close(self.terminal)
        os.close(self._end)

    def _attach(self, _: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nprompt\r\n")
        while data := connection.recv(4096):
            self.typed.put(data)
        self._gone.set()

    def _wait(self, _: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert self._gone.wait(10)

    def _resize(self, request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.sizes.put(request.target.partition("?")[2])


@pytest.fixture
def session(server: Server) -> Iterator[Session]:
    """A running session, whose first output and size have arrived."""
    session = Session(server)
    try:
        assert session.sizes.get(timeout=10) == "h=33&w=77"
        assert os.read(session.terminal, 99) == b"prompt\r\n"
        yield session
    finally:
        session.close()


def test_window_size_follows(session: Session) -> None:
    """A change of the terminal's size is one of the container's."""
    session.resize(40, 100)
    session.process.send_signal(signal.SIGWINCH)
    assert session.sizes.get(timeout=10) == "h=40&w=100"


def test_control_characters_belong_to_the_container(session: Session) -> None:
    """Ctrl-C is a byte for the container, not a signal for the command."""
    os.write(session.terminal, b"\x03")
    assert session.typed.get(timeout=10) == b"\x03"
    assert session.process.poll() is None


def test_detach_keys_leave_the_container_running(session: Session) -> None:
    """Ctrl-P Ctrl-Q ends the command with 0, gives the terminal back, and reaches the container not at all."""
    os.write(session.terminal, b"x\x10\x11")
    assert session.process.wait(10) == 0
    assert session.mode() == session.before
    assert session.typed.get(timeout=10) == b"x"
    assert session.typed.empty()


def test_terminal_is_given_back_on_sigterm(session: Session) -> None:
    """A command that is told to end puts the terminal's mode back first."""
    assert session.mode() != session.before
    session.process.terminate()
    assert session.process.wait(10) == 128 + signal.SIGTERM
    assert session.mode() == session.before
