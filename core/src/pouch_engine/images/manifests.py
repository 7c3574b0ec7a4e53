"""Manifests and indexes of OCI and docker, and which variant of an image this host takes."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from pouch_hookspecs import Descriptor
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, Unsupported

from . import digests
from .compression import Compression
from .configs import LAYERS_LIMIT, Document, fit, parse_json

MANIFEST_LIMIT = 4 << 20
INDEX_DEPTH = 4

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

MANIFESTS = frozenset((OCI_MANIFEST, DOCKER_MANIFEST))
INDEXES = frozenset((OCI_INDEX, DOCKER_INDEX))
CONFIGS = frozenset((OCI_CONFIG, DOCKER_CONFIG))
_LAYERS = {
    OCI_LAYER: Compression.NONE,
    f"{OCI_LAYER}+gzip": Compression.GZIP,
    f"{OCI_LAYER}+zstd": Compression.ZSTD,
    "application/vnd.oci.image.layer.nondistributable.v1.tar": Compression.NONE,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip": Compression.GZIP,
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd": Compression.ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": Compression.NONE,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": Compression.GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": Compression.ZSTD,
    "application/vnd.docker.image.rootfs.foreign.diff.tar": Compression.NONE,
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": Compression.GZIP,
}
_MACHINES = {
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "i686": ("386", ""),
}


class _Camel(Document):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Platform(_Camel):
    """What an image's variant runs on."""

    os: str = ""
    architecture: str = ""
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)

    def runs_on(self, host: Platform) -> bool:
        """Tell whether `host` takes it; a variant counts where both name one."""
        if (self.os, self.architecture) != (host.os, host.architecture):
            return False
        return not self.variant or not host.variant or self.variant == host.variant


class ContentDescriptor(_Camel):
    """A pointer to content, as manifests and indexes hold them."""

    media_type: str
    digest: str
    size: int = Field(ge=0)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    platform: Platform | None = None


class Manifest(_Camel):
    """An image: its configuration and its layers, bottom first."""

    schema_version: int
    media_type: str = ""
    config: ContentDescriptor
    layers: tuple[ContentDescriptor, ...]
    annotations: Mapping[str, str] = Field(default_factory=dict)


class Index(_Camel):
    """A list of images or of variants of one; also docker's manifest list."""

    schema_version: int
    media_type: str = ""
    manifests: tuple[ContentDescriptor, ...]
    annotations: Mapping[str, str] = Field(default_factory=dict)


def host_platform() -> Platform:
    """Return what this host runs."""
    machine = platform.machine()
    architecture, variant = _MACHINES.get(machine, (machine, ""))
    return Platform(os="linux", architecture=architecture, variant=variant)


def parse_manifest(data: bytes, media_type: str) -> Manifest:
    """Read an image manifest.

    Args:
        data: verified bytes.
        media_type: what the pointer to it says; content of another kind is refused (CVE-2021-41190).

    Raises:
        DataDamaged: it is malformed, too large, or no manifest.
        Unsupported: a media type that is not an image's; it is named.
    """
    manifest = fit(Manifest, _object(data, media_type, "image manifest", MANIFESTS, ("manifests",)), "image manifest")
    _check_version(manifest.schema_version, "image manifest")
    if manifest.config.media_type not in CONFIGS:
        raise Unsupported(f"the manifest is not of an image: its config has the type {manifest.config.media_type!r}")
    if len(manifest.layers) > LAYERS_LIMIT:
        raise DataDamaged(f"image manifest: {len(manifest.layers)} layers are more than the limit of {LAYERS_LIMIT}")
    for descriptor in (manifest.config, *manifest.layers):
        digests.hex_of(descriptor.digest)
    for layer in manifest.layers:
        layer_compression(layer.media_type)
    return manifest


def parse_index(data: bytes, media_type: str = OCI_INDEX) -> Index:
    """Read an index or manifest list; as `parse_manifest`."""
    index = fit(Index, _object(data, media_type, "image index", INDEXES, ("layers", "config")), "image index")
    _check_version(index.schema_version, "image index")
    for descriptor in index.manifests:
        digests.hex_of(descriptor.digest)
    return index


