"""`pouch events`: what happens, as it happens."""

from __future__ import annotations

from pouch_engine.cli.listing import filters
from pouch_engine.cli.times import local_rfc3339, since_parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Print one line for each event until the daemon ends the stream or the user interrupts."""
    query = {
        "since": since_parameter(options["since"]),
        "until": since_parameter(options["until"]),
        "filters": filters(options["filter"]),
    }
    form = options["format"]
    if form:
        from pouch_engine.cli.gotemplate import formatter

        line = formatter(form)
    else:
        line = event_line
    with client.open("GET", "/events", query) as answer:
        for event in answer.documents():
            print(line(event), flush=True)
    return 0


def event_line(event: dict[str, Any]) -> str:
    """Return an event as docker prints it: `TIME TYPE ACTION ID (name=value, …)`."""
    nanoseconds = event.get("timeNano") or event["time"] * 10**9
    actor = event.get("Actor") or {}
    attributes = ", ".join(f"{key}={value}" for key, value in sorted((actor.get("Attributes") or {}).items()))
    line = f"{local_rfc3339(*divmod(nanoseconds, 10**9))} {event['Type']} {event['Action']} {actor.get('ID', '')}"
    return f"{line} ({attributes})" if attributes else line
