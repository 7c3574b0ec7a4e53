"""`pouch history`: how an image came to be."""

from __future__ import annotations

from pouch_engine.cli.listing import show_list
from pouch_engine.cli.sizes import decimal_size
from pouch_engine.cli.tables import ellipsis, short_id
from pouch_engine.cli.times import ago, local_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_WIDTH = 45


def execute(client: Client, options: Options) -> int:
    """List the steps, newest first."""
    steps = client.get(f"/images/{options['image']}/history")
    rows = [_row(step, options["human"], options["no_trunc"]) for step in steps]
    if options["quiet"]:
        for row in rows:
            print(row["ID"])
        return 0
    columns = ["ID", "CreatedSince" if options["human"] else "CreatedAt", "CreatedBy", "Size", "Comment"]
    show_list(rows, _HEADERS, columns, options["format"])
    return 0


def _row(step: dict[str, Any], human: bool, full: bool) -> dict[str, str]:
    command = step["CreatedBy"].replace("\t", " ")
    return {
        "ID": step["Id"] if full else short_id(step["Id"]),
        "CreatedSince": ago(step["Created"]),
        "CreatedAt": local_rfc3339(step["Created"], 0),
        "CreatedBy": command if full else ellipsis(command, _WIDTH),
        "Size": decimal_size(step["Size"], 3) if human else str(step["Size"]),
        "Comment": step["Comment"],
    }
