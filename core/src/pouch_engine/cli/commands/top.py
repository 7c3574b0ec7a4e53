"""`pouch top`: the processes in a container."""

from __future__ import annotations

import sys

from pouch_engine.cli.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Print the processes as ps does."""
    query = {"ps_args": " ".join(options["ps_options"]) or None}
    found = client.get(f"/containers/{options['container']}/top", query)
    sys.stdout.write(table(found["Titles"], found["Processes"]))
    return 0
