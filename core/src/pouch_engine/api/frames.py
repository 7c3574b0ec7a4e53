"""Docker's frames: how two streams share a connection (Engine API, ContainerAttach: stdcopy)."""

from __future__ import annotations

STDOUT = 1
STDERR = 2

_HEADS = (b"\0\0\0\0", b"\1\0\0\0", b"\2\0\0\0")

MULTIPLEXED = "application/vnd.docker.multiplexed-stream"
RAW = "application/vnd.docker.raw-stream"
MULTIPLEXED_SINCE = (1, 42)


def header(stream: int, length: int) -> bytes:
    """The eight bytes before a piece of `length` bytes: stream, three zeros, length in network order."""
    return _HEADS[stream] + length.to_bytes(4, "big")


def frame(stream: int, data: bytes) -> bytes:
    """A piece with its header."""
    return header(stream, len(data)) + data


def content_type(version: tuple[int, int], *, terminal: bool) -> str:
    """Of a stream: clients before API 1.42 know only one name for both forms."""
    return MULTIPLEXED if not terminal and version >= MULTIPLEXED_SINCE else RAW
