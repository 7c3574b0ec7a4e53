"""Streams of a container: frames, half-closed input, large data both ways, detach keys, the raw terminal."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.cli.demultiplex import STDERR, STDOUT, Demultiplexer
from pouch_engine.cli.detach_keys import DetachKeys, parse_keys
from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.streams import Relay


def _frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@given(
    st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=300)), max_size=8),
    st.lists(st.integers(min_value=1, max_value=50), min_size=1, max_size=8),
)
def test_frames_survive_any_cut(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    """However the stream is cut into pieces, each output gets its bytes in order."""
    text = b"".join(_frame(stream, data) for stream, data in frames)
    demultiplexer, outputs = Demultiplexer(), {STDOUT: b"", STDERR: b""}
    position = 0
    while position < len(text):
        size = sizes[position % len(sizes)]
        for stream, part in demultiplexer.feed(memoryview(text[position : position + size])):
            outputs[stream] += part
        position += size
    for wanted in (STDOUT, STDERR):
        assert outputs[wanted] == b"".join(data for stream, data in frames if stream == wanted)
    assert demultiplexer.complete


def test_error_frames_become_errors() -> None:
    """A frame of the daemon's own stream is an error with its text."""
    with pytest.raises(CommandError, match="disk on fire"):
        list(Demultiplexer().feed(memoryview(_frame(3, b"disk on fire\n"))))


def test_raw_text_is_no_frame() -> None:
    """A stream that is not framed is an error, not garbage on the screen."""
    with pytest.raises(CommandError, match="broken stream"):
        list(Demultiplexer().feed(memoryview(b"hello, world")))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("ctrl-p,ctrl-q", b"\x10\x11"),
        ("a", b"a"),
        ("ctrl-@,x", b"\x00x"),
        ("CTRL-A,ctrl-[", b"\x01\x1b"),
        ("ctrl-_", b"\x1f"),
    ],
)
def test_detach_keys(text: str, keys: bytes) -> None:
    """Keys are characters, or control characters by name."""
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-pq"])
def test_wrong_detach_keys_are_refused(text: str) -> None:
    """What is no key is named in the error."""
    with pytest.raises(CommandError, match="invalid detach keys"):
        parse_keys(text)


@given(st.lists(st.sampled_from([b"x", b"\x10", b"\x10x", b"xx\x10", b"\x11"]), max_size=6))
def test_other_keys_pass(pieces: list[bytes]) -> None:
    """What is typed reaches the container in order, except a beginning of the sequence that is still open."""
    typed = b"".join(pieces)
    keys, passed, detached = DetachKeys(b"\x10\x11"), b"", False
    for piece in pieces:
        more, detached = keys.scan(piece)
        passed += more
        if detached:
            break
    before, sequence, _ = typed.partition(b"\x10\x11")
    assert detached == bool(sequence)
    assert passed == (before if sequence else before.removesuffix(b"\x10"))


