"""The user's terminal: raw while a container uses it, and given back in every case."""

from __future__ import annotations

import os
import sys
import termios

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from types import FrameType
    from typing import Any
else:
    import _signal as signals  # `signal` itself imports enum, which takes milliseconds

_ENDING = (signals.SIGTERM, signals.SIGHUP, signals.SIGQUIT, signals.SIGINT)


class RawTerminal:
    """A terminal in raw mode (cfmakeraw in termios(3)) while the context lasts.

    A signal that ends the process unwinds it first, so that the mode is put back: the exit code is 128 + the signal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._attributes: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> RawTerminal:
        self._attributes = termios.tcgetattr(self._descriptor)
        for number in _ENDING:
            self._handlers[number] = signals.signal(number, _leave)
        raw = [*self._attributes[:6], list(self._attributes[6])]
        raw[0] &= ~(
            termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
            | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
        )  # fmt: skip
        raw[1] &= ~termios.OPOST
        raw[2] = raw[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self._descriptor, termios.TCSANOW, raw)
        return self

    def __exit__(self, *_: object) -> None:
        termios.tcsetattr(self._descriptor, termios.TCSANOW, self._attributes)
        for number, handler in self._handlers.items():
            signals.signal(number, handler)


def _leave(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def size_of(descriptor: int) -> tuple[int, int] | None:
    """Return (rows, columns) of the terminal at `descriptor`; None when it is no terminal or knows no size."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None
