"""`pouch diff`: what a container has changed in its root file system."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_KINDS = "CAD"


def execute(client: Client, options: Options) -> int:
    """Print a line for each path: A for added, C for changed, D for deleted."""
    for change in client.get(f"/containers/{options['container']}/changes") or ():
        print(_KINDS[change["Kind"]], change["Path"])
    return 0
