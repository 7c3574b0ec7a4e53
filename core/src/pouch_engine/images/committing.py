"""What a container has changed becomes a layer, and with its image's layers a new image (`docker commit`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pouch_hookspecs import Descriptor
from pouch_hookspecs.errors import InvalidArgument, Unsupported

from .archives import FoundImage
from .catalog import ImageRecord
from .changes import apply_changes
from .configs import CONFIG_LIMIT, LAYERS_LIMIT, parse_config, parse_json
from .content import ContentStore
from .leases import Lease
from .manifests import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, make_manifest
from .references import Reference
from .streams import produced


@dataclass(frozen=True)
class Commit:
    """What a new image is to be.

    Attributes:
        reference: its name; empty: it has only an id.
        author: for `author` of its configuration.
        message: a comment in its history.
        changes: lines of a Dockerfile, see `apply_changes`.
        config: fields of docker's `Config` object that win over those of the container.
    """

    reference: str = ""
    author: str = ""
    message: str = ""
    changes: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)


def write_commit(
    base: ImageRecord,
    wanted: Commit,
    name: Reference | None,
    settings: Mapping[str, Any],
    write_layer: Callable[[int], object] | None,
    content: ContentStore,
    lease: Lease,
) -> FoundImage:
    """Take layer, configuration and manifest into the content store.

    Args:
        base: the container's image.
        wanted: see `Commit`.
        name: its name; None: it has only an id.
        settings: the container's own: fields of docker's `Config`, in place of those of the base's.
        write_layer: writes the plain tar of what was changed to a descriptor; None: nothing was.
        content: where all of it goes.
        lease: holds it, and the base.

    Raises:
        InvalidArgument: a change is wrong.
        Unsupported: the base has as many layers as there can be.
        ResourceExhausted: the disk is full.
    """
    document = parse_json(content.read(base.id, CONFIG_LIMIT), "image configuration", CONFIG_LIMIT)
    config = {**(document.get("config") or {}), **settings, **wanted.config}
    apply_changes(config, wanted.changes)
    layers = [Descriptor(media_type=each.media_type, digest=each.digest, size=each.size) for each in base.layers]
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    step: dict[str, Any] = {"created": now, "created_by": " ".join(config.get("Cmd") or ()), "comment": wanted.message}
    step |= {"author": wanted.author} if wanted.author else {}
    diff_ids = list(base.config.diff_ids)
    if write_layer is None:
        step["empty_layer"] = True
    else:
        if len(layers) >= LAYERS_LIMIT:
            raise Unsupported(
                f"image {base.id} has {len(layers)} layers already, an image has {LAYERS_LIMIT} at most",
                hint="use `pouch export` and `pouch import`, which make one layer",
            )
        with produced(write_layer) as chunks:
            layers.append(content.ingest(chunks, media_type=OCI_LAYER, lease=lease))
        diff_ids.append(layers[-1].digest)
    document |= {
        "created": now,
        "config": {key: value for key, value in config.items() if value or value == 0},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [*(document.get("history") or ()), step],
    }
    for key, value in (("author", wanted.author), ("comment", wanted.message)):
        document.pop(key, None)
        document |= {key: value} if value else {}
    for stale in ("container", "container_config", "id", "parent"):  # docker's, of the image's own making
        document.pop(stale, None)
    data = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    if len(data) > CONFIG_LIMIT:
        raise InvalidArgument(f"the changes make a configuration of more than {CONFIG_LIMIT} bytes")
    parse_config(data)
    written = content.put(data, OCI_CONFIG, lease=lease)
    manifest = content.put(make_manifest(written, layers), OCI_MANIFEST, lease=lease)
    return FoundImage(manifest, (name,) if name else ())
