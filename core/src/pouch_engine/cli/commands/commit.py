"""`pouch commit`: make an image of a container."""

from __future__ import annotations

from pouch_engine.cli.references import split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Make the image and print its id."""
    repository, tag = split_tag(options["reference"] or "")
    query = {
        "container": options["container"],
        "repo": repository or None,
        "tag": tag or None,
        "author": options["author"],
        "comment": options["message"],
        "changes": options["change"],
        "pause": options["pause"],
    }
    print(client.post("/commit", query)["Id"])
    return 0
