"""Which extended attributes an image may carry: xattr(7)."""

from __future__ import annotations

_IMAGE = ("user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default")
_OVERLAY = "user.overlay."


def is_image_xattr(name: str) -> bool:
    """True for user.*, file capabilities and POSIX ACLs.

    The others are the host's own marks: trusted.overlay.* would redirect lookups, security labels are a
    policy's.
    """
    return name.startswith(_IMAGE) and not name.startswith(_OVERLAY)
