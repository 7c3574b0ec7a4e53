"""Whether overlayfs works here, found out by using it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from pouch_hookspecs import Finding, Level
from pouch_linux import mounts

from .store import Store

_COPY = 'or choose the storage driver "copy"'


def check_overlayfs(store: Store, options: Sequence[str]) -> Finding:
    """Mount an overlay in the store's directory, change it, look at it, and unmount it."""
    what = f"overlayfs on {store.directory}"
    try:
        with store.scratch() as scratch:
            filesystem, failure = mounts.filesystem_type(scratch), _trial(scratch, options)
    except OSError as error:
        return _not_writable(what, error)
    if failure is None:
        return Finding(level=Level.OK, what=what, why=f"works on {filesystem}")
    why, remedy = _explained(filesystem, failure)
    return Finding(level=Level.ERROR, what=what, why=why, remedy=f"{remedy}, {_COPY}")


def check_copies(store: Store) -> Finding:
    """Look whether the store's directory can be written."""
    what = f"copies in {store.directory}"
    try:
        with store.scratch() as scratch:
            filesystem = mounts.filesystem_type(scratch)
    except OSError as error:
        return _not_writable(what, error)
    why = f"works on {filesystem}; every container is a whole copy of its image"
    return Finding(level=Level.INFO, what=what, why=why, remedy='prefer "overlay" where it works')


def _not_writable(what: str, error: OSError) -> Finding:
    remedy = "put the engine's root on a file system that can be written, and run the daemon as root"
    return Finding(level=Level.ERROR, what=what, why=str(error), remedy=remedy)


def _explained(filesystem: str, failure: OSError | str) -> tuple[str, str]:
    """Give the reason and the remedy."""
    if isinstance(failure, str):
        if filesystem == "xfs":
            return f"overlayfs on xfs {failure}", "make the file system with mkfs.xfs -n ftype=1"
        return f"overlayfs on {filesystem} {failure}", "put the engine's root on ext4 or xfs"
    if failure.errno == errno.ENODEV:
        return "this kernel has no overlayfs (ENODEV)", "modprobe overlay"
    if failure.errno == errno.EPERM:
        return "mount is not permitted (EPERM)", "run the daemon with CAP_SYS_ADMIN"
    name = errno.errorcode.get(failure.errno or 0, "unknown error")
    return (
        f"overlayfs can not write on {filesystem}: {failure.strerror} ({name})",
        "put the engine's root on ext4 or xfs",
    )


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
