"""`pouch tag`: give an image one more name."""

from __future__ import annotations

from pouch_engine.cli.references import split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Give the image the name."""
    repository, tag = split_tag(options["target"], "latest")
    client.post(f"/images/{options['image']}/tag", {"repo": repository, "tag": tag})
    return 0
