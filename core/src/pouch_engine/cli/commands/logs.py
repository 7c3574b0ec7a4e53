"""`pouch logs`: show the output of a container."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.streams import show_stream
from pouch_engine.cli.times import since_parameter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Show what the container wrote, to the stream that it wrote to."""
    tail = options["tail"]
    if tail != "all" and not tail.isdecimal():
        raise CommandError(f"invalid value {tail!r} for --tail: expected a number of lines, or all", 1)
    description = client.get(f"/containers/{options['container']}/json")
    query = {
        "stdout": 1,
        "stderr": 1,
        "follow": options["follow"] or None,
        "since": since_parameter(options["since"]),
        "until": since_parameter(options["until"]),
        "timestamps": options["timestamps"] or None,
        "tail": tail,
    }
    with client.open("GET", f"/containers/{description['Id']}/logs", query) as answer:
        show_stream(answer.chunks(), terminal=description["Config"]["Tty"])
    return 0
