"""Image references on the command line."""

from __future__ import annotations


def split_tag(reference: str, default: str = "") -> tuple[str, str]:
    """Return (repository, tag) of `repository[:tag]`; the colon of a registry's port is none of a tag's."""
    colon = reference.rfind(":")
    if colon > reference.rfind("/"):
        return reference[:colon], reference[colon + 1 :]
    return reference, default
