"""Layers: from a blob to a verified layer in the storage driver.

A row in the table is the commit: it is written when the blob's digest and the plain stream's were both
right. A layer in the storage without a row is nobody's, and removed at the next start.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pouch_engine.state.database import Database
from pouch_hookspecs import Layer, Usage
from pouch_hookspecs.errors import Conflict, DataDamaged, ResourceExhausted
from pouch_hookspecs.hooks import StorageHooks
from pouch_hookspecs.storage import Stored, StoredKind

from .compression import StreamLimits, decompressed, peek, recognise
from .content import ContentStore
from .leases import Leases
from .manifests import layer_compression
from .streams import piped, read_chunks

_log = logging.getLogger(__name__)
_TABLE = """
CREATE TABLE IF NOT EXISTS layers (
    storage TEXT NOT NULL,
    chain_id TEXT NOT NULL,
    parent TEXT NOT NULL,
    diff_id TEXT NOT NULL,
    size INTEGER NOT NULL,
    inodes INTEGER NOT NULL,
    PRIMARY KEY (storage, chain_id)
) WITHOUT ROWID;
"""


class LayerStore:
    """The layers of one storage handler. Usable from several threads; equal work is done once.

    Args:
        database: of the engine.
        content: where the blobs are.
        storage: the driver.
        storage_name: the handler's name: layers are known for each by itself.
        leases: what must not be removed.
        limits: against bombs; None: the defaults.
    """

    def __init__(
        self,
        database: Database,
        content: ContentStore,
        storage: StorageHooks,
        storage_name: str,
        leases: Leases,
        limits: StreamLimits | None = None,
    ) -> None:
        database.define(_TABLE)
        self._database = database
        self._content = content
        self._storage = storage
        self._name = storage_name
        self._leases = leases
        self._limits = limits
        self._locks = _KeyedLocks()

    def ensure(self, layers: Sequence[Layer]) -> int:
        """Have all layers of a chain, bottom first, unpacked and verified; return their size in bytes.

        The caller holds their blobs and chain ids by a lease.

        Raises:
            DataDamaged: a blob is missing or not what its digest says; the layer is named.
            ResourceExhausted: the disk or a limit.
        """
        parent, size = "", 0
        for layer in layers:
            with self._locks.locked(layer.chain_id):
                known = self._size(layer.chain_id)
                size += self._apply(layer, parent) if known is None else known
            parent = layer.chain_id
        return size

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each verified layer, by chain id."""
        rows = self._database.query("SELECT chain_id, size FROM layers WHERE storage = ?", (self._name,))
        return {str(chain_id): int(str(size)) for chain_id, size in rows}

    def collect(self, needed: Callable[[], set[str]]) -> list[str]:
        """Remove the layers that nobody needs: not in `needed()`, not under a lease, below no snapshot.

        Returns:
            The chain ids removed, children before parents.
        """
        stored = self._storage.storage_list()
        kept = needed() | _below_snapshots(stored)
        known = self.sizes()
        layers = [entry for entry in stored if entry.kind is StoredKind.LAYER and entry.key in known]
        return [
            entry.key for entry in _children_first(layers) if entry.key not in kept and self._discard(entry.key, needed)
        ]

    def recover(self) -> None:
        """Make table and storage agree again after a crash. Only while nothing else is at work."""
        stored = {entry.key: entry for entry in self._storage.storage_list() if entry.kind is StoredKind.LAYER}
        known = self.sizes()
        with self._database.transaction(durable=True) as rows:
            for chain_id in known.keys() - stored.keys():
                rows.execute("DELETE FROM layers WHERE storage = ? AND chain_id = ?", (self._name, chain_id))
        for entry in _children_first([stored[key] for key in stored.keys() - known.keys()]):
            try:
                self._storage.storage_remove(key=entry.key)
            except Conflict as error:
                _log.warning("layer %s is unknown and can not be removed: %s", entry.key, error)

    def _size(self, chain_id: str) -> int | None:
        rows = self._database.query(
            "SELECT size FROM layers WHERE storage = ? AND chain_id = ?", (self._name, chain_id)
        )
        return int(str(rows[0][0])) if rows else None

    def _apply(self, layer: Layer, parent: str) -> int:
        self._storage.storage_remove(key=layer.chain_id)  # one without a row was never verified
        descriptor = self._content.open(layer.digest)
        try:
            usage = self._unpack(descriptor, layer, parent)
        except BaseException:
            self._storage.storage_remove(key=layer.chain_id)
            raise
        finally:
            os.close(descriptor)
        with self._database.transaction(durable=True) as rows:
            rows.execute(
                "INSERT INTO layers (storage, chain_id, parent, diff_id, size, inodes) VALUES (?, ?, ?, ?, ?, ?)",
                (self._name, layer.chain_id, parent, layer.diff_id, usage.size_bytes, usage.inodes),
            )
        return usage.size_bytes

    def _unpack(self, descriptor: int, layer: Layer, parent: str) -> Usage:
        plain = verified(read_chunks(descriptor), layer, self._limits)
        try:
            return piped(plain, lambda tar: self._storage.storage_apply_layer(layer=layer, parent=parent, tar_fd=tar))
        except DataDamaged:
            self._content.verify(layer.digest)  # a damaged blob is the better reason, if it is one
            raise

    def _discard(self, chain_id: str, needed: Callable[[], set[str]]) -> bool:
        with self._locks.locked(chain_id):
            with self._leases.guard:
                if chain_id in self._leases.held or chain_id in needed():
                    return False
            # A lease that is taken now finds no row below, after this lock, and unpacks the layer again.
            try:
                self._storage.storage_remove(key=chain_id)
            except Conflict:
                return False
            with self._database.transaction(durable=True) as rows:
                rows.execute("DELETE FROM layers WHERE storage = ? AND chain_id = ?", (self._name, chain_id))
            return True


