"""`pouch rm`: remove containers."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each
from pouch_engine.cli.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Remove each container and print its name; with -f one that is not there is no failure."""
    query = {"force": options["force"] or None, "v": options["volumes"] or None}

    def remove(container: str) -> None:
        try:
            client.delete(f"/containers/{container}", query)
        except ApiError as error:
            if not (options["force"] and error.status == 404):
                raise

    return for_each(options["containers"], remove)
