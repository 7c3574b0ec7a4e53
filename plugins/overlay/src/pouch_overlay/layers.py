"""A layer's tar stream becomes files: pouch_linux unpacks it confined, the errors are put in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from pouch_hookspecs import Layer
from pouch_hookspecs.errors import DataDamaged, PouchError, ResourceExhausted
from pouch_linux.unpack import UnpackError, unpack_layer

_BLOCK = 1 << 20
_FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT))
_LIMIT = "more than "


def unpack(layer: Layer, tar_fd: int, tree: Path, *, lower: Sequence[Path] = (), work: Path | None = None) -> None:
    """Unpack into `tree`: the upper directory of `lower` with `work`, or the very tree without them.

    Raises:
        DataDamaged: the archive is malformed or tries to escape; the entry is named.
        ResourceExhausted: the disk is full, or a limit of unpacking is reached.
    """
    try:
        unpack_layer(tar_fd, tree, lower=lower, work=work)
    except UnpackError as error:
        raise _contract_error(layer, error) from error


def _contract_error(layer: Layer, error: UnpackError) -> PouchError:
    message = f"layer {layer.diff_id} can not be unpacked: {error}"
    if error.message.startswith(_LIMIT):
        return ResourceExhausted(message)
    if any(text in error.message for text in _FULL):
        return ResourceExhausted(message, hint="free space on the engine's disk: pouch rmi, pouch rm")
    return DataDamaged(message)


def drain(tar_fd: int) -> None:
    """Read the stream to its end, for whoever computes its digest at the other end. Raises OSError."""
    while os.read(tar_fd, _BLOCK):
        pass


def write_all(tar_fd: int, data: bytes) -> None:
    """Write all of `data`, also to a pipe that takes it in pieces. Raises OSError."""
    left = memoryview(data)
    while left:
        left = left[os.write(tar_fd, left) :]
