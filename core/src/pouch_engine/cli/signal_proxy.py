"""What signals to this command do while it stands for a container's process."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signals
    from collections.abc import Callable
    from types import FrameType
    from typing import Any
else:
    import _signal as signals  # `signal` itself imports enum, which takes milliseconds

# Left alone: what can't be caught; what the kernel raises for a fault of our own; what belongs to our own terminal,
# children and sockets.
_OURS = frozenset(
    (
        signals.SIGKILL, signals.SIGSTOP, signals.SIGSEGV, signals.SIGBUS, signals.SIGILL, signals.SIGFPE,
        signals.SIGTRAP, signals.SIGSYS, signals.SIGCHLD, signals.SIGPIPE, signals.SIGURG, signals.SIGWINCH,
        signals.SIGTTIN, signals.SIGTTOU, signals.SIGPROF, signals.SIGVTALRM,
    )
)  # fmt: skip


class SignalProxy:
    """Hands every signal to `forward` while the context lasts, except those that concern only this process.

    A signal that can't be delivered (the container has just ended) is dropped: the exit code is on its way.
    """

    def __init__(self, forward: Callable[[int], None]) -> None:
        self._forward = forward
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> SignalProxy:
        for number in sorted(signals.valid_signals() - _OURS):
            self._handlers[number] = signals.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signals.signal(number, signals.SIG_DFL if handler is None else handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        try:
            self._forward(number)
        except CommandError:
            return


class WindowChanges:
    """Calls `resize` at once and whenever the terminal changes its size, while the context lasts."""

    def __init__(self, resize: Callable[[], None]) -> None:
        self._resize = resize
        self._handler: Any = signals.SIG_DFL

    def __enter__(self) -> WindowChanges:
        self._handler = signals.signal(signals.SIGWINCH, self._handle)
        self._handle(signals.SIGWINCH, None)
        return self

    def __exit__(self, *_: object) -> None:
        signals.signal(signals.SIGWINCH, self._handler)

    def _handle(self, _: int, __: FrameType | None) -> None:
        try:
            self._resize()
        except CommandError:
            return  # the process has ended meanwhile: its size matters no more


class InterruptHeld:
    """Keeps the first Ctrl-C back while the context lasts, so that a request whose answer we need is answered.

    It comes after the context as KeyboardInterrupt; a second one comes at once.
    """

    def __init__(self) -> None:
        self._came = False
        self._handler: Any = None

    def __enter__(self) -> InterruptHeld:
        self._handler = signals.signal(signals.SIGINT, self._hold)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        signals.signal(signals.SIGINT, self._handler)

    def deliver(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came."""
        if self._came:
            raise KeyboardInterrupt

    def _hold(self, _: int, __: FrameType | None) -> None:
        if self._came:
            raise KeyboardInterrupt
        self._came = True
