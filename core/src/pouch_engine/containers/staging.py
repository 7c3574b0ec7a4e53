"""Mounts that the engine makes on the host for one run of a container: what a path in the OCI spec alone can't say.

The root file system of a container with a user namespace (its mapped root has to reach it, and may not enter the
storage driver's directories), volumes with mapped owners, directories inside volumes, the /dev/shm that others share.
They are in a directory of their own, which is emptied by unmounting and never by deleting what is in it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pouch_hookspecs import IdMapping, Mount
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux import mounts
from pouch_linux.idmaps import Extent, acting_as, bind_mapped, host_id
from pouch_linux.paths import Root

from .record import Container

if TYPE_CHECKING:
    from .context import Context


def shm_path(context: Context, container_id: str) -> Path:
    """The /dev/shm of a container with IPC mode `shareable`, on the host."""
    return context.mounts_dir(container_id) / "shm"


def stage_shm(context: Context, container: Container, size_bytes: int) -> Path | None:
    """The directory for /dev/shm where it is shared among containers; None: the container has one of its own."""
    mode = container.config.ipc_mode
    if mode.startswith("container:"):
        return shm_path(context, mode.removeprefix("container:"))
    if mode != "shareable":
        return None
    path = shm_path(context, container.id)
    _make(path)
    flags = mounts.MountFlag.NOSUID | mounts.MountFlag.NOEXEC | mounts.MountFlag.NODEV
    mounts.mount("shm", path, "tmpfs", flags, f"mode=1777,size={size_bytes}")
    return path


def stage_root(context: Context, container: Container, rootfs: Path) -> Path:
    """Show the root file system at a path that the container's root may walk to, and no other user of the host."""
    path = context.mounts_dir(container.id) / "root"
    _make(path)
    os.chown(path.parent, 0, root_ids(container)[1])
    path.parent.chmod(0o710)
    mounts.bind(rootfs, path)
    return path


def stage_volume(
    context: Context, container: Container, number: int, mount: Mount, where: Path, userns: Path | None
) -> Mount:
    """A volume's mount with its source.

    Args:
        context: of the engine.
        container: whose.
        number: of the mount among the container's.
        mount: without source.
        where: the driver has the volume's data.
        userns: of the container, for mapped owners.

    Raises:
        InvalidArgument: the volume has no such subpath.
        Unsupported: owners can't be mapped on its file system.
    """
    if userns is None and not mount.subpath:
        return mount.model_copy(update={"source": str(where)})
    target = context.mounts_dir(container.id) / str(number)
    with Root(where) as root:
        try:
            # Whoever fills the volume may put a link there: it leads nowhere outside of the volume.
            source = root.open(mount.subpath or ".", os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise InvalidArgument(
                f"volume {mount.volume} has no directory {mount.subpath!r} to mount at {mount.target}: {error.strerror}"
            ) from error
    try:
        _make(target)
        if userns is None:
            mounts.bind(f"/proc/self/fd/{source}", target)
        else:
            _bind_mapped(source, target, userns, mount)
    finally:
        os.close(source)
    return mount.model_copy(update={"source": str(target)})


def _bind_mapped(source: int, target: Path, userns: Path, mount: Mount) -> None:
    try:
        bind_mapped(f"/proc/self/fd/{source}", target, userns)
    except OSError as error:
        raise Unsupported(
            f"volume {mount.volume}: its file system can't map owners for a user namespace: {error.strerror}",
            hint="use --userns host, or a volume on ext4, xfs or btrfs",
        ) from error


def _make(directory: Path) -> None:
    directory.parent.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700)


def unstage(directory: Path) -> None:
    """Unmount all of a container's `Context.mounts_dir` and remove the empty directories; again is fine.

    Raises:
        OSError: something is still mounted, or there is a file where none can be.
    """
    if not directory.exists():
        return
    mounts.unmount_tree(directory)
    for entry in directory.iterdir():
        entry.rmdir()
    directory.rmdir()


def extents(mappings: tuple[IdMapping, ...]) -> tuple[Extent, ...]:
    """In the kernel's words."""
    return tuple(Extent(each.container_id, each.host_id, each.size) for each in mappings)


def root_ids(container: Container) -> tuple[int, int]:
    """Whom the container's root is on the host: user and group."""
    if not container.id_mappings.uids:
        return 0, 0
    uid = host_id(extents(container.id_mappings.uids), 0)
    gid = host_id(extents(container.id_mappings.gids), 0)
    assert uid is not None  # sub-ids are given out from 0 on
    assert gid is not None
    return uid, gid


def as_container_root(container: Container, function: Callable[[], None]) -> None:
    """Do something in the root file system that shall belong to the container's root."""
    if container.id_mappings.uids:
        acting_as(*root_ids(container), function)
    else:
        function()
