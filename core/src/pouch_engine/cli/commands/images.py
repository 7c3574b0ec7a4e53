"""`pouch images`: list images."""

from __future__ import annotations

from pouch_engine.cli.listing import filters, show_list
from pouch_engine.cli.sizes import decimal_size
from pouch_engine.cli.tables import short_id
from pouch_engine.cli.times import ago, local_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_NONE = "<none>"
_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
}


def execute(client: Client, options: Options) -> int:
    """List images as docker does: one line for each name."""
    chosen = list(options["filter"])
    if options["reference"]:
        chosen.append(f"reference={options['reference']}")
    images = client.get("/images/json", {"all": options["all"] or None, "filters": filters(chosen)})
    images.sort(key=lambda image: image["Created"], reverse=True)
    rows = [row for image in images for row in _rows(image, options["no_trunc"])]
    if options["quiet"] and not options["format"]:
        for row in rows:
            print(row["ID"])
        return 0
    columns = ["Repository", "Tag", "ID", "CreatedSince", "Size"]
    if options["digests"]:
        columns.insert(2, "Digest")
    show_list(rows, _HEADERS, columns, options["format"])
    return 0


def _rows(image: dict[str, Any], full: bool) -> list[dict[str, str]]:
    digests = dict(text.split("@", 1) for text in image.get("RepoDigests") or () if "@" in text)
    tags = [tag for tag in image.get("RepoTags") or () if tag != "<none>:<none>"]
    names = [tag.rpartition(":")[::2] for tag in tags] or [(next(iter(digests), _NONE), _NONE)]
    return [
        {
            "Repository": repository,
            "Tag": tag,
            "Digest": digests.get(repository, _NONE),
            "ID": image["Id"] if full else short_id(image["Id"]),
            "CreatedSince": ago(image["Created"]),
            "CreatedAt": local_rfc3339(image["Created"], 0),
            "Size": decimal_size(image["Size"], 3),
        }
        for repository, tag in names
    ]
