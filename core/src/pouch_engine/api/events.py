"""GET /events: what happened and happens, one JSON document after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from aiohttp import web

from pouch_hookspecs import Event

from . import queries
from .keys import ENDLESS, ENGINE
from .queries import Filters
from .views.events import event_document

BEHIND_LIMIT = 4096
"""Events that may wait for a client; one that is further behind is let go."""

_FILTERS = ("container", "daemon", "event", "image", "label", "network", "plugin", "scope", "type", "volume")


async def stream_events(request: web.Request) -> web.StreamResponse:
    """Answer with kept events since a time, then with new ones, to a time or without end."""
    fits = _test(queries.filters(request, _FILTERS))
    since, until = queries.nanoseconds(request, "since"), queries.nanoseconds(request, "until")
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[Event | None] = asyncio.Queue(BEHIND_LIMIT)
    if since is None and until is not None:
        since = 0  # docker: what has happened until then

    def take(event: Event) -> None:
        if fits(event):
            loop.call_soon_threadsafe(_put, waiting, event)

    with request.app[ENDLESS].until_shutdown():
        unsubscribe = request.app[ENGINE].events.subscribe(take, since_ns=since)
        timer = None
        if until is not None:
            timer = loop.call_later(max(0.0, until / 1e9 - time.time()), waiting.put_nowait, None)
        try:
            await response.prepare(request)
            while (event := await waiting.get()) is not None:
                if until is None or event.time_ns <= until:
                    await response.write(json.dumps(event_document(event)).encode() + b"\n")
        finally:
            unsubscribe()
            if timer is not None:
                timer.cancel()
    await response.write_eof()
    return response


def _put(waiting: asyncio.Queue[Event | None], event: Event) -> None:
    """A client that does not read gets the end of the stream in place of the newest event."""
    if waiting.qsize() < BEHIND_LIMIT - 1:
        waiting.put_nowait(event)
    elif not waiting.full():
        waiting.put_nowait(None)


def _test(filters: Filters) -> Callable[[Event], bool]:
    tests = [_TESTS.get(name, _of_type)(name, values) for name, values in filters.items() if values]
    return lambda event: all(test(event) for test in tests)


def _type(_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    return lambda event: event.type in values


def _action(_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    return lambda event: event.action in values or event.action.partition(":")[0] in values


def _label(_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    def fits(event: Event) -> bool:
        pairs = (value.partition("=") for value in values)
        return all(
            key in event.attributes and (not equals or event.attributes[key] == value) for key, equals, value in pairs
        )

    return fits


def _of_type(type_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    """By id, its beginning, or name of a thing of this type."""

    def fits(event: Event) -> bool:
        name = event.attributes.get("name")
        return event.type == type_ and any(event.id.startswith(value) or name == value for value in values)

    return fits


def _image(_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    """An image's own events and those of containers made from it, by id or name, with or without its tag."""

    def fits(event: Event) -> bool:
        name = event.attributes.get("name" if event.type == "image" else "image", "")
        known = {event.id, name, _without_tag(event.id), _without_tag(name)} - {""}
        return not known.isdisjoint(values)

    return fits


def _without_tag(name: str) -> str:
    path, colon, tag = name.rpartition(":")
    return path if colon and "/" not in tag else name


def _scope(_: str, values: tuple[str, ...]) -> Callable[[Event], bool]:
    return lambda _: "local" in values


_TESTS = {"type": _type, "event": _action, "label": _label, "image": _image, "scope": _scope}

ROUTES = (("GET", "/events", stream_events),)
