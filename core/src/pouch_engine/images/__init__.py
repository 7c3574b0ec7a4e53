"""Images: references, content by digest, layers, archives, and the store that ties them together.

`ImageStore` of `store.py` is the door; the rest of the engine needs nothing else of this room.
"""

from __future__ import annotations

from .catalog import ImageRecord
from .configs import ImageConfig
from .references import Reference, parse_reference
from .removal import ImageUser, Removed
from .store import AddedImage, ImageStore

__all__ = [
    "AddedImage",
    "ImageConfig",
    "ImageRecord",
    "ImageStore",
    "ImageUser",
    "Reference",
    "Removed",
    "parse_reference",
]
