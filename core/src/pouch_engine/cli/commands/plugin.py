"""`pouch plugin`: see plugins, and begin a new one."""

from __future__ import annotations

import os
import sys

from pouch_engine.cli.batch import for_each
from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.listing import show_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_HEADERS = {
    "Kind": "TYPE",
    "Name": "NAME",
    "Distribution": "DISTRIBUTION",
    "API": "API",
    "State": "STATE",
    "Reason": "REASON",
}


def ls(client: Client, options: Options) -> int:
    """List every installed plugin with its state."""
    plugins = client.get("/pouch/plugins")["plugins"]
    show_list([_row(plugin) for plugin in plugins], _HEADERS, tuple(_HEADERS), options["format"])
    return 0


def inspect(client: Client, options: Options) -> int:
    """Show each plugin."""
    from pouch_engine.cli.gotemplate import show_objects

    found: list[Any] = []
    code = for_each(options["names"], lambda name: found.append(client.get(f"/pouch/plugins/{name}")), report=False)
    show_objects(found, options["format"])
    return code


def new(client: Client, options: Options) -> int:
    """Become `python -m pouch_sdk new KIND NAME`, which writes the package."""
    from importlib.util import find_spec

    if find_spec("pouch_sdk") is None:
        raise CommandError("pouch-sdk, which has the template, is not installed: pip install pouch-sdk", 1)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "pouch_sdk", "new", options["kind"], options["name"]])  # noqa: S606


def _row(plugin: dict[str, Any]) -> dict[str, str]:
    distribution = plugin.get("distribution") or ""
    version = plugin.get("version") or ""
    return {
        "Kind": plugin["kind"],
        "Name": plugin["name"],
        "Distribution": f"{distribution} {version}".strip(),
        "API": plugin.get("api") or "",
        "State": plugin["state"],
        "Reason": plugin.get("reason") or "",
    }
