"""`pouch restart`: stop containers and start them again."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Restart each container and print its name."""
    query = {"signal": options["signal"], "t": options["timeout"]}
    return for_each(options["containers"], lambda container: client.post(f"/containers/{container}/restart", query))
