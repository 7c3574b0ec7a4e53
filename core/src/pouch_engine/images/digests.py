"""Digests of content: `sha256:` and 64 lower-case hexadecimal digits (OCI image spec, descriptor)."""

from __future__ import annotations

import hashlib
import re

from pouch_hookspecs.errors import InvalidArgument, Unsupported

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_digest(text: str) -> bool:
    """Tell whether `text` is a whole sha256 digest."""
    return _SHA256.fullmatch(text) is not None


def is_hexadecimal(text: str) -> bool:
    """Tell whether `text` is the hexadecimal part of a whole sha256 digest."""
    return _HEXADECIMAL.fullmatch(text) is not None


def hex_of(digest: str) -> str:
    """Return the hexadecimal part of a digest, which is safe as a file name.

    Raises:
        InvalidArgument: it is malformed.
        Unsupported: it is of another algorithm.
    """
    if is_digest(digest):
        return digest.removeprefix("sha256:")
    algorithm, separator, _ = digest.partition(":")
    if separator and algorithm in ("sha384", "sha512", "blake3"):
        raise Unsupported(f"digest {digest[:80]!r} uses {algorithm}; only sha256 is supported")
    raise InvalidArgument(f"{digest[:80]!r} is not a digest: expected sha256: and 64 digits of 0-9a-f")


def digest_of(data: bytes) -> str:
    """Return the sha256 digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def chain_ids(diff_ids: tuple[str, ...]) -> tuple[str, ...]:
    """Return the chain id of each layer on all below it (OCI image spec, config, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
