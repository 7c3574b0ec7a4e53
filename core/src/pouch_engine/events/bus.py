"""Events: kept for a while, and told to whoever listens, in one order for all."""

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
    """The bus. Listeners are called on the thread of what happens, one event after another: they hand over and return.

    A listener may emit and end itself; what it emits is told after the event that it was called for.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._untold: deque[Event] = deque()
        self._telling = False
        self._listeners: dict[object, Listener] = {}
        self._last_ns = 0

    def emit(self, type_: str, action: str, id_: str, attributes: Mapping[str, str] | None = None) -> None:
        """Tell that something happened, in Docker's words for type and action."""
        with self._lock:
            self._last_ns = max(time.time_ns(), self._last_ns + 1)
            event = Event(type=type_, action=action, id=id_, attributes=dict(attributes or {}), time_ns=self._last_ns)
            self._kept.append(event)
            self._untold.append(event)
            if not self._telling:
                self._tell_all()

    def subscribe(self, listener: Listener, *, since_ns: int | None = None) -> Callable[[], None]:
        """Call `listener` for kept events from `since_ns` on, then for each new one; gives a function to end it.

        Once that function has returned, the listener is not called any more.
        """
        key = object()
        with self._lock:
            past = [event for event in self._kept if since_ns is not None and event.time_ns >= since_ns]
            for event in past:
                _tell(listener, event)
            self._listeners[key] = listener
        return lambda: self._unsubscribe(key)

    def _unsubscribe(self, key: object) -> None:
        with self._lock:
            self._listeners.pop(key, None)

    def _tell_all(self) -> None:
        self._telling = True
        try:
            while self._untold:
                event = self._untold.popleft()
                for key in list(self._listeners):
                    if key in self._listeners:  # an earlier listener may have ended it
                        _tell(self._listeners[key], event)
        finally:
            self._telling = False


def _tell(listener: Listener, event: Event) -> None:
    try:
        listener(event)
    except Exception:
        log.exception("an event listener failed on %s %s", event.type, event.action)
