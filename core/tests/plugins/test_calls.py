"""The boundary: deadlines, plugins that hang, plugins that raise. Everything waits for events, nothing for time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pouch_engine.plugins.calls import STUCK_LIMIT, HookCalls, Participant
from pouch_engine.plugins.loading import new_manager
from pouch_hookspecs import hookimpl
from pouch_hookspecs.errors import (
    DeadlineExceeded,
    NotFound,
    PluginFailed,
    PouchError,
    Refused,
    Unavailable,
    Unsupported,
)
from pouch_hookspecs.hooks import RuntimeHooks

SHORT = 0.002  # of runtime_kill's 10 s


class Obedient:
    """A runtime whose kill does what the test wants."""

    def __init__(self, kill: Callable[[], Any]) -> None:
        self.kill = kill

    @hookimpl
    def runtime_kill(self, task: Any) -> Any:
        """Do it."""
        return self.kill()


class Hanging:
    """A call that hangs until it is let go; `entered` counts those that hang."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.entered = threading.Semaphore(0)
        self.returned = threading.Semaphore(0)

    def __call__(self) -> str:
        """Hang."""
        self.entered.release()
        assert self.gate.wait(30)
        self.returned.release()
        return "late"


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """Let go at the end, whatever the test did."""
    call = Hanging()
    yield call
    call.gate.set()


def participant(kill: Callable[[], Any], *, factor: float = 1.0) -> Participant:
    """A runtime named `mine` that is called as the engine does."""
    manager = new_manager("runtime")
    manager.register(Obedient(kill))
    return Participant("runtime", "mine", manager, factor)


def kill(target: Participant) -> Any:
    """One call."""
    return target.call("runtime_kill", task=None, signal=9, everyone=False)


def miss(target: Participant, call: Hanging) -> None:
    """One call that misses its deadline and hangs on."""
    with pytest.raises(DeadlineExceeded):
        kill(target)
    assert call.entered.acquire(timeout=10)


def settle(target: Participant) -> None:
    """Wait until no call counts as stuck: a future is done a moment after its function has returned."""
    until = time.monotonic() + 10
    while target.stuck_calls():
        assert time.monotonic() < until, "calls that have returned still count as stuck"
        time.sleep(0.001)


def raising(error: BaseException) -> Callable[[], None]:
    """A call that raises."""

    def call() -> None:
        raise error

    return call


def test_answer_comes_through() -> None:
    """What the hook returns is the result."""
    assert kill(participant(lambda: "done")) == "done"


def test_missed_deadline_names_plugin_hook_and_time(hanging: Hanging) -> None:
    """So that an operator knows whom to blame and what to raise."""
    with pytest.raises(
        DeadlineExceeded, match=r"runtime mine did not answer runtime_kill within 0.02 s.*deadline-factor"
    ):
        kill(participant(hanging, factor=SHORT))


def test_factor_multiplies_the_deadline(hanging: Hanging) -> None:
    """With twice the factor, twice the time."""
    with pytest.raises(DeadlineExceeded, match=r"within 0.04 s"):
        kill(participant(hanging, factor=2 * SHORT))


def test_late_result_is_discarded(hanging: Hanging) -> None:
    """The next call gets its own answer."""
    answers: list[Callable[[], str]] = [lambda: "second", hanging]
    target = participant(lambda: answers.pop()(), factor=SHORT)
    miss(target, hanging)
    hanging.gate.set()
    assert hanging.returned.acquire(timeout=10)
    assert kill(target) == "second"


def test_stuck_calls_are_shown(hanging: Hanging) -> None:
    """With their hook and for how long."""
    target = participant(hanging, factor=SHORT)
    miss(target, hanging)
    assert target.stuck_calls() == ["runtime_kill for 0 s"]


def test_one_stuck_call_does_not_end_the_service(hanging: Hanging) -> None:
    """A single mishap is forgiven."""
    calls: list[Callable[[], str]] = [lambda: "fine", hanging]
    target = participant(lambda: calls.pop()(), factor=SHORT)
    miss(target, hanging)
    assert kill(target) == "fine"


