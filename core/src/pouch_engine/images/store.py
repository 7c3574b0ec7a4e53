"""The image store: the door of this room. Looks images up, adds, names and removes them, and keeps
content, layers and catalog in step.
"""

from __future__ import annotations

import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pouch_engine.state.database import Database
from pouch_hookspecs import Descriptor, Image, Layer
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, NotFound, PouchError, Unsupported
from pouch_hookspecs.hooks import StorageHooks

from . import archives, digests, filters
from .catalog import Catalog, ImageRecord
from .committing import Commit, write_commit
from .compression import StreamLimits
from .configs import CONFIG_LIMIT, ImageConfig, parse_config
from .content import ContentStore
from .importing import read_rootfs
from .layers import LayerStore
from .leases import Lease, Leases
from .manifests import MANIFEST_LIMIT, Manifest, parse_manifest
from .references import Reference, parse_reference
from .removal import InUse, Plan, Removed, plan_removal

_log = logging.getLogger(__name__)
_SHORT_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})", re.ASCII)
_CANDIDATES = 10

Emit = Callable[[str, str, Mapping[str, str]], None]
Judge = Callable[[Image, Descriptor], None]
"""Takes an event: action, image id, attributes."""


@dataclass(frozen=True)
class AddedImage:
    """An image that was loaded or imported, with the names that it got, in full."""

    id: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class HistoryEntry:
    """A line of `docker history`, newest first.

    Attributes:
        id: the image's id on the first line, else empty (docker shows `<missing>`).
        created: when the step was done.
        created_by: the command.
        size: of its layer, unpacked, in bytes; 0 for a step without one.
        comment: of whoever built it.
        names: of the image, on the first line, in familiar form.
    """

    id: str
    created: datetime | None
    created_by: str
    size: int
    comment: str
    names: tuple[str, ...] = ()


