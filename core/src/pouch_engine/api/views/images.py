"""Images in docker's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pouch_engine.images.catalog import ImageRecord
from pouch_engine.images.configs import Defaults, Healthcheck
from pouch_engine.images.store import HistoryEntry

from .times import seconds, timestamp


def image_row(image: ImageRecord, tags: Iterable[str], digests: Iterable[str], containers: int) -> dict[str, Any]:
    """A row of GET /images/json with those of its names that are shown; `containers` is how many were made from it."""
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(tags),
        "RepoDigests": list(digests),
        "Created": seconds(image.created),
        "Size": image.size,
        "VirtualSize": image.size,
        "SharedSize": -1,
        "Labels": dict(image.labels),
        "Containers": containers,
    }


def image_document(image: ImageRecord, storage: str) -> dict[str, Any]:
    """GET /images/{name}/json; `storage` is the handler that keeps the layers."""
    config = image.config
    return {
        "Id": image.id,
        "RepoTags": list(image.repo_tags),
        "RepoDigests": list(image.repo_digests),
        "Parent": "",
        "Comment": config.comment or (config.history[-1].comment if config.history else ""),
        "Created": timestamp(image.created),
        "Container": "",
        "DockerVersion": config.docker_version,
        "Author": config.author,
        "Config": _defaults(config.config),
        "Architecture": image.architecture,
        "Variant": config.variant,
        "Os": image.os or "linux",
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": {"Name": storage, "Data": None},
        "RootFS": {"Type": "layers", "Layers": list(config.diff_ids)},
        "Metadata": {"LastTagTime": timestamp(None)},
    }


def _defaults(defaults: Defaults) -> dict[str, Any]:
    document: dict[str, Any] = {
        "Hostname": "",
        "Domainname": "",
        "User": defaults.user,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "Env": list(defaults.env),
        "Cmd": list(defaults.cmd) or None,
        "Image": "",
        "Volumes": _set(defaults.volumes) or None,
        "WorkingDir": defaults.working_dir,
        "Entrypoint": list(defaults.entrypoint) or None,
        "OnBuild": list(defaults.on_build) or None,
        "Labels": dict(defaults.labels) or None,
    }
    optional: dict[str, Any] = {
        "ExposedPorts": _set(defaults.exposed_ports),
        "StopSignal": defaults.stop_signal,
        "StopTimeout": defaults.stop_timeout_seconds,
        "Shell": list(defaults.shell),
        "Healthcheck": _healthcheck(defaults.healthcheck) if defaults.healthcheck else None,
    }
    return document | {name: value for name, value in optional.items() if value}


def _set(keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Go's set."""
    return {key: {} for key in keys}


def _healthcheck(check: Healthcheck) -> dict[str, Any]:
    return {
        "Test": list(check.test),
        "Interval": check.interval_ns,
        "Timeout": check.timeout_ns,
        "StartPeriod": check.start_period_ns,
        "Retries": check.retries,
    }


def history_document(entries: Iterable[HistoryEntry]) -> list[dict[str, Any]]:
    """GET /images/{name}/history."""
    return [
        {
            "Id": entry.id or "<missing>",
            "Created": seconds(entry.created),
            "CreatedBy": entry.created_by,
            "Tags": list(entry.names) or None,
            "Size": entry.size,
            "Comment": entry.comment,
        }
        for entry in entries
    ]
