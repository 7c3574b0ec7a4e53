"""`pouch create`: make a container from an image."""

from __future__ import annotations

import os

from pouch_engine.cli import tell
from pouch_engine.cli.creation import creation_body
from pouch_engine.cli.errors import ApiError, CommandError
from pouch_engine.cli.terminal import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Create a container and print its id."""
    streams = ["stdin", "stdout", "stderr"] if options["interactive"] else ["stdout", "stderr"]
    print(create_container(client, options, options["attach"] or streams))
    return 0


def create_container(client: Client, options: Options, streams: Sequence[str]) -> str:
    """Create a container and return its id; the daemon's warnings go to stderr. Raises CommandError."""
    if options["pull"] not in ("missing", "never"):
        raise CommandError(f"invalid value {options['pull']!r} for --pull: expected missing or never", 125)
    cidfile = options["cidfile"]
    if cidfile and os.path.lexists(cidfile):
        raise CommandError(f"the file {cidfile} exists already: remove it, or give another name to --cidfile", 125)
    body = creation_body(options, streams)
    if options["tty"] and (size := size_of(1)):
        body["HostConfig"]["ConsoleSize"] = size
    query = {"name": options["name"], "platform": options["platform"]}
    try:
        answer = client.post("/containers/create", query, body)
    except ApiError as error:
        raise _explained(error, options["image"]) from None
    for warning in answer.get("Warnings") or ():
        tell(f"WARNING: {warning}")
    identity = str(answer["Id"])
    if cidfile:
        with open(cidfile, "x", encoding="ascii") as file:
            file.write(identity)
    return identity


def _explained(error: ApiError, image: str) -> CommandError:
    """Say how to get the image, when it is the image that is missing."""
    if error.status != 404 or "image" not in str(error).lower():
        return error
    return CommandError(
        f"{error}\nPouch fetches no images yet: load one with 'pouch load -i ARCHIVE', "
        f"or make one with 'pouch import ROOTFS.tar {image}'."
    )