def test_too_many_stuck_calls_take_it_out_of_service(hanging: Hanging) -> None:
    """Further calls are refused at once, without reaching the plugin."""
    target = participant(hanging, factor=SHORT)
    for _ in range(STUCK_LIMIT):
        miss(target, hanging)
    with pytest.raises(Unavailable, match="runtime mine is out of service: 2 calls hang: runtime_kill"):
        kill(target)
    assert not hanging.entered.acquire(blocking=False)


def test_service_is_resumed_when_calls_return(hanging: Hanging) -> None:
    """As soon as fewer than the limit hang."""
    target = participant(hanging, factor=SHORT)
    for _ in range(STUCK_LIMIT):
        miss(target, hanging)
    hanging.gate.set()
    for _ in range(STUCK_LIMIT):
        assert hanging.returned.acquire(timeout=10)
    settle(target)
    assert kill(target) == "late"


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), TimeoutError("mine"), BaseException()],
)
def test_anything_else_that_it_raises_is_named(error: BaseException) -> None:
    """Plugin, hook and kind of the error are told; the caller survives."""
    words = f"runtime mine: runtime_kill raised {type(error).__name__}: {error}"
    with pytest.raises(PluginFailed) as caught:
        kill(participant(raising(error)))
    assert caught.value.message == words
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [NotFound("gone"), Refused("no"), DeadlineExceeded("its own")])
def test_error_of_the_vocabulary_passes_unchanged(error: PouchError) -> None:
    """The very object: its words are for the user."""
    with pytest.raises(type(error)) as caught:
        kill(participant(raising(error)))
    assert caught.value is error


def test_timeout_error_of_the_plugin_is_no_missed_deadline() -> None:
    """Nothing hangs, and nothing is counted as stuck."""
    target = participant(raising(TimeoutError()))
    with pytest.raises(PluginFailed):
        kill(target)
    assert target.stuck_calls() == []


def test_fast_calls_do_not_make_threads() -> None:
    """A thread that is free is used again."""
    target = participant(lambda: None)
    kill(target)
    before = threading.active_count()
    for _ in range(500):
        kill(target)
    assert threading.active_count() - before <= 1  # the idle one may be counted as busy for a moment


def test_calls_and_their_time_are_counted() -> None:
    """For `plugin inspect` and the metrics, also of calls that fail."""
    target = participant(raising(ValueError()))
    for _ in range(2):
        with pytest.raises(PluginFailed):
            kill(target)
    assert target.calls_made == {"runtime_kill": 2}
    assert target.seconds_spent["runtime_kill"] > 0


def test_hook_that_is_not_there_is_no_success() -> None:
    """A runtime without pause must not seem to have paused."""
    with pytest.raises(Unsupported, match="runtime mine can not do this: it has no runtime_pause"):
        participant(lambda: None).call("runtime_pause", task=None)


@pytest.mark.parametrize("hook", ["check", "runtime_recover"])
def test_hook_that_one_may_leave_out_is_silent(hook: str) -> None:
    """It has nothing to say."""
    target = participant(lambda: None)
    assert target.call(hook, **({"task": None} if hook == "runtime_recover" else {})) is None


def test_hooks_as_methods() -> None:
    """The typed view makes the same calls."""
    hooks = cast(RuntimeHooks, HookCalls(participant(lambda: "done")))
    assert cast(Any, hooks).runtime_kill(task=SimpleNamespace(), signal=9, everyone=False) == "done"


def test_handler_whose_calls_hang_is_shown_as_broken(
    enhancement: Callable[..., str], registry: Callable[..., Any], hanging: Hanging
) -> None:
    """`plugin ls` says so with the calls, and it is ready again when they have returned."""
    threading.hanging = hanging  # type: ignore[attr-defined]
    try:
        enhancement("@hookimpl\ndef isolation_adjust(self, container): return threading.hanging()")
        handler = registry(f"[isolation.guard]\ndeadline-factor = {SHORT}").handler("isolation", "guard")
        assert handler.settled() == "ready"
        for _ in range(STUCK_LIMIT):
            with pytest.raises(DeadlineExceeded):
                handler.participant.call("isolation_adjust", container=None, options=None)
        assert handler.settled() == "broken"
        assert "2 calls hang: isolation_adjust" in handler.reason
        hanging.gate.set()
        settle(handler.participant)
        assert (handler.settled(), handler.reason) == ("ready", "")
    finally:
        del threading.hanging  # type: ignore[attr-defined]
