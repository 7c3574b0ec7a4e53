"""`pouch runtime`: see runtimes."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each
from pouch_engine.cli.listing import show_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_HEADERS = {"Name": "NAME", "Driver": "DRIVER", "Default": "DEFAULT", "State": "STATE", "Reason": "REASON"}


def ls(client: Client, options: Options) -> int:
    """List what --runtime accepts."""
    runtimes = client.get("/pouch/runtimes")["runtimes"]
    if options["quiet"] and not options["format"]:
        for runtime in runtimes:
            print(runtime["name"])
        return 0
    rows = [
        {
            "Name": runtime["name"],
            "Driver": runtime["driver"],
            "Default": "*" if runtime.get("default") else "",
            "State": runtime["state"],
            "Reason": runtime.get("reason") or "",
        }
        for runtime in runtimes
    ]
    show_list(rows, _HEADERS, tuple(_HEADERS), options["format"])
    return 0


def inspect(client: Client, options: Options) -> int:
    """Show each runtime."""
    from pouch_engine.cli.gotemplate import show_objects

    found: list[Any] = []
    code = for_each(options["names"], lambda name: found.append(client.get(f"/pouch/runtimes/{name}")), report=False)
    show_objects(found, options["format"])
    return code
