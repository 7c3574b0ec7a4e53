"""Whether overlayfs works here, found out by using it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from pouch_hookspecs import Finding, Level
from pouch_linux import mounts

_COPY = 'or choose the storage driver "copy"'


def check_overlayfs(directory: Path, scratch: Path, options: Sequence[str]) -> Finding:
    """Mount an overlay in the empty directory `scratch`, change it, look at it, and unmount it.

    `directory` is named in the finding.
    """
    what, filesystem = f"overlayfs on {directory}", mounts.filesystem_type(scratch)
    failure = _trial(scratch, options)
    if failure is None:
        return Finding(level=Level.OK, what=what, why=f"works on {filesystem}")
    remedy = f"put the engine's root on ext4 or xfs, {_COPY}"
    if isinstance(failure, OSError):
        if failure.errno == errno.ENODEV:
            why, remedy = "this kernel has no overlayfs (ENODEV)", f"modprobe overlay, {_COPY}"
        elif failure.errno == errno.EPERM:
            why, remedy = "mount is not permitted (EPERM)", f"run the daemon with CAP_SYS_ADMIN, {_COPY}"
        else:
            name = errno.errorcode.get(failure.errno or 0, "unknown error")
            why = f"overlayfs can not write on {filesystem}: {failure.strerror} ({name})"
    else:
        why = f"overlayfs on {filesystem} {failure}"
        if filesystem == "xfs":
            remedy = f"make the file system with mkfs.xfs -n ftype=1, {_COPY}"
    return Finding(level=Level.ERROR, what=what, why=why, remedy=remedy)


def _trial(scratch: Path, options: Sequence[str]) -> OSError | str | None:
    """Give what went wrong; None: nothing."""
    lower, upper, work, root = (scratch / name for name in ("lower", "upper", "work", "root"))
    try:
        for directory in (lower, upper, work, root):
            directory.mkdir()
        (lower / "changed").write_text("below")
        (lower / "removed").write_text("below")
        mounts.mount_overlay(root, lower=[lower], upper=upper, work=work, options=options)
        try:
            return _use(root, lower)
        finally:
            mounts.unmount(root)
    except OSError as error:
        return error


def _use(root: Path, lower: Path) -> str | None:
    (root / "changed").write_text("above")
    (root / "removed").unlink()
    (root / "directory").mkdir()
    if (lower / "changed").read_text() != "below":
        return "writes through to a lower layer"
    if set(os.listdir(root)) != {"changed", "directory"}:
        # Whiteouts are recognised by d_type of readdir(3), which XFS may lack.
        return "shows removed files: it has no d_type"
    return None