def layer_compression(media_type: str) -> Compression:
    """Tell how a layer of this media type is compressed.

    Raises:
        Unsupported: it is not a layer's.
    """
    if media_type not in _LAYERS:
        raise Unsupported(f"layers of the type {media_type[:200]!r} are not supported; tar, tar+gzip and tar+zstd are")
    return _LAYERS[media_type]


def make_manifest(config: Descriptor, layers: Sequence[Descriptor]) -> bytes:
    """Write the OCI manifest for content that came without one; the same content gives the same bytes."""

    def pointer(descriptor: Descriptor) -> dict[str, Any]:
        return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}

    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": pointer(config),
        "layers": [pointer(layer) for layer in layers],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def find_manifest(
    descriptor: ContentDescriptor, read: Callable[[ContentDescriptor], bytes], host: Platform
) -> ContentDescriptor:
    """Follow indexes from a descriptor to the manifest that this host takes.

    Args:
        descriptor: of a manifest or an index.
        read: gives the verified content of an index.
        host: the platform wanted.

    Raises:
        InvalidArgument: no variant runs here; those that there are get listed.
        DataDamaged: an index is malformed, or they are nested too deep or in a circle.
        Unsupported: a media type that is neither a manifest's nor an index's.
    """
    visited: set[str] = set()
    while descriptor.media_type in INDEXES:
        if descriptor.digest in visited or len(visited) == INDEX_DEPTH:
            raise DataDamaged(
                f"image indexes are nested deeper than {INDEX_DEPTH}, or in a circle, at {descriptor.digest}"
            )
        visited.add(descriptor.digest)
        descriptor = _choose(parse_index(read(descriptor), descriptor.media_type).manifests, host)
    if descriptor.media_type not in MANIFESTS:
        raise Unsupported(f"content of the type {descriptor.media_type[:200]!r} is not an image")
    return descriptor


def choose_images(entries: Sequence[ContentDescriptor], host: Platform) -> list[ContentDescriptor]:
    """Return those of an image layout's entries that this host takes; a single one whatever it is for.

    Raises:
        InvalidArgument: there are several, and none is for this host.
    """
    mine = [entry for entry in entries if entry.platform is None or entry.platform.runs_on(host)]
    if mine or len(entries) == 1:
        return mine or list(entries)
    raise _no_variant(entries, host)


def _choose(variants: Sequence[ContentDescriptor], host: Platform) -> ContentDescriptor:
    images = [variant for variant in variants if variant.media_type in MANIFESTS | INDEXES]
    for variant in images:
        if variant.platform is None or variant.platform.runs_on(host):
            return variant
    raise _no_variant(images, host)


def _no_variant(variants: Sequence[ContentDescriptor], host: Platform) -> InvalidArgument:
    listed = ", ".join(str(variant.platform)[:80] for variant in variants[:20]) or "none"
    return InvalidArgument(f"there is no image for {host}; there is: {listed}")


def _object(data: bytes, media_type: str, what: str, allowed: frozenset[str], foreign: tuple[str, ...]) -> Any:
    if media_type not in allowed:
        raise Unsupported(
            f"{what}: the type {media_type[:200]!r} is not supported; expected {' or '.join(sorted(allowed))}"
        )
    value = parse_json(data, what, MANIFEST_LIMIT)
    if not isinstance(value, dict):
        raise DataDamaged(f"{what} is not a JSON object")
    said = value.get("mediaType")
    if said not in (None, "", media_type):
        raise DataDamaged(f"{what}: it says to be {str(said)[:200]!r}, but was offered as {media_type!r}")
    for name in foreign:
        if name in value:
            raise DataDamaged(f"{what}: it has a field {name!r}, which belongs to another kind of document")
    return value


def _check_version(version: int, what: str) -> None:
    if version != 2:
        raise Unsupported(f"{what}: schema version {version} is not supported, only 2 is")
