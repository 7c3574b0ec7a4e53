"""Archives of images: what `docker save`, skopeo, podman and buildx write, and OCI image layouts in a tar.

The archive is hostile. It is unpacked by a confined child into a staging directory, and its files are
only reached through that directory as their root.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from pouch_hookspecs import Descriptor
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, PouchError, ResourceExhausted
from pouch_linux.paths import Root
from pouch_linux.trees import remove_tree
from pouch_linux.unpack import Limits, UnpackError, unpack_layer

from .compression import MAGIC_BYTES, Compression, StreamLimits, decompressed, peek, recognise
from .configs import CONFIG_LIMIT, Document, fit, parse_json
from .content import BLOB_LIMIT, ContentStore
from .leases import Lease
from .manifests import (
    MANIFEST_LIMIT,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    ContentDescriptor,
    Platform,
    choose_images,
    find_manifest,
    host_platform,
    make_manifest,
    parse_index,
    parse_manifest,
)
from .references import Reference, parse_reference
from .streams import piped, read_chunks

_EXPECTED = "expected what `docker save`, `podman save` or `skopeo copy` write, or an OCI image layout, as a tar"
_ENTRIES = 20_000
_STALLED_SECONDS = 600.0
_DIGEST_NAME = re.compile(r"(?:.*/)?(?:sha256:)?([0-9a-f]{64})(?:\.json)?", re.ASCII)
_NAME_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True)
class FoundImage:
    """An image whose content is in the content store: its manifest, and the names that came with it."""

    manifest: Descriptor
    names: tuple[Reference, ...] = ()


class _SavedImage(Document):
    """An entry of `manifest.json`."""

    config: str = Field(alias="Config")
    repo_tags: tuple[str, ...] = Field(default=(), alias="RepoTags")
    layers: tuple[str, ...] = Field(default=(), alias="Layers")


class _SavedImages(Document):
    images: tuple[_SavedImage, ...]


def read_archive(
    descriptor: int, content: ContentStore, lease: Lease, staging: Path, limits: StreamLimits | None = None
) -> list[FoundImage]:
    """Take all images of an archive into the content store.

    Args:
        descriptor: a tar stream, plain or compressed; a file or a pipe. It is read to its end.
        content: where the blobs go; every one is verified.
        lease: holds them.
        staging: an existing directory on the content store's file system, for a directory of our own.
        limits: of the outer compression; None: the defaults.

    Raises:
        InvalidArgument: it is not an archive of images, or lacks a file that it names.
        DataDamaged: it is damaged, cut off or hostile, or a digest is wrong.
        ResourceExhausted: the disk or a limit.
    """
    with _unpacked(descriptor, staging, limits) as directory, Root(directory) as root:
        archive = _Archive(directory, root, content, lease)
        if root.exists("oci-layout") and root.exists("index.json"):
            return archive.read_layout()
        if root.exists("manifest.json"):
            return archive.read_saved()
    raise InvalidArgument(
        "this is not an archive of images: it has neither manifest.json nor oci-layout with index.json",
        hint=f"{_EXPECTED}; a root file system becomes an image with `pouch import`",
    )


def remove_staging(staging: Path) -> None:
    """Remove everything in a staging directory, however deep and odd it is."""
    for left in staging.iterdir():
        remove_tree(left)


class _Archive:
    def __init__(self, directory: Path, root: Root, content: ContentStore, lease: Lease) -> None:
        self._directory = directory
        self._root = root
        self._content = content
        self._lease = lease
        self._taken: dict[Path, Descriptor] = {}  # many images may name one file: it is read once

    def read_saved(self) -> list[FoundImage]:
        """manifest.json as docker writes it (moby image/tarexport; `repositories` is older and ignored)."""
        document = parse_json(self._read("manifest.json", MANIFEST_LIMIT), "manifest.json", MANIFEST_LIMIT)
        saved = fit(_SavedImages, {"images": document}, "manifest.json").images
        if not saved:
            raise InvalidArgument("the archive's manifest.json lists no image", hint=_EXPECTED)
        return [self._saved_image(image) for image in saved]

    def _saved_image(self, image: _SavedImage) -> FoundImage:
        names = tuple(parse_reference(tag) for tag in image.repo_tags)
        named = _DIGEST_NAME.fullmatch(image.config)
        config = self._adopt(image.config, OCI_CONFIG, digest=f"sha256:{named[1]}" if named else "", limit=CONFIG_LIMIT)
        layers = [self._adopt(path, self._layer_type(path)) for path in image.layers]
        manifest = self._content.put(make_manifest(config, layers), OCI_MANIFEST, lease=self._lease)
        return FoundImage(manifest, names)

    def _layer_type(self, path: str) -> str:
        with self._file(path).open("rb") as file:
            kind = recognise(file.read(MAGIC_BYTES))
        return OCI_LAYER if kind is Compression.NONE else f"{OCI_LAYER}+{kind}"

    def read_layout(self) -> list[FoundImage]:
        """index.json of an OCI image layout: one descriptor for each image, or for each variant of one."""
        index = parse_index(self._read("index.json", MANIFEST_LIMIT))
        if not index.manifests:
            raise InvalidArgument("the archive's index.json lists no image", hint=_EXPECTED)
        host = host_platform()
        return [self._layout_image(entry, host) for entry in choose_images(index.manifests, host)]

    def _layout_image(self, entry: ContentDescriptor, host: Platform) -> FoundImage:
        pointer = find_manifest(entry, self._index, host)
        manifest = self._blob(pointer, MANIFEST_LIMIT)
        content = parse_manifest(self._content.read(manifest.digest, MANIFEST_LIMIT), manifest.media_type)
        self._blob(content.config, CONFIG_LIMIT)
        for layer in content.layers:
            self._blob(layer)
        return FoundImage(manifest, _layout_names(entry))

    def _index(self, pointer: ContentDescriptor) -> bytes:
        return self._content.read(self._blob(pointer, MANIFEST_LIMIT).digest, MANIFEST_LIMIT)

    def _blob(self, pointer: ContentDescriptor, limit: int = BLOB_LIMIT) -> Descriptor:
        path = "blobs/" + pointer.digest.replace(":", "/", 1)
        return self._adopt(path, pointer.media_type, digest=pointer.digest, size=pointer.size, limit=limit)

    def _adopt(
        self, path: str, media_type: str, *, digest: str = "", size: int | None = None, limit: int = BLOB_LIMIT
    ) -> Descriptor:
        place = self._file(path)
        known = self._taken.get(place)
        if known is None or (digest and digest != known.digest):
            known = self._content.adopt(
                place, expected_digest=digest, expected_size=size, limit=limit, lease=self._lease
            )
            self._taken[place] = known
        return known.model_copy(update={"media_type": media_type})

    def _read(self, path: str, limit: int) -> bytes:
        with _named(path):
            return self._root.read(path, limit)

    def _file(self, path: str) -> Path:
        """Where a regular file of the archive is, links followed inside the staging directory only."""
        with _named(path):
            place = self._directory / self._root.resolve(path)
            if not stat.S_ISREG(place.lstat().st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            return place


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = error.strerror if isinstance(error, OSError) else error
        raise InvalidArgument(f"the archive needs a file {path[:300]!r}: {why}", hint=_EXPECTED) from error


def _layout_names(entry: ContentDescriptor) -> tuple[Reference, ...]:
    """The first annotation that is a reference; the image layout allows other texts there, too."""
    for annotation in _NAME_ANNOTATIONS:
        with suppress(InvalidArgument):
            return (parse_reference(entry.annotations.get(annotation, "")),)
    return ()


@contextmanager
def _unpacked(descriptor: int, staging: Path, limits: StreamLimits | None) -> Iterator[Path]:
    directory = staging / secrets.token_hex(16)
    directory.mkdir(mode=0o700)
    try:
        head, stream = peek(read_chunks(descriptor))
        piped(decompressed(stream, recognise(head), limits), lambda tar: _unpack(tar, directory))
        yield directory
    finally:
        remove_tree(directory)


def _unpack(tar: int, directory: Path) -> None:
    try:
        unpack_layer(tar, directory, limits=Limits(entries=_ENTRIES), deadline=_STALLED_SECONDS)
    except UnpackError as error:
        raise _contract_error(error) from error


def _contract_error(error: UnpackError) -> PouchError:
    message = f"the archive can not be unpacked: {error}"
    if error.message.startswith("more than ") or os.strerror(errno.ENOSPC) in error.message:
        return ResourceExhausted(message)
    return DataDamaged(message, hint=_EXPECTED)
