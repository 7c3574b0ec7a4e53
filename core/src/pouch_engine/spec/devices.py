"""Device nodes of a container, and its rights to use them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pouch_hookspecs import Adjustment, ContainerConfig, Device, DeviceRequest, DeviceRule
from pouch_hookspecs.errors import InvalidArgument


def container_devices(config: ContainerConfig, adjustment: Adjustment) -> list[Device]:
    """The host's for a privileged container, the asked for, those of enhancements; the last at a path counts.

    Raises:
        InvalidArgument: something that was asked for is no device, or its access is none.
    """
    asked = [device for request in config.devices for device in _devices_at(request)]
    devices = [*_host_devices(config.privileged), *asked, *adjustment.devices]
    return list({device.path: device for device in devices}.values())


def _devices_at(request: DeviceRequest) -> list[Device]:
    """The device, or all devices below a directory, as they are on the host."""
    if not request.access or set(request.access) - set("rwm"):
        raise InvalidArgument(f"device {request.host_path}: access {request.access!r} is not made of r, w and m")
    path = Path(request.host_path)
    try:
        status = path.stat()
    except OSError as error:
        raise InvalidArgument(f"device {request.host_path}: {error.strerror}") from error
    if stat.S_ISDIR(status.st_mode):
        return list(_devices_below(path, request.container_path, request.access))
    if not _is_device(status):
        raise InvalidArgument(f"device {request.host_path} is not a device node")
    return [_device_of(request.container_path, status, request.access)]


def _devices_below(directory: Path, target: str, access: str, skip: frozenset[str] = frozenset()) -> Iterator[Device]:
    """What is no device is passed over, links are not followed, as docker does."""
    for entry in sorted(os.scandir(directory), key=lambda item: item.name):
        inside = f"{target.rstrip('/')}/{entry.name}"
        if entry.name in skip:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _devices_below(Path(entry.path), inside, access)
        elif _is_device(status := entry.stat(follow_symlinks=False)):
            yield _device_of(inside, status, access)


def _is_device(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)


def _device_of(path: str, status: os.stat_result, access: str) -> Device:
    return Device(
        path=path,
        type="c" if stat.S_ISCHR(status.st_mode) else "b",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        access=access,
    )


_OWN_DEVICES = frozenset(
    ("console", "pts", "shm", "mqueue", "ptmx", "fd", "tty", "null", "zero", "full", "random", "urandom")
)
"""What every container has of its own below /dev."""


def _host_devices(privileged: bool) -> list[Device]:
    """All nodes of the host's /dev for a privileged container, except what a container has of its own."""
    return list(_devices_below(Path("/dev"), "/dev", "rwm", _OWN_DEVICES)) if privileged else []


def device_rule(device: Device) -> DeviceRule:
    """The right to use a device."""
    return DeviceRule(allow=True, type=device.type, major=device.major, minor=device.minor, access=device.access)


def oci_device(device: Device) -> dict[str, Any]:
    """An entry of `linux.devices`."""
    return {
        "path": device.path,
        "type": device.type,
        "major": device.major,
        "minor": device.minor,
        "fileMode": device.mode,
        "uid": device.uid,
        "gid": device.gid,
    }
