"""Where a disk quota can be put: file systems with project ids."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from pouch_linux import mounts

_WITH_PROJECTS = ("ext4", "xfs")


class QuotaPlace(TypedDict):
    """The two fields of a `Snapshot`."""

    quota_dir: Path | None
    quota_reason: str


def supports_quota(filesystem: str) -> bool:
    """Tell whether a file system has project ids; whether they are switched on is for others to find out."""
    return filesystem in _WITH_PROJECTS


def quota_place(directory: Path) -> QuotaPlace:
    """Give the directory, or the reason why there is none. Raises OSError."""
    filesystem = mounts.filesystem_type(directory)
    if supports_quota(filesystem):
        return {"quota_dir": directory, "quota_reason": ""}
    wanted = " or ".join(_WITH_PROJECTS)
    return {"quota_dir": None, "quota_reason": f"{filesystem} has no project quota, {wanted} has"}