class Peer:
    """The container's side of a connection, and pipes for our own three streams."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.stdin_end, self.stdin = os.pipe()
        self.stdout, self.stdout_end = os.pipe()
        self.stderr, self.stderr_end = os.pipe()
        self._open = {self.stdin_end, self.stdin, self.stdout, self.stdout_end, self.stderr, self.stderr_end}

    def close(self, descriptor: int) -> None:
        """Close one of the pipes' ends."""
        self._open.discard(descriptor)
        os.close(descriptor)

    def close_all(self) -> None:
        """Close what is still open."""
        self.ours.close()
        self.theirs.close()
        for descriptor in list(self._open):
            self.close(descriptor)

    def relay(self, *, terminal: bool = False, keys: DetachKeys | None = None, early: bytes = b"") -> Relay:
        """Return a relay between the connection and the pipes."""
        return Relay(
            self.ours,
            early,
            terminal=terminal,
            stdin=self.stdin_end,
            keys=keys,
            stdout=self.stdout_end,
            stderr=self.stderr_end,
        )


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A connection and three pipes, closed at the end."""
    peer = Peer()
    try:
        yield peer
    finally:
        peer.close_all()


def _in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_outputs_go_where_they_belong(peer: Peer) -> None:
    """Frames reach stdout and stderr; bytes that came with the headers come first."""
    peer.theirs.sendall(_frame(STDERR, b"err") + _frame(STDOUT, b" more"))
    peer.theirs.shutdown(socket.SHUT_WR)
    assert peer.relay(early=_frame(STDOUT, b"out")).run() is True
    assert os.read(peer.stdout, 99) == b"out more"
    assert os.read(peer.stderr, 99) == b"err"


def test_end_of_input_closes_only_one_direction(peer: Peer) -> None:
    """The container sees the end of its input and can still answer."""
    os.write(peer.stdin, b"question")
    peer.close(peer.stdin)

    def container() -> None:
        question = b""
        while piece := peer.theirs.recv(99):
            question += piece
        peer.theirs.sendall(_frame(STDOUT, question + b"!"))
        peer.theirs.shutdown(socket.SHUT_WR)

    thread = _in_thread(container)
    assert peer.relay().run() is True
    thread.join()
    assert os.read(peer.stdout, 99) == b"question!"


def test_large_data_in_both_directions(peer: Peer) -> None:
    """Megabytes that go in and out at the same time neither stop each other nor lose a byte."""
    data = os.urandom(1 << 20) * 4
    received = bytearray()

    def feed() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(peer.stdin, view) :]
        peer.close(peer.stdin)

    def echo() -> None:
        while piece := peer.theirs.recv(30000):
            peer.theirs.sendall(_frame(STDOUT, piece))
        peer.theirs.shutdown(socket.SHUT_WR)

    def collect() -> None:
        while piece := os.read(peer.stdout, 65536):
            received.extend(piece)

    threads = [_in_thread(feed), _in_thread(echo), _in_thread(collect)]
    assert peer.relay().run() is True
    peer.close(peer.stdout_end)
    for thread in threads:
        thread.join()
    assert received == data


def test_non_blocking_output_is_waited_for(peer: Peer) -> None:
    """An output that somebody made non-blocking loses nothing when it is full."""
    os.set_blocking(peer.stdout_end, False)
    data = bytes(500_000)
    received = bytearray()

    def send() -> None:
        peer.theirs.sendall(_frame(STDOUT, data))
        peer.theirs.shutdown(socket.SHUT_WR)

    def collect() -> None:
        while len(received) < len(data):
            received.extend(os.read(peer.stdout, 4096))

    threads = [_in_thread(send), _in_thread(collect)]
    assert peer.relay().run() is True
    for thread in threads:
        thread.join()
    assert received == data


def test_nobody_reads_our_output(peer: Peer) -> None:
    """A closed stdout ends the relay with BrokenPipeError."""
    peer.close(peer.stdout)
    peer.theirs.sendall(_frame(STDOUT, b"x"))
    with pytest.raises(BrokenPipeError):
        peer.relay().run()


def test_container_that_takes_no_input_can_go_on_writing(peer: Peer) -> None:
    """Input that nobody takes any more is dropped; the output goes on."""
    os.write(peer.stdin, b"ignored")
    peer.theirs.shutdown(socket.SHUT_RD)
    peer.theirs.sendall(_frame(STDOUT, b"out"))

    def end_after_the_output() -> None:
        os.read(peer.stdout, 99)
        peer.theirs.close()

    thread = _in_thread(end_after_the_output)
    assert peer.relay().run() is True
    thread.join()


def test_detach_keys_leave(peer: Peer) -> None:
    """The sequence ends the relay though the container goes on; what was typed before it has been sent."""
    os.write(peer.stdin, b"ls\n\x10\x11")
    assert peer.relay(terminal=True, keys=DetachKeys(b"\x10\x11")).run() is False
    assert peer.theirs.recv(99) == b"ls\n"


_RAW = """
import os, sys
from pouch_engine.cli.terminal import RawTerminal
with RawTerminal(0):
    os.write(1, b"raw\\n")
    {}
"""


@pytest.mark.parametrize(
    ("body", "signum", "code"),
    [
        ("os.read(0, 1)", None, 0),
        ("os.read(0, 1); raise RuntimeError", None, 1),
        ("os.read(0, 1); os.read(0, 1)", signal.SIGTERM, 143),
        ("os.read(0, 1); os.read(0, 1)", signal.SIGHUP, 129),
    ],
)
def test_terminal_is_given_back(body: str, signum: signal.Signals | None, code: int) -> None:
    """Raw while it is used; as before after the end, an error, or a signal, whose exit code is 128 + its number."""
    terminal, end = pty.openpty()
    try:
        before = termios.tcgetattr(end)
        process = subprocess.Popen(
            [sys.executable, "-c", _RAW.format(body)], stdin=end, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout
        with process, process.stdout:
            assert process.stdout.readline() == b"raw\n"
            assert not termios.tcgetattr(end)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
            if signum is None:
                os.write(terminal, b"\x03")
            else:
                process.send_signal(signum)
            assert process.wait(10) == code
        assert termios.tcgetattr(end) == before
        assert not select.select([terminal], [], [], 0)[0]
    finally:
        os.close(terminal)
        os.close(end)
