"""Whether anybody talks to the daemon: a self-started one ends when nobody does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Activity:
    """What is being answered, and when the last answer ended. For the event loop's thread.

    Attributes:
        requests: that are being answered now.
        last_end: of a request, by time.monotonic(); of none yet: the beginning.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.last_end = time.monotonic()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request lasts as long as its answer does: a stream or a wait keeps the daemon."""
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            self.last_end = time.monotonic()