class ImageStore:
    """All images of an engine. Usable from several threads.

    Args:
        database: of the engine; this room's tables are made in it.
        directory: for content; made with mode 0700. It belongs to one process.
        storage: the driver that keeps the layers.
        storage_name: the name of its handler.
        emit: is told of load, import, tag, untag, delete, after they are durable.
        judge: is asked before an image gets its names, with its verified manifest; raises to refuse it.
        limits: of decompression; None: the defaults.
    """

    def __init__(
        self,
        database: Database,
        directory: Path,
        storage: StorageHooks,
        *,
        storage_name: str = "overlay",
        emit: Emit = lambda action, image, attributes: None,
        judge: Judge = lambda image, manifest: None,
        limits: StreamLimits | None = None,
    ) -> None:
        self._database = database
        self._content = ContentStore(directory)
        self._staging = directory / "staging"
        self._staging.mkdir(mode=0o700, exist_ok=True)
        self._catalog = Catalog(database, self._content)
        self._leases = Leases()
        self._layers = LayerStore(database, self._content, storage, storage_name, self._leases, limits)
        self._limits = limits
        self._emit = emit
        self._judge = judge

    def recover(self) -> None:
        """Remove what a crash left. At the daemon's start, before anything else uses the store."""
        archives.remove_staging(self._staging)
        self._content.recover()
        self._layers.recover()
        self.collect()

    def resolve(self, text: str) -> ImageRecord:
        """Find an image by name, `name@digest`, id, prefix of an id, or digest of a manifest.

        A name without a tag means `latest`. A name wins over a prefix, an id over a name.

        Raises:
            NotFound: there is none.
            InvalidArgument: it is neither a name nor an id, or the prefix of several: these are listed.
        """
        return self._find(text)[0]

    def known(self, image: str) -> bool:
        """Tell whether there is an image of this whole id."""
        return self._catalog.by_id(image) is not None

    @contextmanager
    def lease(self, image: ImageRecord) -> Iterator[None]:
        """Keep an image's layers and content from being collected, from its lookup to the snapshot on it.

        Raises:
            NotFound: it was removed since it was looked up.
        """
        with self._leases.lease() as lease:
            layers = image.layers
            lease.hold((image.id, *image.digests))
            lease.hold(digest for layer in layers for digest in (layer.digest, layer.chain_id))
            if self._catalog.by_id(image.id) is None:
                raise _not_found(image.id)
            yield

    def ensure_unpacked(self, image: ImageRecord) -> None:
        """Have an image's layers in the storage, verified; free if they are.

        Hold a `lease` from before it until a snapshot stands on them.

        Raises:
            DataDamaged: a blob is missing or damaged; the layer is named.
            ResourceExhausted: the disk or a limit.
        """
        with self.lease(image):
            self._layers.ensure(image.layers)

    def load(self, descriptor: int) -> list[AddedImage]:
        """Add all images of an archive: docker's form or an OCI image layout, plain or compressed.

        Args:
            descriptor: a file or a pipe, read to its end. Who feeds a pipe closes it when the client goes.

        Raises:
            InvalidArgument: it is not an archive of images.
            DataDamaged: it is damaged, cut off, hostile, or a digest is wrong; nothing stays of it.
            ResourceExhausted: the disk or a limit.
        """
        with self._adding() as lease:
            found = archives.read_archive(descriptor, self._content, lease, self._staging, self._limits)
            return self._add(found, lease, "load")

    def import_rootfs(
        self, descriptor: int, reference: str | None, *, changes: Sequence[str] = (), message: str = ""
    ) -> AddedImage:
        """Make an image of one layer from a root file system's tar, plain or compressed.

        Args:
            descriptor: as for `load`.
            reference: its name; None: it has only an id.
            changes: lines of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR.
            message: a comment in its history.

        Raises:
            InvalidArgument: name or change is wrong, or the stream is empty.
            DataDamaged: the archive is damaged or hostile; nothing stays of it.
            ResourceExhausted: the disk or a limit.
        """
        name = _parse_target(reference) if reference else None
        with self._adding() as lease:
            found = read_rootfs(
                descriptor, name, self._content, lease, changes=changes, message=message, limits=self._limits
            )
            return self._add([found], lease, "import")[0]

    def commit(
        self,
        base: str,
        wanted: Commit,
        settings: Mapping[str, Any],
        write_layer: Callable[[int], object] | None,
    ) -> AddedImage:
        """Make an image of another one and a further layer.

        Args:
            base: the whole id of the image below.
            wanted: see `Commit`.
            settings: fields of docker's `Config` object, in place of those of the base's.
            write_layer: writes the layer's plain tar to a descriptor; None: there is none.

        Raises:
            NotFound: there is no such image.
            InvalidArgument: name or change is wrong.
            ResourceExhausted: the disk or a limit.
        """
        name = _parse_target(wanted.reference) if wanted.reference else None
        below = self.resolve(base)
        with self.lease(below), self._adding() as lease:
            found = write_commit(below, wanted, name, settings, write_layer, self._content, lease)
            return self._add([found], lease, "create")[0]

    def images(self, filters_: Mapping[str, Sequence[str]] | None = None) -> list[ImageRecord]:
        """List images, newest first; for the filters see `filters.select`."""
        found = filters.select(self._catalog.records(), filters_ or {}, self.resolve)
        return sorted(found, key=lambda image: (filters.created(image), image.id), reverse=True)

    def tag(self, source: str, target: str) -> None:
        """Give an image a further name; another image that has it loses it.

        Raises:
            NotFound: there is no image `source`.
            InvalidArgument: `target` is not a name with an optional tag.
        """
        name = _parse_target(target)
        image = self.resolve(source)
        try:
            with self._database.transaction(durable=True) as rows:
                self._catalog.put_name(rows, name, image.id, image.digests[0])
        except sqlite3.IntegrityError:  # it was removed meanwhile
            raise _not_found(source) from None
        self._emit("tag", image.id, {"name": name.familiar()})

    def remove(self, text: str, *, force: bool = False, in_use: InUse = lambda image: ()) -> list[Removed]:
        """Take away a name, and the image with its last one, as docker does.

        Args:
            text: as for `resolve`. By id, all of its names (with `force` if there are several).
            force: also the image of a stopped container.
            in_use: tells which containers were made from an image, by its id.

        Raises:
            NotFound: there is no such image.
            Conflict: a container uses it, or it has several names; they are named. Nothing was changed.
        """
        while True:
            image, name = self._find(text)
            chain = {layer.chain_id for layer in image.layers}
            plan = plan_removal(image, name, force, in_use)
            if self._carry_out(plan, image):
                break
        done = [Removed(untagged=parse_reference(untagged).familiar()) for untagged in plan.untag]
        for line in done:
            self._emit("untag", image.id, {"name": line.untagged})
        if plan.delete:
            self._emit("delete", image.id, {"name": image.id})
            done.append(Removed(deleted=image.id))
            done += [Removed(deleted=chain_id) for chain_id in self._tidy() if chain_id in chain]
        return done

    def _carry_out(self, plan: Plan, image: ImageRecord) -> bool:
        """False, and nothing done, if the image's names have changed since the plan was made."""
        with self._database.transaction(durable=True) as rows:
            if self._catalog.names(rows, image.id) != image.names:
                return False
            for untagged in plan.untag:
                self._catalog.remove_name(rows, untagged)
            if plan.delete:
                self._catalog.remove(rows, image.id)
        return True

    def layers_bytes(self) -> int:
        """The size of all layers that are here, unpacked, each counted once."""
        return sum(self._layers.sizes().values())

    def collect(self) -> list[str]:
        """Remove blobs and layers that no image, no snapshot and no lease needs any more.

        Returns:
            The chain ids of the layers removed, children before parents.
        """
        with self._leases.guard:
            for digest in set(self._content.digests()) - self._catalog.blobs() - self._leases.held.keys():
                self._content.remove(digest)
        return self._layers.collect(self._catalog.chains)

    def _tidy(self) -> list[str]:
        """Collect after something else has succeeded or failed; that counts, and garbage can wait."""
        try:
            return self.collect()
        except (PouchError, OSError):
            _log.exception("unneeded image content could not be removed; the next time will try again")
            return []

    def history(self, text: str) -> list[HistoryEntry]:
        """Tell how an image came to be, newest step first.

        Raises:
            NotFound: there is no such image.
            DataDamaged: its configuration is damaged.
        """
        image = self.resolve(text)
        known = self._layers.sizes()
        sizes = [known.get(layer.chain_id, 0) for layer in image.layers]
        entries: list[HistoryEntry] = []
        for step in image.config.history:
            size = 0 if step.empty_layer or not sizes else sizes.pop(0)
            entries.insert(0, HistoryEntry("", step.created, step.created_by, size, step.comment))
        if entries:
            first = entries[0]
            entries[0] = HistoryEntry(
                image.id, first.created, first.created_by, first.size, first.comment, image.repo_tags
            )
        return entries

    def _find(self, text: str) -> tuple[ImageRecord, str]:
        """The image, and its full name if it was found by one."""
        by_id = _SHORT_ID.fullmatch(text)
        if digests.is_hexadecimal(text) or digests.is_digest(text):
            digest = text if digests.is_digest(text) else f"sha256:{text}"
            found = self._catalog.by_id(digest) or self._catalog.by_manifest(digest)
            if found is None:
                raise _not_found(text)
            return found, ""
        try:
            name = parse_reference(text)
        except InvalidArgument:
            if by_id is None:
                raise
        else:
            found = self._catalog.by_name(name)
            if found is not None:
                return found, name.full() if name.full() in found.names else ""
        if by_id is None:
            raise _not_found(text)
        return self._by_prefix(by_id[1], text), ""

    def _by_prefix(self, prefix: str, text: str) -> ImageRecord:
        found = self._catalog.by_prefix(prefix)
        if not found:
            raise _not_found(text)
        if len(found) > 1:
            listed = ", ".join(
                f"{image.id.removeprefix('sha256:')[:16]} ({', '.join(image.repo_tags) or 'no name'})"
                for image in found[:_CANDIDATES]
            )
            raise InvalidArgument(f"the id {text!r} is ambiguous, it begins {len(found)} images: {listed}")
        return found[0]

    @contextmanager
    def _adding(self) -> Iterator[Lease]:
        """A lease; what a failure leaves behind it is collected."""
        try:
            with self._leases.lease() as lease:
                yield lease
        except BaseException:
            self._tidy()
            raise

    def _add(self, found: Sequence[archives.FoundImage], lease: Lease, action: str) -> list[AddedImage]:
        """From verified content to images that can be used: layers first, then all in one transaction."""
        ready = [self._prepare(image, lease) for image in found]
        for image in ready:
            self._judge(image.to_model(), image.manifest)
        with self._database.transaction(durable=True) as rows:
            for image in ready:
                self._catalog.put(rows, image.id, image.config, image.manifest, image.layers, image.size)
                for name in image.names:
                    self._catalog.put_name(rows, name, image.id, image.manifest.digest)
        for image in ready:
            self._emit(action, image.id, {"name": image.names[0].familiar() if image.names else image.id})
        return [AddedImage(image.id, tuple(name.full() for name in image.names)) for image in ready]

    def _prepare(self, found: archives.FoundImage, lease: Lease) -> _Prepared:
        data = self._content.read(found.manifest.digest, MANIFEST_LIMIT)
        manifest = parse_manifest(data, found.manifest.media_type)
        image = manifest.config.digest
        config = parse_config(self._content.read(image, CONFIG_LIMIT))
        if config.os not in ("", "linux"):
            raise Unsupported(f"image {image} is for {config.os[:80]!r}; only linux runs here")
        layers = _layers_of(manifest, config)
        lease.hold(layer.chain_id for layer in layers)
        return _Prepared(image, config, found.manifest, found.names, layers, self._layers.ensure(layers))


