"""`pouch export`: a container's root file system as a tar archive."""

from __future__ import annotations

import os
from contextlib import suppress

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Answer, Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Write the archive to a file, or to stdout."""
    output = options["output"]
    if not output and os.isatty(1):
        raise CommandError("the archive would go to the terminal: give a file with -o, or redirect stdout", 1)
    with client.open("GET", f"/containers/{options['container']}/export") as answer:
        if output:
            _save(answer, os.path.realpath(output))
        else:
            _pour(answer, 1)
    return 0


def _save(answer: Answer, path: str) -> None:
    """Half an archive never stands under the name; what is no regular file (a pipe, /dev/null) is written to."""
    if os.path.exists(path) and not os.path.isfile(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            return _pour(answer, descriptor)
        finally:
            os.close(descriptor)
    part = f"{path}.part"
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        _pour(answer, descriptor)
        os.rename(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    finally:
        os.close(descriptor)


def _pour(answer: Answer, descriptor: int) -> None:
    for piece in answer.chunks():
        left = memoryview(piece)
        while left:
            left = left[os.write(descriptor, left) :]
