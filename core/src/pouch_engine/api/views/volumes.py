"""Volumes in docker's words."""

from __future__ import annotations

from typing import Any

from pouch_engine.volumes.store import Volume, Volumes
from pouch_hookspecs.errors import PouchError

from .times import timestamp


def volume_document(volumes: Volumes, volume: Volume) -> dict[str, Any]:
    """A volume; one whose driver can not tell about it is shown with the reason in its status."""
    mountpoint, status = "", {}
    try:
        info = volumes.inspect(volume.name)
        mountpoint, status = str(info.mountpoint), dict(info.status)
    except PouchError as error:
        status = {"error": str(error)}
    document: dict[str, Any] = {
        "CreatedAt": timestamp(volume.created_at),
        "Driver": volume.driver,
        "Labels": dict(volume.labels) or None,
        "Mountpoint": mountpoint,
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }
    return document | {"Status": status} if status else document
