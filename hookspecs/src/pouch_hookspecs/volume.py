"""Volumes as the engine and a volume driver see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from .model import Model


class VolumeConfig(Model):
    """A volume as it was asked for.

    Attributes:
        name: unique within the engine.
        options: the driver's own, as text (`--opt`).
        labels: for people.
    """

    name: str
    options: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)


class PreparedVolume(Model):
    """A volume that may not hold data yet: `quota_dir` is above all that it will ever hold."""

    quota_dir: Path | None = None
    quota_reason: str = ""


class VolumeInfo(Model):
    """What a driver says of one of its volumes. `mountpoint` is where its data is on the host."""

    name: str
    mountpoint: Path
    options: Mapping[str, str] = Field(default_factory=dict)
    status: Mapping[str, str] = Field(default_factory=dict)
