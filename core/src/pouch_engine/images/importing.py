"""A root file system's tar becomes an image of one layer (`docker import`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from pouch_hookspecs.errors import InvalidArgument

from .archives import FoundImage
from .changes import apply_changes
from .compression import StreamLimits, decompressed, peek, recognise
from .configs import CONFIG_LIMIT, parse_config
from .content import ContentStore
from .leases import Lease
from .manifests import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, host_platform, make_manifest
from .references import Reference
from .streams import read_chunks


def read_rootfs(
    descriptor: int,
    reference: Reference | None,
    content: ContentStore,
    lease: Lease,
    *,
    changes: Sequence[str] = (),
    message: str = "",
    limits: StreamLimits | None = None,
) -> FoundImage:
    """Take a root file system into the content store, as an image of one layer.

    Args:
        descriptor: a tar stream, plain or compressed; a file or a pipe. It is read to its end.
        reference: the image's name; None: it has only an id.
        content: where layer, configuration and manifest go.
        lease: holds them.
        changes: lines of a Dockerfile, see `apply_changes`.
        message: a comment in its history.
        limits: of decompression; None: the defaults.

    Raises:
        InvalidArgument: a change is wrong, or the stream is empty.
        DataDamaged: the compression is damaged.
        ResourceExhausted: the disk or a limit.
    """
    settings: dict[str, Any] = {}
    apply_changes(settings, changes)
    head, stream = peek(read_chunks(descriptor))
    layer = content.ingest(_some(decompressed(stream, recognise(head), limits)), media_type=OCI_LAYER, lease=lease)
    host = host_platform()
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    document = {
        "created": now,
        "architecture": host.architecture,
        **({"variant": host.variant} if host.variant else {}),
        "os": host.os,
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        "history": [{"created": now, "comment": message or "Imported from -"}],
    }
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if len(data) > CONFIG_LIMIT:
        raise InvalidArgument(f"the changes make a configuration of more than {CONFIG_LIMIT} bytes")
    parse_config(data)
    config = content.put(data, OCI_CONFIG, lease=lease)
    manifest = content.put(make_manifest(config, (layer,)), OCI_MANIFEST, lease=lease)
    return FoundImage(manifest, (reference,) if reference else ())


def _some(pieces: Iterator[bytes]) -> Iterator[bytes]:
    empty = True
    for piece in pieces:
        empty = empty and not piece
        yield piece
    if empty:
        raise InvalidArgument("there is nothing to import: expected the tar of a root file system")
