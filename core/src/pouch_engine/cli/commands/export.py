"""`pouch export`: a container's root file system as a tar archive."""

from __future__ import annotations

import os
from contextlib import suppress

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Write the archive to a file, or to stdout."""
    output = options["output"]
    if not output and os.isatty(1):
        raise CommandError("the archive would go to the terminal: give a file with -o, or redirect stdout", 1)
    with client.open("GET", f"/containers/{options['container']}/export") as answer:
        if not output:
            for piece in answer.chunks():
                _write(1, piece)
            return 0
        part = f"{output}.part"  # half an archive never stands under the name
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            for piece in answer.chunks():
                _write(descriptor, piece)
            os.rename(part, output)
        except BaseException:
            with suppress(OSError):
                os.unlink(part)
            raise
        finally:
            os.close(descriptor)
    return 0


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
