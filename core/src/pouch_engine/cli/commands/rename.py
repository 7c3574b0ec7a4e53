"""`pouch rename`: give a container another name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Rename it; nothing is printed, as with docker."""
    client.post(f"/containers/{options['container']}/rename", {"name": options["new_name"]})
    return 0
