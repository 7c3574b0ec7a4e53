"""Snapshots with mapped owners: the layers are mounted with the mapping, and the overlay on top of these mounts.

An overlay itself can't be id-mapped; its layers can (Linux 5.19). It works on them with the ids of whoever mounted it
(kernel documentation, overlayfs.rst, "Permission model"), and root of the host has none in a mapped mount: the mapped
root mounts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pouch_hookspecs import IdMapping, IdMappings
from pouch_linux import mounts
from pouch_linux.idmaps import Extent, acting_as, bind_mapped, host_id, user_namespace

from .store import Store

_TRIAL = (IdMapping(container_id=0, host_id=100_000, size=65_536),)


def mount_mapped_overlay(
    root: Path, below: Sequence[Path], writable: Path, scratch: Path, id_mappings: IdMappings, options: Sequence[str]
) -> None:
    """Mount an overlay on `root`.

    Args:
        root: the mount point.
        below: the layers' trees, from the top down.
        writable: has `upper` and `work`.
        scratch: an empty directory; the overlay keeps the mounts that are made in it, also when they are unmounted.
        id_mappings: with the container's root in them.
        options: of the overlay.

    Raises:
        OSError: the file system or the kernel can't.
    """
    uids, gids = _extents(id_mappings.uids), _extents(id_mappings.gids)
    lower, top = [scratch / str(number) for number in range(len(below))], scratch / "writable"
    with user_namespace(uids, gids) as userns:
        for source, target in zip((*below, writable), (*lower, top), strict=True):
            target.mkdir()
            bind_mapped(source, target, userns)
    acting_as(
        _root(uids),
        _root(gids),
        lambda: mounts.mount_overlay(
            root, lower=lower or [root], upper=top / "upper", work=top / "work", options=options
        ),
    )


def bind_tree(tree: Path, root: Path, id_mappings: IdMappings) -> None:
    """Mount one plain tree on `root`. Raises OSError."""
    with user_namespace(_extents(id_mappings.uids), _extents(id_mappings.gids)) as userns:
        bind_mapped(tree, root, userns)


def can_map_overlay(store: Store, options: Sequence[str]) -> bool:
    """Find out by doing it."""
    try:
        with store.scratch() as directory:
            for name in ("lower", "writable/upper", "writable/work", "root", "scratch"):
                (directory / name).mkdir(parents=True)
            mount_mapped_overlay(
                directory / "root",
                [directory / "lower"],
                directory / "writable",
                directory / "scratch",
                IdMappings(uids=_TRIAL, gids=_TRIAL),
                options,
            )
            # Where the mapping does not hold, the kernel has mounted it read-only.
            acting_as(_TRIAL[0].host_id, _TRIAL[0].host_id, (directory / "root/new").mkdir)
    except OSError:
        return False
    return True


def can_map_tree(store: Store) -> bool:
    """Find out by doing it."""
    try:
        with store.scratch() as directory:
            (directory / "tree").mkdir()
            (directory / "root").mkdir()
            bind_tree(directory / "tree", directory / "root", IdMappings(uids=_TRIAL, gids=_TRIAL))
    except OSError:
        return False
    return True


def _extents(mappings: Sequence[IdMapping]) -> tuple[Extent, ...]:
    return tuple(Extent(each.container_id, each.host_id, each.size) for each in mappings)


def _root(extents: Sequence[Extent]) -> int:
    root = host_id(extents, 0)
    if root is None:
        raise OSError("the mapping has no root")
    return root
