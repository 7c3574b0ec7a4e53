"""`pouch load` and `pouch import`: images from archives."""

from __future__ import annotations

import os
import sys

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.references import split_tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Answer, Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Load images from an archive and print their names."""
    source = _open(options["input"] or "-", "give a file with -i, or redirect stdin")
    with client.upload("/images/load", {"quiet": options["quiet"]}, "application/x-tar", source) as answer:
        _report(answer)
    return 0


def import_archive(client: Client, options: Options) -> int:
    """Make an image from a root file system's archive and print its id."""
    source = _open(options["file"], "give a file, or redirect stdin")
    repository, tag = split_tag(options["reference"] or "")
    query = {
        "fromSrc": "-",
        "repo": repository or None,
        "tag": tag or None,
        "message": options["message"],
        "changes": options["change"],
    }
    with client.upload("/images/create", query, "application/x-tar", source) as answer:
        _report(answer)
    return 0


def _open(path: str, remedy: str) -> int:
    if path != "-":
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise CommandError(f"open {path}: {error.strerror}", 1) from None
    if os.isatty(0):
        raise CommandError(f"the archive would come from the terminal: {remedy}", 1)
    return 0


def _report(answer: Answer) -> None:
    """Print what the daemon reports, without the progress of parts. Raises CommandError for the error it reports."""
    for document in answer.documents():
        if "error" in document or "errorDetail" in document:
            detail = document.get("errorDetail") or {}
            raise CommandError(str(detail.get("message") or document.get("error")))
        if "stream" in document:
            sys.stdout.write(document["stream"])
        elif "status" in document and not document.get("progressDetail"):
            prefix = f"{document['id']}: " if document.get("id") else ""
            print(prefix + document["status"])
        sys.stdout.flush()
