"""Layers and snapshots as the engine and a storage driver see them."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from .model import Model


class Layer(Model):
    """One layer of an image (OCI image spec, layer and config).

    Attributes:
        digest: of the blob as stored, `sha256:…`.
        diff_id: of the plain tar stream.
        chain_id: of this layer on all below it: the key under which a driver keeps it.
        media_type: of the blob.
        size: of the blob in bytes.
    """

    digest: str
    diff_id: str
    chain_id: str
    media_type: str = ""
    size: int = 0


class Snapshot(Model):
    """A container's writable root file system, prepared but not mounted.

    Attributes:
        key: the container's id.
        parent: the chain id that it stands on; empty for an empty one.
        quota_dir: the empty directory above all writable state, made before anything is in it, so that
            a project id set on it is inherited by everything; None where the driver has none.
        quota_reason: why `quota_dir` is None.
    """

    key: str
    parent: str = ""
    quota_dir: Path | None = None
    quota_reason: str = ""


class ChangeKind(StrEnum):
    """A, C and D of `docker diff`."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class Change(Model):
    """A path that differs from the snapshot's parent; absolute inside the root file system."""

    path: str
    kind: ChangeKind


class Usage(Model):
    """Disk space that belongs to one layer or snapshot alone."""

    size_bytes: int
    inodes: int


class StoredKind(StrEnum):
    """What a key of a storage driver stands for."""

    LAYER = "layer"
    SNAPSHOT = "snapshot"


class Stored(Model):
    """An entry of `storage_list`. `mounted` says that the snapshot's root is mounted now."""

    key: str
    kind: StoredKind
    parent: str = ""
    mounted: bool = False


class StorageFeatures(Model):
    """What a storage driver can do on this host.

    Attributes:
        copy_on_write: a container's root costs no copy of its image.
        quota_dir: snapshots have one.
        idmapped_mounts: it has `storage_mount_mapped`, and the kernel can do it in its directory.
        backing_filesystem: as statfs(2) tells it.
    """

    copy_on_write: bool
    quota_dir: bool = False
    idmapped_mounts: bool = False
    backing_filesystem: str = ""
