"""The driver `copy`: every layer and every snapshot is a whole tree; for where overlayfs can not be.

It needs nothing but a file system with xattrs. On one with reflinks (XFS, btrfs) the copies share their
blocks, and cost little more than their inodes.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from pouch_hookspecs import (
    Change,
    Finding,
    Handler,
    IdMappings,
    Layer,
    Snapshot,
    StorageFeatures,
    Stored,
    Usage,
    hookimpl,
)
from pouch_linux import mounts
from pouch_linux.pack import copy_tree, pack_tree

from . import compare, keys
from .check import check_copies
from .failures import reported
from .layers import drain, unpack, write_all
from .mapped import bind_tree, can_map_tree
from .quota import quota_place, supports_quota
from .store import Store, make_like
from .walk import disk_usage


class CopyStorage:
    """Keeps each layer with all that is below it, and copies it for each container."""

    api: ClassVar[str] = "0.1"

    class Options(BaseModel):
        """There is nothing to configure."""

        model_config = ConfigDict(extra="forbid")

    def __init__(self, handler: Handler[Options]) -> None:
        self._store = Store(handler.data_dir)

    @hookimpl
    def check(self) -> tuple[Finding, ...]:
        """Look whether the directory can be written."""
        return (check_copies(self._store),)

    @hookimpl
    def storage_features(self) -> StorageFeatures:
        """Tell what can be done here; blocks may be shared, but nothing is promised."""
        with reported("looking at the storage directory"):
            filesystem = mounts.filesystem_type(self._store.directory)
        return StorageFeatures(
            copy_on_write=False,
            quota_dir=supports_quota(filesystem),
            idmapped_mounts=self._can_map,
            backing_filesystem=filesystem,
        )

    @cached_property
    def _can_map(self) -> bool:
        return can_map_tree(self._store)

    @hookimpl
    def storage_apply_layer(self, layer: Layer, parent: str, tar_fd: int) -> Usage:
        """Copy the parent's tree, and apply the layer to it."""
        with reported(f"making layer {layer.chain_id}"):
            with self._store.new_layer(layer.chain_id, parent) as new:
                if new is not None:
                    _copy(self._tree_of(parent), new / "tree")
                    unpack(layer, tar_fd, new / "tree")
            drain(tar_fd)
            return self._store.layer_usage(layer.chain_id)

    def _tree_of(self, chain_id: str) -> Path | None:
        return next(iter(self._store.chain(chain_id)), None)

    @hookimpl
    def storage_prepare(self, key: str, parent: str) -> Snapshot:
        """Make the directories; the copy is made by mount."""
        with reported(f"making snapshot {key}"):
            directory = self._store.new_snapshot(key, parent)
            return Snapshot(key=key, parent=parent, **quota_place(directory / "writable"))

    @hookimpl
    def storage_mount(self, key: str) -> Path:
        """Copy the parent's tree, the first time; there is nothing to mount."""
        with reported(f"copying the image of snapshot {key}"), self._store.locked(key):
            return self._filled(key)

    def _filled(self, key: str) -> Path:
        writable = self._store.snapshot(key) / "writable"
        if not (writable / "tree").exists():
            self._store.trash.put(writable / "partial")  # of a copy that was interrupted
            _copy(self._tree_of(self._store.snapshot_parent(key)), writable / "partial")
            os.rename(writable / "partial", writable / "tree")
        return writable / "tree"

    @hookimpl
    def storage_mount_mapped(self, key: str, id_mappings: IdMappings) -> Path:
        """Copy the parent's tree, the first time, and mount it with mapped owners."""
        with reported(f"mounting snapshot {key} with mapped owners"), self._store.locked(key):
            tree, root = self._filled(key), self._store.snapshot(key) / "root"
            if not mounts.is_mount_point(root):
                bind_tree(tree, root, id_mappings)
            return root

    @hookimpl
    def storage_unmount(self, key: str) -> None:
        """Unmount what others have mounted in it."""
        with reported(f"unmounting snapshot {key}"), self._store.locked(key):
            mounts.unmount_tree(self._store.place(key))

    @hookimpl
    def storage_diff(self, key: str) -> tuple[Change, ...]:
        """Compare with the parent."""
        with reported(f"reading the changes of snapshot {key}"):
            tree = self._store.snapshot(key) / "writable" / "tree"
            if not tree.exists():
                return ()
            return compare.as_changes(compare.changes(tree, self._tree_of(self._store.snapshot_parent(key))))

    @hookimpl
    def storage_commit(self, key: str, tar_fd: int) -> None:
        """Lay out what differs from the parent, and pack it."""
        with reported(f"writing the changes of snapshot {key}"), self._store.scratch() as stage:
            tree = self._store.snapshot(key) / "writable" / "tree"
            if tree.exists():
                found = compare.changes(tree, self._tree_of(self._store.snapshot_parent(key)))
                compare.stage_layer(tree, found, stage)
                write_all(tar_fd, compare.whiteouts(found))
            pack_tree(stage, tar_fd)

    @hookimpl
    def storage_usage(self, key: str) -> Usage:
        """Tell the size of the whole tree; blocks shared by reflinks count in each."""
        with reported(f"measuring {key}"):
            if keys.is_chain_id(key):
                return self._store.layer_usage(key)
            size, inodes = disk_usage(self._store.snapshot(key) / "writable")
            return Usage(size_bytes=size, inodes=inodes)

    @hookimpl
    def storage_remove(self, key: str) -> None:
        """Move into the trash, delete there."""
        with reported(f"removing {key}"):
            self._store.remove(key)

    @hookimpl
    def storage_list(self) -> tuple[Stored, ...]:
        """List the directories; no snapshot is ever mounted."""
        with reported("listing layers and snapshots"):
            return self._store.entries()


def _copy(source: Path | None, target: Path) -> None:
    if source is None:
        make_like(target, None)
        return
    target.mkdir()
    copy_tree(source, "/", target)
