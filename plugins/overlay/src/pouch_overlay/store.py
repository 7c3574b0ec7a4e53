"""Layers and snapshots as directories: what both drivers have in common.

    layers/<sha256-…>/     tree/        the layer's files (overlay: its own; copy: those of the whole chain)
                           parent       a link to the layer below; none at the bottom
                           usage.json   its own disk space
    snapshots/<key>/       writable/    all that the container writes; empty after prepare: the quota_dir
                           root/        the mount point
                           parent       a link to the layer that it stands on; none for an empty one
    tmp/                   what is being made; renamed into place when it is whole
    trash/                 what is being deleted

A directory below `layers` or `snapshots` is whole, always. The parent is a link because a link is
metadata: it is in the file system's journal with the directory, and needs no fsync.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pouch_hookspecs import Stored, StoredKind, Usage
from pouch_hookspecs.errors import Conflict, DataDamaged, NotFound
from pouch_linux import mounts
from pouch_linux.trash import Trash

from . import durable, keys
from .locks import KeyLocks
from .walk import disk_usage, image_xattrs


class Store:
    """The directories of one handler, for the threads of one process: the engine holds a lock on its root."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trash = Trash(directory / "trash")
        self._layers = directory / "layers"
        self._snapshots = directory / "snapshots"
        self._tmp = directory / "tmp"
        self._busy = KeyLocks()
        self._structure = threading.Lock()  # who stands on whom
        self._awaited: Counter[str] = Counter()  # layers that one in the making stands on
        self._opened = False

    # Layers

    @contextmanager
    def new_layer(self, chain_id: str, parent: str) -> Iterator[Path | None]:
        """Make a layer: gives a directory to make `tree` in, on leaving it is durable and in place.

        Gives None where the layer is there already; a second thread waits until the first has made it.

        Raises:
            NotFound: there is no such parent.
        """
        name = keys.layer_name(chain_id)
        self._open()
        with self._busy.hold(name), self._standing_on(parent):
            if (self._layers / name).exists():
                yield None
                return
            with self.scratch() as new:
                self._link_parent(new, parent)
                yield new
                size, inodes = disk_usage(new / "tree")
                record = {"version": 1, "size_bytes": size, "inodes": inodes}
                (new / "usage.json").write_text(json.dumps(record))
                durable.sync_filesystem(new)
                os.rename(new, self._layers / name)
                durable.sync_directory(self._layers)

    @contextmanager
    def _standing_on(self, parent: str) -> Iterator[None]:
        with self._structure:
            self.chain(parent)
            self._awaited[parent] += 1
        try:
            yield
        finally:
            with self._structure:
                self._awaited -= Counter((parent,))

    def chain(self, chain_id: str) -> list[Path]:
        """Give the trees of a chain from the top down; empty for "".

        Raises:
            NotFound: there is no such layer.
            DataDamaged: one below it is missing.
        """
        trees: list[Path] = []
        while chain_id:
            layer = self._layers / keys.layer_name(chain_id)
            if not layer.exists():
                if trees:
                    raise DataDamaged(f"layer {chain_id} is missing below another", hint="pull the image again")
                raise NotFound(f"there is no layer {chain_id}")
            trees.append(layer / "tree")
            chain_id = self._parent(layer)
        return trees

    def layer_usage(self, chain_id: str) -> Usage:
        """Tell the space that was measured when the layer was made.

        Raises:
            NotFound: there is no such layer.
        """
        try:
            record = json.loads((self._layers / keys.layer_name(chain_id) / "usage.json").read_text())
        except FileNotFoundError as error:
            raise NotFound(f"there is no layer {chain_id}") from error
        return Usage(size_bytes=record["size_bytes"], inodes=record["inodes"])

    # Snapshots

    def new_snapshot(self, key: str, parent: str) -> Path:
        """Make a snapshot and give its directory.

        Raises:
            Conflict: there is one with this key.
            NotFound: there is no such parent.
        """
        name = keys.snapshot_name(key)
        self._open()
        with self.scratch() as new:
            os.mkdir(new / "writable", 0o700)
            os.mkdir(new / "root", 0o700)
            self._link_parent(new, parent)
            with self._structure:
                self.chain(parent)
                try:
                    os.rename(new, self._snapshots / name)
                except OSError as error:
                    if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                        raise Conflict(f"there is a snapshot {key} already") from error
                    raise
        return self._snapshots / name

    def place(self, key: str) -> Path:
        """Give the directory where a snapshot is, if it is."""
        return self._snapshots / keys.snapshot_name(key)

    def snapshot(self, key: str) -> Path:
        """Give a snapshot's directory.

        Raises:
            NotFound: there is no such snapshot.
        """
        directory = self.place(key)
        if not directory.exists():
            raise NotFound(f"there is no snapshot {key}")
        return directory

    def snapshot_parent(self, key: str) -> str:
        """Give the chain id that a snapshot stands on; empty for none. Raises NotFound."""
        return self._parent(self.snapshot(key))

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Be the only one that changes this snapshot."""
        self._open()
        with self._busy.hold(keys.snapshot_name(key)):
            yield

    # Both

    def remove(self, key: str) -> None:
        """Unmount and remove a layer or snapshot; deleted behind the answer. Nothing there: nothing done.

        Raises:
            Conflict: something stands on this layer.
        """
        self._open()
        if keys.is_chain_id(key):
            with self._structure:
                self._refuse_if_used(key)
                self.trash.put(self._layers / keys.layer_name(key))
            return
        with self.locked(key):
            mounts.unmount_tree(self.place(key))
            with self._structure:
                self.trash.put(self.place(key))

    def _refuse_if_used(self, chain_id: str) -> None:
        users = [each.key for each in self._stored() if each.parent == chain_id]
        if users:
            raise Conflict(f"layer {chain_id} is below {', '.join(users[:3])}{' …' if users[3:] else ''}")
        if self._awaited[chain_id]:
            raise Conflict(f"layer {chain_id} is below a layer that is being unpacked")

    def entries(self) -> tuple[Stored, ...]:
        """List all that is whole, layers first, by key."""
        self._open()
        root = os.path.realpath(self._snapshots)
        with self._structure:
            stored = tuple(self._stored())
        targets = {each.target for each in mounts.mounts_below(self._snapshots)}
        return tuple(
            each.model_copy(update={"mounted": f"{root}/{each.key}/root" in targets})
            if each.kind is StoredKind.SNAPSHOT
            else each
            for each in stored
        )

    def _stored(self) -> Iterator[Stored]:
        for name in sorted(os.listdir(self._layers)):
            if key := keys.chain_id(name):
                yield Stored(key=key, kind=StoredKind.LAYER, parent=self._parent(self._layers / name))
        for name in sorted(os.listdir(self._snapshots)):
            if keys.is_snapshot_name(name):
                parent = self._parent(self._snapshots / name)
                yield Stored(key=name, kind=StoredKind.SNAPSHOT, parent=parent)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty directory of mode 0700 on this file system, gone afterwards unless it was renamed."""
        self._open()
        directory = self._tmp / secrets.token_hex(8)
        os.mkdir(directory, 0o700)
        try:
            yield directory
        finally:
            self._discard(directory)

    def _discard(self, directory: Path) -> None:
        if directory.exists():
            mounts.unmount_tree(directory)
            self.trash.put(directory)

    def _open(self) -> None:
        """Before the first use: make the directories, and finish what a crash has interrupted."""
        if self._opened:
            return
        with self._structure:
            if self._opened:
                return
            for directory in (self._layers, self._snapshots, self._tmp):
                directory.mkdir(mode=0o700, exist_ok=True)
            for name in os.listdir(self._tmp):
                self._discard(self._tmp / name)
            self.trash.empty()
            self._opened = True

    def _link_parent(self, directory: Path, parent: str) -> None:
        if parent:
            os.symlink(f"../../layers/{keys.layer_name(parent)}", directory / "parent")

    def _parent(self, directory: Path) -> str:
        try:
            return keys.chain_id(os.path.basename(os.readlink(directory / "parent"))) or ""
        except FileNotFoundError:
            return ""


def make_like(directory: Path, model: Path | None) -> None:
    """Make a directory, if need be, and give it mode, owner, xattrs and times of `model`.

    Without a model it is root's, mode 0755. Of xattrs, it gets those that an image can have. Raises OSError.
    """
    directory.mkdir(exist_ok=True)
    if model is None:
        os.chown(directory, 0, 0)
        os.chmod(directory, 0o755)  # noqa: S103 a root file system is read by every user in it
        return
    status = os.lstat(model)
    os.chown(directory, status.st_uid, status.st_gid)
    os.chmod(directory, status.st_mode & 0o7777)
    for name, value in image_xattrs(model).items():
        os.setxattr(directory, name, value)
    os.utime(directory, ns=(status.st_atime_ns, status.st_mtime_ns))
