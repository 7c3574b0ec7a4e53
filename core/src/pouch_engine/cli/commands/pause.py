"""`pouch pause` and `pouch unpause`: freeze containers, and let them go on."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Pause each container and print its name."""
    return for_each(options["containers"], lambda container: client.post(f"/containers/{container}/pause"))


def unpause(client: Client, options: Options) -> int:
    """Let each container go on and print its name."""
    return for_each(options["containers"], lambda container: client.post(f"/containers/{container}/unpause"))
