"""Waiting for a container's end or removal."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future
from dataclasses import dataclass

from pouch_hookspecs.errors import InvalidArgument

from .record import Container, Status

CONDITIONS = ("not-running", "next-exit", "removed")


@dataclass(frozen=True)
class Exit:
    """How a container ended; `error` is empty for an ordinary end."""

    code: int
    error: str = ""


class Waits:
    """Who waits for what."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[tuple[str, str], list[Future[Exit]]] = defaultdict(list)

    def wait(self, container: Container, condition: str) -> Future[Exit]:
        """A future of the container's exit; see `Engine.container_wait`.

        Raises:
            InvalidArgument: no such condition.
        """
        condition = condition or "not-running"
        if condition not in CONDITIONS:
            raise InvalidArgument(f"condition {condition!r} is not one of {', '.join(CONDITIONS)}")
        future: Future[Exit] = Future()
        state = container.state
        if condition == "not-running" and not state.running and state.status is not Status.RESTARTING:
            future.set_result(Exit(state.exit_code, state.error))
            return future
        with self._lock:
            self._waiting[container.id, condition].append(future)
        future.add_done_callback(lambda done: self._forget(container.id, condition, done))
        return future

    def exited(self, container_id: str, exit_: Exit) -> None:
        """It has ended."""
        self._resolve(container_id, ("not-running", "next-exit"), exit_)

    def not_started(self, container_id: str, exit_: Exit) -> None:
        """It was about to run and does not."""
        self._resolve(container_id, ("not-running",), exit_)

    def removed(self, container_id: str, exit_: Exit) -> None:
        """It is gone: nobody waits any longer."""
        self._resolve(container_id, CONDITIONS, exit_)

    def _resolve(self, container_id: str, conditions: tuple[str, ...], exit_: Exit) -> None:
        with self._lock:
            futures = [f for condition in conditions for f in self._waiting.pop((container_id, condition), [])]
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_result(exit_)

    def _forget(self, container_id: str, condition: str, future: Future[Exit]) -> None:
        with self._lock:
            waiting = self._waiting.get((container_id, condition))
            if waiting and future in waiting:
                waiting.remove(future)
