"""Leases: what the collection of garbage must leave alone now, because somebody is working with it.

They live in memory: after a crash nobody works with anything, and the start collects the rest.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class Lease:
    """The digests and chain ids that one operation needs; grows while it works."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._mine: list[str] = []

    def hold(self, digests: Iterable[str]) -> None:
        """Protect these from now to the lease's end. Look afterwards whether they are there."""
        with self._leases.guard:
            for digest in digests:
                self._mine.append(digest)
                self._leases.held[digest] += 1

    def end(self) -> None:
        """Give everything back."""
        with self._leases.guard:
            for digest in self._mine:
                self._leases.held[digest] -= 1
                if not self._leases.held[digest]:
                    del self._leases.held[digest]
            self._mine.clear()


class Leases:
    """All leases.

    Attributes:
        guard: whoever looks at `held` and then removes something keeps it in between.
        held: digest → how many hold it.
    """

    def __init__(self) -> None:
        self.guard = threading.RLock()
        self.held: Counter[str] = Counter()

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Work under a lease."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.end()
