"""Where a copy goes: docker's rules for directories that exist or not, and for paths that end in `/` or `/.`."""

from __future__ import annotations

import os

from pouch_engine.cli.errors import CommandError


class Place:
    """One end of a copy: a path, and what is there once links are followed as they should be."""

    def __init__(self, path: str, *, exists: bool, is_directory: bool) -> None:
        self.path = path
        self.exists = exists
        self.is_directory = is_directory


def base_name(path: str, *, of_host: bool = False) -> str:
    """Return the name with which an archive of `path` begins: `.` for `DIRECTORY/.`, `/` for the root."""
    if path == "." or path.endswith("/."):
        return "."
    clean = os.path.abspath(path) if of_host else os.path.normpath(f"/{path}")
    return os.path.basename(clean) or "/"


def local_source(path: str, *, follow: bool) -> Place:
    """Return what is to be copied from this host; a link at the end is followed if asked for, or before a `/`.

    Raises CommandError.
    """
    follow = follow or path.endswith("/")
    try:
        is_link = os.path.islink(path.rstrip("/") or "/")
        real = os.path.realpath(path, strict=True) if follow or not is_link else _beside(path)
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}", 1) from None
    if path.endswith("/") and not os.path.isdir(real):
        raise CommandError(f"{path}: Not a directory", 1)
    return Place(real, exists=True, is_directory=os.path.isdir(real) and not os.path.islink(real))


def _beside(path: str) -> str:
    """The link itself, in its real directory."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory or ".", strict=True), name)


def local_target(path: str) -> Place:
    """Return where something is to be put on this host. Raises CommandError."""
    real = os.path.realpath(path)
    is_directory = os.path.isdir(real)
    if not is_directory and not os.path.isdir(os.path.dirname(real)):
        raise CommandError(f"invalid output path: the directory {os.path.dirname(real)} does not exist", 1)
    if os.path.lexists(real) and not (is_directory or os.path.isfile(real)):
        raise CommandError(f"invalid output path: {path} is neither a directory nor a regular file", 1)
    asserted = "/" if path.endswith(("/", "/.")) and real != "/" else ""
    return Place(real + asserted, exists=os.path.lexists(real), is_directory=is_directory)


def placement(source_is_directory: bool, target: Place, name: str) -> tuple[str, str]:
    """Return the directory to unpack in, and the name that takes the place of `name`, which may be the same.

    Raises CommandError for what docker refuses.
    """
    if target.is_directory:
        return target.path, name
    if target.exists and source_is_directory:
        raise CommandError(f"cannot copy a directory over the file {target.path}", 1)
    if not (target.exists or source_is_directory) and target.path.endswith(("/", "/.")):
        raise CommandError(f"no such directory: {target.path}", 1)
    directory, base = os.path.split(os.path.normpath(f"/{target.path.lstrip('/')}"))
    return directory, base or name
