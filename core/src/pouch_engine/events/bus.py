"""Events: kept for a while, and told to whoever listens."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from pouch_hookspecs import Event

log = logging.getLogger(__name__)

KEPT = 1024
Listener = Callable[[Event], None]


class Events:
    """The bus. Listeners are called on the thread of what happens: they hand over and return."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[Listener] = []
        self._last_ns = 0

    def emit(self, type_: str, action: str, id_: str, attributes: Mapping[str, str] | None = None) -> None:
        """Tell that something happened, in Docker's words for type and action."""
        with self._lock:
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            event = Event(type=type_, action=action, id=id_, attributes=dict(attributes or {}), time_ns=self._last_ns)
            self._kept.append(event)
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                log.exception("an event listener failed on %s %s", type_, action)

    def subscribe(self, listener: Listener, *, since_ns: int | None = None) -> Callable[[], None]:
        """Call `listener` for kept events from `since_ns` on, then for each new one; gives a function to end it."""
        with self._lock:
            past = [event for event in self._kept if since_ns is not None and event.time_ns >= since_ns]
            for event in past:
                listener(event)
            self._listeners.append(listener)
        return lambda: self._unsubscribe(listener)

    def _unsubscribe(self, listener: Listener) -> None:
        with self._lock:
            if listener in self._listeners:
                self._listeners.remove(listener)
