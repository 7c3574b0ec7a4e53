"""What a root file system must not do to the runtime that sets it up."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pouch_hookspecs.errors import Refused

_SET_UP_BY_RUNTIMES = ("dev", "proc", "sys")


def refuse_links(rootfs: Path) -> None:
    """Refuse a root file system whose /dev, /proc or /sys is a symbolic link.

    Before it enters the root, runc (1.1) makes links and device nodes in `<rootfs>/dev` by plain path names: a
    relative link there takes them out into the host (CVE-2024-45310, CVE-2025-31133 are of this kind).

    Raises:
        Refused: naming the link.
    """
    for name in _SET_UP_BY_RUNTIMES:
        try:
            mode = os.lstat(rootfs / name).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISLNK(mode):
            raise Refused(
                f"/{name} in the root file system is a symbolic link; it must be a directory",
                hint="the image is broken or hostile; don't run it",
            )
