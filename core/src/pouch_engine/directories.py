"""The daemon's two directories: whose they are, who may look in, and that mounts in them are this namespace's alone."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from pouch_hookspecs.errors import PermissionDenied
from pouch_linux import mounts

log = logging.getLogger(__name__)

MODE = 0o711
"""Others may pass, to the socket and to volumes that they are given; nothing below is theirs to read."""


def prepare(directory: Path) -> None:
    """Make it with mode 0711, whatever the umask, or accept one that only its owner, root, can write.

    Raises:
        PermissionDenied: somebody else could change what is in it.
    """
    if not directory.exists():
        directory.mkdir(parents=True)
        directory.chmod(MODE)
    found = directory.stat()
    if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(found.st_mode)
        raise PermissionDenied(
            f"{directory} has owner {found.st_uid} and mode {mode:o}: others than root can change it",
            hint=f"chown root {directory} and chmod 711 {directory}, or choose another directory",
        )


def keep_mounts_private(directory: Path) -> None:
    """Have what is mounted below stay out of other mount namespaces, where it would outlive its unmount here.

    Where the host's mounts are shared (systemd makes them so), the directory becomes a private mount, by a bind onto
    itself that stays until the machine's end. Mounts that a daemon made there earlier would be hidden by that: as long
    as there are some, all stays as it is.
    """
    directory = directory.resolve()
    above = _mount_above(directory)
    if not any(tag.startswith("shared:") for tag in above.propagation):
        return
    if above.target != str(directory) and mounts.mounts_below(directory):
        log.warning("mounts in %s reach other mount namespaces until it is free of mounts at a start", directory)
        return
    mounts.make_private(directory)


def _mount_above(directory: Path) -> mounts.MountPoint:
    """The mount that the directory is on: of those at the longest path, the last."""
    table = [each for each in mounts.mountinfo() if directory.is_relative_to(each.target)]
    return max(reversed(table), key=lambda each: len(each.target))
