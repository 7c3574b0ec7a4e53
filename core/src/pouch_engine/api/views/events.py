"""Events in docker's words, of its old form and its new one."""

from __future__ import annotations

from typing import Any

from pouch_hookspecs import Event


def event_document(event: Event) -> dict[str, Any]:
    """One document of GET /events: `status`, `id`, `from` are what clients before API 1.22 read."""
    document: dict[str, Any] = {
        "Type": event.type,
        "Action": event.action,
        "Actor": {"ID": event.id, "Attributes": dict(event.attributes)},
        "scope": "local",
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }
    if event.type == "container":
        old = {"status": event.action, "id": event.id, "from": event.attributes.get("image", "")}
    elif event.type == "image":
        old = {"status": event.action, "id": event.id}
    else:
        old = {}
    return old | document
