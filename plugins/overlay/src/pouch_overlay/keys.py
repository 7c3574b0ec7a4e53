"""Keys as they come from the engine, and the names of directories that they stand for.

A layer's key is its chain id (`sha256:…`), a snapshot's a container id. A key becomes a file name only
after it was matched as a whole, so none can lead out of the driver's directory.
"""

from __future__ import annotations

import re

from pouch_hookspecs.errors import InvalidArgument

_CHAIN = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_LAYER_NAME = re.compile(r"sha256-[0-9a-f]{64}|sha512-[0-9a-f]{128}")
_SNAPSHOT = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,127}")


def is_chain_id(key: str) -> bool:
    """Tell a layer's key from a snapshot's: only a chain id has a colon."""
    return ":" in key


def layer_name(chain_id: str) -> str:
    """Give the directory name of a layer.

    Raises:
        InvalidArgument: the text is no chain id (OCI image spec, config, "Layer ChainID").
    """
    if not _CHAIN.fullmatch(chain_id):
        raise InvalidArgument(f"{chain_id!r} is no chain id: expected sha256: and 64 hexadecimal digits")
    return chain_id.replace(":", "-")


def chain_id(name: str) -> str | None:
    """Give the chain id behind a layer's directory name; None: the name is none of ours."""
    return name.replace("-", ":") if _LAYER_NAME.fullmatch(name) else None


def snapshot_name(key: str) -> str:
    """Give the directory name of a snapshot.

    Raises:
        InvalidArgument: the key is no container id.
    """
    if not _SNAPSHOT.fullmatch(key):
        raise InvalidArgument(
            f"{key!r} is no snapshot key: expected at most 128 letters, digits, '_' and '-', "
            "beginning with a letter or digit"
        )
    return key


def is_snapshot_name(name: str) -> bool:
    """Tell whether a directory name can be a snapshot's."""
    return _SNAPSHOT.fullmatch(name) is not None
