"""The volume driver `local`: a volume is a directory of this host.

    <data_dir>/<name>/_data     the volume's data, as docker lays it out
    <data_dir>/.trash/          what is being deleted; no volume's name begins with a dot

A volume exists if its `_data` does. Create makes it at once, so that its mountpoint can be used by hand
before any container uses it. It is also the directory for a quota, as long as it is empty: all that the
volume will ever hold is in it, and inherits its project id.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from pouch_hookspecs import (
    Finding,
    Handler,
    Level,
    PreparedVolume,
    VolumeConfig,
    VolumeInfo,
    hookimpl,
)
from pouch_hookspecs.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    PouchError,
    ResourceExhausted,
    Unavailable,
)
from pouch_linux import mounts
from pouch_linux.trash import Trash

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}")
_WITH_PROJECTS = ("ext4", "xfs")


class LocalVolumes:
    """Keeps volumes as directories. Who uses a volume, and its labels, is the engine's knowledge."""

    api: ClassVar[str] = "0.1"

    class Options(BaseModel):
        """There is nothing to configure."""

        model_config = ConfigDict(extra="forbid")

    def __init__(self, handler: Handler[Options]) -> None:
        self._directory = handler.data_dir
        self._trash = Trash(handler.data_dir / ".trash")

    @hookimpl
    def check(self) -> tuple[Finding, ...]:
        """Look whether the directory can be written; go on with deletions that a crash has interrupted."""
        what = f"volumes in {self._directory}"
        try:
            filesystem = mounts.filesystem_type(self._directory)
            probe = self._directory / f".check-{secrets.token_hex(8)}"
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            remedy = "put the engine's root on a file system that can be written"
            return (Finding(level=Level.ERROR, what=what, why=str(error), remedy=remedy),)
        self._trash.empty()
        return (Finding(level=Level.OK, what=what, why=f"on {filesystem}"),)

    @hookimpl
    def volume_create(self, config: VolumeConfig) -> VolumeInfo:
        """Make the directory, root's and of mode 0755; one that is there stays as it is."""
        _refuse_options(config.options)
        volume = self._volume(config.name)
        with _reported(f"making volume {config.name}"):
            volume.mkdir(mode=0o711, exist_ok=True)
            with suppress(FileExistsError):
                (volume / "_data").mkdir()
                (volume / "_data").chmod(0o755)
        return _info(volume)

    @hookimpl
    def volume_prepare(self, name: str) -> PreparedVolume:
        """Give `_data` while it is empty, on a file system that has project ids."""
        data = self._data(name)
        with _reported(f"looking at volume {name}"):
            filesystem = mounts.filesystem_type(data)
            with os.scandir(data) as entries:
                if any(entries):
                    return PreparedVolume(quota_reason=f"volume {name} has data already")
        if filesystem not in _WITH_PROJECTS:
            wanted = " or ".join(_WITH_PROJECTS)
            return PreparedVolume(quota_reason=f"{filesystem} has no project quota, {wanted} has")
        return PreparedVolume(quota_dir=data)

    @hookimpl
    def volume_mount(self, name: str) -> Path:
        """Say where the data is; there is nothing to mount."""
        return self._data(name)

    @hookimpl
    def volume_unmount(self, name: str) -> None:
        """Nothing was mounted."""

    @hookimpl
    def volume_remove(self, name: str) -> None:
        """Move the directory into the trash, and delete it there.

        Raises:
            Conflict: something is mounted in it, which would be deleted, too.
        """
        volume = self._volume(name)
        with _reported(f"removing volume {name}"):
            if found := mounts.mounts_below(volume):
                raise Conflict(f"something is mounted in volume {name}", hint=f"umount {found[-1].target}")
            self._trash.put(volume)

    @hookimpl
    def volume_list(self) -> tuple[VolumeInfo, ...]:
        """List the directories, by name."""
        with _reported("listing volumes"):
            names = sorted(name for name in os.listdir(self._directory) if _NAME.fullmatch(name))
        return tuple(info for info in map(self._inspect, names) if info is not None)

    @hookimpl
    def volume_inspect(self, name: str) -> VolumeInfo | None:
        """Tell where the data is."""
        _check_name(name)
        return self._inspect(name)

    def _inspect(self, name: str) -> VolumeInfo | None:
        volume = self._directory / name
        return _info(volume) if (volume / "_data").is_dir() else None

    def _volume(self, name: str) -> Path:
        _check_name(name)
        return self._directory / name

    def _data(self, name: str) -> Path:
        data = self._volume(name) / "_data"
        if not data.is_dir():
            raise NotFound(f"there is no volume {name}", hint=f"pouch volume create {name}")
        return data


def _info(volume: Path) -> VolumeInfo:
    return VolumeInfo(name=volume.name, mountpoint=volume / "_data")


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidArgument(
            f"{name!r} is no name for a volume: expected at most 255 letters, digits, '_', '.' and '-', "
            "beginning with a letter or digit"
        )


def _refuse_options(options: Mapping[str, str]) -> None:
    if options:
        names = ", ".join(sorted(options))
        raise InvalidArgument(
            f"the volume driver local takes no options, but was given {names}",
            hint="leave them out; to use a directory of the host, bind it: -v /path:/target",
        )


@contextmanager
def _reported(doing: str) -> Iterator[None]:
    """Turn an OSError inside into an error of the contract that says what was being done."""
    try:
        yield
    except OSError as error:
        raise _contract_error(f"{doing} failed: {error}", error.errno) from error


def _contract_error(message: str, number: int | None) -> PouchError:
    if number in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(message, hint="free space on the engine's disk: pouch volume prune")
    if number in (errno.EPERM, errno.EACCES):
        return PermissionDenied(message, hint="the daemon needs to be root")
    return Unavailable(message)