def verified(chunks: Iterator[bytes], layer: Layer, limits: StreamLimits | None = None) -> Iterator[bytes]:
    """Unpack a layer's blob; the end of the iterator is reached only if both digests are right.

    Raises:
        DataDamaged: compression or a digest is not what the image says; the layer is named.
        ResourceExhausted: it looks like a bomb.
    """
    blob, tar = hashlib.sha256(), hashlib.sha256()

    def read() -> Iterator[bytes]:
        for chunk in chunks:
            blob.update(chunk)
            yield chunk

    head, stream = peek(read())
    wanted, found = layer_compression(layer.media_type), recognise(head)
    if wanted is not found:
        raise DataDamaged(f"layer {layer.digest}: its type {layer.media_type!r} says {wanted}, its content is {found}")
    try:
        for piece in decompressed(stream, wanted, limits):
            tar.update(piece)
            yield piece
    except (DataDamaged, ResourceExhausted) as error:
        raise type(error)(f"layer {layer.digest}: {error.message}", hint=error.hint) from error
    _compare(layer.digest, blob.hexdigest(), "the blob")
    _compare(layer.diff_id, tar.hexdigest(), "the unpacked stream")


def _compare(wanted: str, found: str, what: str) -> None:
    if wanted != f"sha256:{found}":
        raise DataDamaged(
            f"layer {wanted} is damaged: {what} has the digest sha256:{found}", hint="load or pull the image again"
        )


def _below_snapshots(stored: Sequence[Stored]) -> set[str]:
    parents = {entry.key: entry.parent for entry in stored if entry.kind is StoredKind.LAYER}
    below: set[str] = set()
    for entry in stored:
        chain_id = entry.parent if entry.kind is StoredKind.SNAPSHOT else ""
        while chain_id and chain_id not in below:
            below.add(chain_id)
            chain_id = parents.get(chain_id, "")
    return below


def _children_first(layers: Sequence[Stored]) -> list[Stored]:
    parents = {entry.key: entry.parent for entry in layers}

    def depth(entry: Stored) -> int:
        steps, key = 0, entry.key
        while key := parents.get(key, ""):
            steps += 1
        return steps

    return sorted(layers, key=depth, reverse=True)


class _KeyedLocks:
    """One lock for each key, there as long as somebody holds it or waits."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with lock:
                yield
        finally:
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)
