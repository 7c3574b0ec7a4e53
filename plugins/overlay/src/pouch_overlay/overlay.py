"""The driver `overlay`: layers and a writable directory, stacked by the kernel's overlayfs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
from pouch_hookspecs.errors import Unsupported
from pouch_linux import mounts
from pouch_linux.pack import pack_tree
from pouch_linux.trees import remove_tree

from . import keys, upper
from .check import check_overlayfs
from .failures import reported
from .layers import drain, unpack
from .mapped import can_map_overlay, mount_mapped_overlay
from .quota import quota_place, supports_quota
from .store import Store, make_like
from .walk import disk_usage

_PARAMETERS = Path("/sys/module/overlay/parameters")
# Off, whatever the kernel's or the distribution's default is:
#   index         ties an upper to its lower directories by file handles: a restored or moved root would
#                 not mount (ESTALE), and nfs_export, which needs it, is nothing for containers;
#   metacopy      upper files without their data: `diff`, `commit` and a layer's files need it there;
#   redirect_dir  renamed directories as references: a layer must not depend on what is below it.
# `volatile` is not used: data of a container survives a crash of the host.
_SWITCHES = ("index", "metacopy", "redirect_dir")

# As docker has it; the page of mount options takes so many descriptors, whatever their numbers are.
_MOST_LAYERS = 128


class OverlayStorage:
    """Keeps each layer once, and mounts a container's root from them without a copy."""

    api: ClassVar[str] = "0.1"

    class Options(BaseModel):
        """There is nothing to configure."""

        model_config = ConfigDict(extra="forbid")

    def __init__(self, handler: Handler[Options]) -> None:
        self._store = Store(handler.data_dir)

    @hookimpl
    def check(self) -> tuple[Finding, ...]:
        """Mount an overlay for trial, and look whether it works."""
        return (check_overlayfs(self._store, mount_options()),)

    @hookimpl
    def storage_features(self) -> StorageFeatures:
        """Tell what overlayfs can do here."""
        with reported("looking at the storage directory"):
            filesystem = mounts.filesystem_type(self._store.directory)
        return StorageFeatures(
            copy_on_write=True,
            quota_dir=supports_quota(filesystem),
            idmapped_mounts=self._can_map,
            backing_filesystem=filesystem,
        )

    @cached_property
    def _can_map(self) -> bool:
        return can_map_overlay(self._store, mount_options())

    @hookimpl
    def storage_apply_layer(self, layer: Layer, parent: str, tar_fd: int) -> Usage:
        """Unpack into the upper directory of an overlay of the chain below."""
        with reported(f"making layer {layer.chain_id}"):
            with self._store.new_layer(layer.chain_id, parent) as new:
                if new is not None:
                    self._fill(new, layer, self._store.chain(parent), tar_fd)
            drain(tar_fd)
            return self._store.layer_usage(layer.chain_id)

    def _fill(self, new: Path, layer: Layer, below: list[Path], tar_fd: int) -> None:
        if len(below) >= _MOST_LAYERS:
            raise Unsupported(
                f"layer {layer.chain_id} has {len(below)} layers below it, overlayfs takes {_MOST_LAYERS} in all",
                hint='squash the image, or choose the storage driver "copy"',
            )
        make_like(new / "tree", below[0] if below else None)
        (new / "work").mkdir()
        unpack(layer, tar_fd, new / "tree", lower=below, work=new / "work" if below else None)
        remove_tree(new / "work")

    @hookimpl
    def storage_prepare(self, key: str, parent: str) -> Snapshot:
        """Make the directories."""
        with reported(f"making snapshot {key}"):
            directory = self._store.new_snapshot(key, parent)
            return Snapshot(key=key, parent=parent, **quota_place(directory / "writable"))

    @hookimpl
    def storage_mount(self, key: str) -> Path:
        """Mount the overlay."""
        with reported(f"mounting snapshot {key}"), self._store.locked(key):
            directory = self._store.snapshot(key)
            root = directory / "root"
            if not mounts.is_mount_point(root):
                below = self._store.chain(self._store.snapshot_parent(key))
                self._mount(root, directory / "writable", below)
            return root

    @hookimpl
    def storage_mount_mapped(self, key: str, id_mappings: IdMappings) -> Path:
        """Mount the overlay of mapped layers."""
        with reported(f"mounting snapshot {key} with mapped owners"), self._store.locked(key):
            directory = self._store.snapshot(key)
            root = directory / "root"
            if not mounts.is_mount_point(root):
                below = self._store.chain(self._store.snapshot_parent(key))
                _prepare(directory / "writable", below)
                with self._store.scratch() as scratch:
                    writable = directory / "writable"
                    mount_mapped_overlay(root, below, writable, scratch, id_mappings, mount_options())
            return root

    def _mount(self, root: Path, writable: Path, below: list[Path]) -> None:
        _prepare(writable, below)
        # The kernel wants a lower directory: for an empty snapshot the mount point, which is empty.
        mounts.mount_overlay(
            root, lower=below or [root], upper=writable / "upper", work=writable / "work", options=mount_options()
        )

    @hookimpl
    def storage_unmount(self, key: str) -> None:
        """Unmount the overlay, with whatever is mounted in it."""
        with reported(f"unmounting snapshot {key}"), self._store.locked(key):
            root = self._store.place(key) / "root"
            while mounts.unmount(root):
                pass

    @hookimpl
    def storage_diff(self, key: str) -> tuple[Change, ...]:
        """Read the upper directory."""
        with (
            reported(f"reading the changes of snapshot {key}"),
            self._upper(key) as top,
            self._merged(self._store.snapshot_parent(key)) as parent,
        ):
            return tuple(sorted(upper.changes(top, parent), key=lambda change: change.path))

    @contextmanager
    def _merged(self, chain_id: str) -> Iterator[Path]:
        """Give a chain as one read-only tree."""
        below = self._store.chain(chain_id)
        if len(below) == 1:
            yield below[0]
            return
        with self._store.scratch() as scratch:
            if below:
                mounts.mount_overlay(scratch, lower=below, options=mount_options())
            yield scratch

    @contextmanager
    def _upper(self, key: str) -> Iterator[Path]:
        """Give a snapshot's upper directory; an empty one where it was never mounted."""
        top = self._store.snapshot(key) / "writable" / "upper"
        if top.exists():
            yield top
            return
        with self._store.scratch() as scratch:
            yield scratch

    @hookimpl
    def storage_commit(self, key: str, tar_fd: int) -> None:
        """Pack the upper directory."""
        with reported(f"writing the changes of snapshot {key}"), self._upper(key) as top:
            pack_tree(top, tar_fd, overlay_upper=True)

    @hookimpl
    def storage_usage(self, key: str) -> Usage:
        """Give what was measured when a layer was made; measure a snapshot's upper directory now."""
        with reported(f"measuring {key}"):
            if keys.is_chain_id(key):
                return self._store.layer_usage(key)
            with self._upper(key) as top:
                size, inodes = disk_usage(top)
                return Usage(size_bytes=size, inodes=inodes)

    @hookimpl
    def storage_remove(self, key: str) -> None:
        """Unmount, move into the trash, delete there."""
        with reported(f"removing {key}"):
            self._store.remove(key)

    @hookimpl
    def storage_list(self) -> tuple[Stored, ...]:
        """List the directories."""
        with reported("listing layers and snapshots"):
            return self._store.entries()


def _prepare(writable: Path, below: list[Path]) -> None:
    """Make what the first mount needs."""
    if not (writable / "work").exists():  # made last: with it, the upper directory is as it should be
        make_like(writable / "upper", below[0] if below else None)
        (writable / "work").mkdir()


def mount_options() -> list[str]:
    """Give the options of every mount; a kernel that does not know a switch has it off."""
    return [f"{name}=off" for name in _SWITCHES if (_PARAMETERS / name).exists()]