@dataclass(frozen=True)
class _Prepared:
    id: str
    config: ImageConfig
    manifest: Descriptor
    names: tuple[Reference, ...]
    layers: tuple[Layer, ...]
    size: int

    def to_model(self) -> Image:
        return Image(
            id=self.id,
            names=tuple(name.full() for name in self.names),
            digests=(self.manifest.digest,),
            labels=self.config.config.labels,
            size_bytes=self.size,
            created=self.config.created,
            os=self.config.os,
            architecture=self.config.architecture,
        )


def _layers_of(manifest: Manifest, config: ImageConfig) -> tuple[Layer, ...]:
    if len(manifest.layers) != len(config.diff_ids):
        raise DataDamaged(
            f"image {manifest.config.digest}: its manifest has {len(manifest.layers)} layers, "
            f"its configuration {len(config.diff_ids)}"
        )
    return tuple(
        Layer(
            digest=pointer.digest,
            diff_id=diff_id,
            chain_id=chain_id,
            media_type=pointer.media_type,
            size=pointer.size,
        )
        for pointer, diff_id, chain_id in zip(
            manifest.layers, config.diff_ids, digests.chain_ids(config.diff_ids), strict=True
        )
    )


def _parse_target(text: str) -> Reference:
    name = parse_reference(text)
    if name.digest:
        raise InvalidArgument(f"invalid name {text[:300]!r}: a name that is given has a tag, not a digest")
    if name.familiar_repository() == "sha256":
        raise InvalidArgument(f"invalid name {text[:300]!r}: sha256:… means a digest")
    return name


def _not_found(text: str) -> NotFound:
    return NotFound(f"no such image: {text[:300]}", hint="`pouch images` lists the images that are here")
