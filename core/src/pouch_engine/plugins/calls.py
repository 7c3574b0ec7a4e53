"""The boundary between the engine and a plugin's code: one participant, one call, one deadline.

Every call runs on a thread that the engine can afford to lose: a plugin that hangs costs one failed
call, and its late result is discarded.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from functools import partial
from typing import Any, TypeVar

import pluggy

from pouch_hookspecs import CommonHooks
from pouch_hookspecs.errors import DeadlineExceeded, PluginFailed, PouchError, Unavailable, Unsupported
from pouch_hookspecs.hooks import IsolationHooks

T = TypeVar("T")

CALL_THREADS = ThreadPoolExecutor(max_workers=1024, thread_name_prefix="plugin")
"""Shared by all participants; threads are made when needed and used again. The daemon ends without joining them."""

STUCK_LIMIT = 2
"""So many calls that missed their deadline and still hang take a participant out of service."""

SILENT_WITHOUT = frozenset(
    {*vars(CommonHooks), *vars(IsolationHooks), "runtime_recover", "network_repair", "volume_prepare"}
)
"""Hooks whose absence means that the plugin has nothing to say; the absence of any other means that it can't."""


def within(seconds: float, function: Callable[..., T], *arguments: Any) -> T:
    """Run code of a plugin that is no hook (its import, its constructor) on a thread that can be lost.

    Raises:
        DeadlineExceeded: no end after `seconds`.
        BaseException: whatever the function raised.
    """
    future = CALL_THREADS.submit(function, *arguments)
    try:
        return future.result(timeout=seconds)
    except FutureTimeout:
        if future.done():  # the function itself raised TimeoutError, or ended in this very moment
            return future.result()
        raise DeadlineExceeded(f"no end after {seconds:g} s") from None


class Participant:
    """One plugin instance, called by itself: named in errors, timed, held to deadlines.

    Args:
        role: runtime, storage …
        name: the handler's name.
        manager: a pluggy manager that holds this plugin alone.
        deadline_factor: multiplies the deadlines of the specifications.
    """

    def __init__(self, role: str, name: str, manager: pluggy.PluginManager, deadline_factor: float = 1.0) -> None:
        self.role = role
        self.name = name
        self.seconds_spent: dict[str, float] = defaultdict(float)
        self.calls_made: Counter[str] = Counter()
        self._manager = manager
        self._deadline_factor = deadline_factor
        self._stuck: dict[Future[Any], tuple[str, float]] = {}
        self._lock = threading.Lock()

    def implements(self, hook: str) -> bool:
        """Tell whether the plugin has this hook."""
        return bool(getattr(self._manager.hook, hook).get_hookimpls())

    def call(self, hook: str, /, **arguments: Any) -> Any:
        """Call one hook and wait for its answer.

        Raises:
            PouchError: what the plugin raised of the error tree, as it is.
            PluginFailed: anything else that it raised.
            DeadlineExceeded: no answer in time.
            Unavailable: too many earlier calls still hang.
            Unsupported: the plugin lacks this hook, and its silence would be taken for success.
        """
        if reason := self.out_of_service():
            raise Unavailable(f"{self.role} {self.name} is out of service: {reason}")
        if hook not in SILENT_WITHOUT and not self.implements(hook):
            raise Unsupported(f"{self.role} {self.name} can not do this: it has no {hook}")
        caller = getattr(self._manager.hook, hook)
        deadline = caller.spec.function.deadline_seconds * self._deadline_factor
        begun = time.monotonic()
        future = CALL_THREADS.submit(self._guarded, hook, caller, arguments)
        try:
            return future.result(timeout=deadline)
        except FutureTimeout:  # never the plugin's own: _guarded translates it
            self._remember_stuck(hook, future)
            raise DeadlineExceeded(
                f"{self.role} {self.name} did not answer {hook} within {deadline:g} s",
                hint="`pouch plugin inspect` shows calls that hang; deadline-factor in pouchd.toml raises deadlines",
            ) from None
        finally:
            with self._lock:
                self.calls_made[hook] += 1
                self.seconds_spent[hook] += time.monotonic() - begun

    def stuck_calls(self) -> list[str]:
        """Calls that missed their deadline and have not come back, for `inspect`."""
        with self._lock:
            return [f"{hook} for {time.monotonic() - since:.0f} s" for hook, since in self._stuck.values()]

    def out_of_service(self) -> str:
        """Why this participant is not called any more; empty while it is."""
        stuck = self.stuck_calls()
        return f"{len(stuck)} calls hang: {', '.join(stuck)}" if len(stuck) >= STUCK_LIMIT else ""

    def _guarded(self, hook: str, caller: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        try:
            return caller(**arguments)
        except PouchError:
            raise
        except BaseException as error:  # a plugin may raise SystemExit; it ends here
            raise PluginFailed(f"{self.role} {self.name}: {hook} raised {type(error).__name__}: {error}") from error

    def _remember_stuck(self, hook: str, future: Future[Any]) -> None:
        with self._lock:
            self._stuck[future] = (hook, time.monotonic())
        future.add_done_callback(self._forget_stuck)

    def _forget_stuck(self, future: Future[Any]) -> None:
        with self._lock:
            self._stuck.pop(future, None)
        if not future.cancelled() and future.exception() is None:
            descriptor = getattr(future.result(), "attach_fd", None)  # of an ExecHandle that nobody waits for
            if descriptor is not None:
                os.close(descriptor)


class HookCalls:
    """A participant's hooks as methods: `cast(RuntimeHooks, HookCalls(p)).runtime_start(task=…)`.

    Gives the calls of the contract their types without a wrapper for each.
    """

    def __init__(self, participant: Participant) -> None:
        self._participant = participant

    def __getattr__(self, hook: str) -> Callable[..., Any]:
        return partial(self._participant.call, hook)
