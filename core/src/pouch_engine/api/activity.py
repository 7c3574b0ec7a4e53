"""Whether anybody talks to the daemon: a self-started one ends when nobody does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """Requests that are being answered, and when the last one was. For the event loop's thread."""

    def __init__(self) -> None:
        self._requests = 0
        self._last = time.monotonic()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request lasts as long as its answer does: a stream or a wait keeps the daemon."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1
            self._last = time.monotonic()

    def idle_seconds(self) -> float:
        """Since the last request ended; 0 while there is one."""
        return 0.0 if self._requests else time.monotonic() - self._last
