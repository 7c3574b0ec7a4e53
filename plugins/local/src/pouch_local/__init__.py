"""Pouch's volume driver `local`: directories of this host."""

from __future__ import annotations

from .volumes import LocalVolumes

__all__ = ["LocalVolumes"]
