"""Pouch's storage drivers: `overlay` by overlayfs, `copy` where that can not be."""

from __future__ import annotations

from .copying import CopyStorage
from .overlay import OverlayStorage

__all__ = ["CopyStorage", "OverlayStorage"]
