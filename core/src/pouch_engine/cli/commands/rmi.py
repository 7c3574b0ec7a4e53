"""`pouch rmi`: remove images."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Remove each image and print which names and images went away."""
    query = {"force": options["force"] or None, "noprune": options["no_prune"] or None}

    def remove(image: str) -> None:
        for entry in client.delete(f"/images/{image}", query) or ():
            for what, name in entry.items():
                print(f"{what}: {name}")

    return for_each(options["images"], remove, report=False)
