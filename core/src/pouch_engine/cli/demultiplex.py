"""Docker's multiplexed streams: frames of an 8-byte header (stream, 0, 0, 0, length big-endian) and data."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT = 1
STDERR = 2
_STDIN = 0
_SYSTEM_ERROR = 3
_HEADER = 8


class Demultiplexer:
    """Splits a stream of frames that arrives in pieces of any size. No data is copied."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = STDOUT
        self._left = 0
        self._error = b""

    def feed(self, data: memoryview) -> Iterator[tuple[int, memoryview]]:
        """Yield (STDOUT or STDERR, bytes) for each part of a frame in `data`.

        Raises CommandError for a frame that reports an error of the daemon, and for a header that is none.
        """
        while data:
            if not self._left:
                data = self._begin_frame(data)
                continue
            part, data = data[: self._left], data[self._left :]
            self._left -= len(part)
            if self._stream == _SYSTEM_ERROR:
                self._collect_error(part)
            else:
                yield self._stream, part

    @property
    def complete(self) -> bool:
        """Whether all frames so far have ended: False means that the stream was cut."""
        return not self._left and not self._header

    def _begin_frame(self, data: memoryview) -> memoryview:
        missing = _HEADER - len(self._header)
        self._header += bytes(data[:missing])
        if len(self._header) == _HEADER:
            stream = self._header[0]
            if stream > _SYSTEM_ERROR or any(self._header[1:4]):
                raise CommandError(f"the daemon sent a broken stream: {self._header!r} is no frame's header")
            self._stream = STDOUT if stream == _STDIN else stream
            self._left = int.from_bytes(self._header[4:], "big")
            self._header = b""
        return data[missing:]

    def _collect_error(self, part: memoryview) -> None:
        self._error += bytes(part)
        if not self._left:
            raise CommandError(f"the daemon reports in the stream: {self._error.decode(errors='replace').strip()}")
