"""Events: one order for all, nothing missed between past and present, and no listener harms another."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest

from pouch_engine.events.bus import KEPT, Events
from pouch_hookspecs import Event


def emit(events: Events, *actions: str) -> None:
    """Events of one container."""
    for action in actions:
        events.emit("container", action, "id")


def test_event_has_what_was_told() -> None:
    """Type, action, id and attributes."""
    events, seen = Events(), list[Event]()
    events.subscribe(seen.append)
    events.emit("volume", "create", "data", {"driver": "local"})
    (event,) = seen
    assert (event.type, event.action, event.id, event.attributes) == ("volume", "create", "data", {"driver": "local"})


def test_attributes_are_copied() -> None:
    """What the emitter does with its dictionary later changes nothing."""
    events, seen, about = Events(), list[Event](), {"driver": "local"}
    events.subscribe(seen.append)
    events.emit("volume", "create", "data", about)
    about["driver"] = "other"
    assert seen[0].attributes == {"driver": "local"}


def test_without_since_only_new_events_come() -> None:
    """The past is not told unasked."""
    events, seen = Events(), list[Event]()
    emit(events, "create")
    events.subscribe(seen.append)
    emit(events, "start")
    assert [event.action for event in seen] == ["start"]


def test_since_tells_the_past_first() -> None:
    """From that moment on, that moment included."""
    events, all_, seen = Events(), list[Event](), list[Event]()
    events.subscribe(all_.append)
    emit(events, "create", "start", "die")
    events.subscribe(seen.append, since_ns=all_[1].time_ns)
    emit(events, "destroy")
    assert [event.action for event in seen] == ["start", "die", "destroy"]


def test_only_so_many_are_kept() -> None:
    """The oldest go."""
    events, seen = Events(), list[Event]()
    emit(events, *map(str, range(KEPT + 10)))
    events.subscribe(seen.append, since_ns=0)
    assert [event.action for event in seen] == [str(number) for number in range(10, KEPT + 10)]


def test_times_are_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the clock stands still or jumps back: they are the events' order and a client's place in it."""
    clock = iter([1000, 1000, 500, 2000])
    monkeypatch.setattr("time.time_ns", lambda: next(clock))
    events, seen = Events(), list[Event]()
    events.subscribe(seen.append)
    emit(events, *"abcd")
    assert [event.time_ns for event in seen] == [1000, 1001, 1002, 2000]


def test_unsubscribe_ends_it() -> None:
    """Twice is fine."""
    events, seen = Events(), list[Event]()
    end = events.subscribe(seen.append)
    end()
    end()
    emit(events, "start")
    assert seen == []


def test_two_subscriptions_of_one_listener_are_two() -> None:
    """Ending one, even twice, leaves the other."""
    events, seen = Events(), list[Event]()
    end = events.subscribe(seen.append)
    events.subscribe(seen.append)
    end()
    end()
    emit(events, "start")
    assert len(seen) == 1


def failing(event: Event) -> None:
    """A listener with a bug."""
    raise ValueError("listener's bug")


def test_failing_listener_harms_neither_emitter_nor_others(caplog: pytest.LogCaptureFixture) -> None:
    """Its failure is logged."""
    events, seen = Events(), list[Event]()
    events.subscribe(failing)
    events.subscribe(seen.append)
    emit(events, "start")
    assert [event.action for event in seen] == ["start"]
    assert "an event listener failed on container start" in caplog.text


def test_listener_that_fails_on_the_past_stays_subscribed(caplog: pytest.LogCaptureFixture) -> None:
    """A client must not lose the present for one odd event."""
    events, seen = Events(), list[Event]()

    def odd(event: Event) -> None:
        if event.action == "odd":
            raise ValueError
        seen.append(event)

    emit(events, "odd", "fine")
    with caplog.at_level(logging.ERROR):
        events.subscribe(odd, since_ns=0)
    emit(events, "start")
    assert [event.action for event in seen] == ["fine", "start"]


def test_listener_may_end_itself() -> None:
    """From within its call, without a deadlock."""
    events, seen = Events(), list[Event]()
    ends: list[Callable[[], None]] = []

    def once(event: Event) -> None:
        seen.append(event)
        ends[0]()

    ends.append(events.subscribe(once))
    emit(events, "start", "die")
    assert [event.action for event in seen] == ["start"]


def test_listener_that_was_ended_by_another_is_not_called() -> None:
    """Not even for the event that is just being told."""
    events, seen = Events(), list[Event]()
    ends: list[Callable[[], None]] = []
    events.subscribe(lambda event: ends[0]())
    ends.append(events.subscribe(seen.append))
    emit(events, "start")
    assert seen == []


def test_what_a_listener_emits_comes_after_its_event() -> None:
    """For every listener, whatever their order."""
    events, seen = Events(), list[Event]()
    events.subscribe(lambda event: emit(events, "die") if event.action == "oom" else None)
    events.subscribe(seen.append)
    emit(events, "oom")
    assert [event.action for event in seen] == ["oom", "die"]


def test_all_listeners_see_one_order() -> None:
    """Whatever threads emit: the order of the times."""
    events, first, second = Events(), list[Event](), list[Event]()
    events.subscribe(first.append)
    events.subscribe(second.append)
    start = threading.Barrier(8)

    def emit_many(number: int) -> None:
        start.wait()
        emit(events, *(f"{number}-{step}" for step in range(50)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(emit_many, range(8)))
    assert first == second
    assert len(first) == 400
    assert all(before.time_ns < after.time_ns for before, after in pairwise(first))


def test_subscribing_while_others_emit_misses_and_doubles_nothing() -> None:
    """Past and present meet without a seam."""
    events, seen = Events(), list[Event]()
    begun = threading.Event()

    def emit_many() -> None:
        for step in range(500):
            emit(events, str(step))
            begun.set()

    with ThreadPoolExecutor(1) as threads:
        emitting = threads.submit(emit_many)
        begun.wait(10)
        events.subscribe(seen.append, since_ns=0)
        emitting.result(30)
    assert [event.action for event in seen] == [str(step) for step in range(500)]
