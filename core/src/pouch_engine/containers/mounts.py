"""Mounts that a container asks for: judged, sources made, volumes made and filled."""

from __future__ import annotations

import os
import posixpath
import secrets
from collections.abc import Iterable
from pathlib import Path

from pouch_engine.spec.granted import Host
from pouch_engine.volumes.store import Volume, Volumes
from pouch_hookspecs import ContainerConfig, Mount, MountKind, MountRequest
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux.pack import copy_tree
from pouch_linux.paths import Root

_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_BIND_OPTIONS = ("noexec", "nosuid", "nodev", "exec", "suid", "dev", "noatime", "relatime")
_TMPFS_OPTIONS = ("noexec", "nosuid", "nodev", "exec", "suid", "dev", "ro", "rw", "noatime", "strictatime")
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks")


def requested_mounts(
    config: ContainerConfig, image_volumes: Iterable[str], inherited: Iterable[MountRequest] = ()
) -> tuple[MountRequest, ...]:
    """What the request asks for, then what is inherited from other containers, then the image's VOLUMEs.

    The first that claims a target has it.

    Raises:
        InvalidArgument: a target that is none, or one that is claimed twice.
    """
    requests = [request.model_copy(update={"target": checked_target(request.target)}) for request in config.mounts]
    targets: set[str] = set()
    for request in requests:
        if request.target in targets:
            raise InvalidArgument(f"duplicate mount point: {request.target}")
        targets.add(request.target)
        _validate(request)
    for request in inherited:
        if request.target not in targets:
            requests.append(request)
            targets.add(request.target)
    for target in image_volumes:
        # An image is hostile: a VOLUME that is no proper target means nothing, rather than a path of ours.
        clean = posixpath.normpath(target)
        if clean.startswith("/") and clean.strip("/") and clean not in targets and "\0" not in clean:
            requests.append(MountRequest(kind=MountKind.VOLUME, target="/" + clean.strip("/"), from_image=True))
            targets.add(clean)
    return tuple(requests)


def name_anonymous(requests: Iterable[MountRequest]) -> tuple[tuple[MountRequest, ...], tuple[str, ...]]:
    """Name the anonymous volumes before they are made, so that the record knows them whatever happens."""
    named, names = [], []
    for request in requests:
        if request.kind is MountKind.VOLUME and not request.source:
            request = request.model_copy(update={"source": secrets.token_hex(32)})
            names.append(request.source)
        named.append(request)
    return tuple(named), tuple(names)


def checked_target(target: str) -> str:
    """A mount target in its normal form.

    Raises:
        InvalidArgument: it is not absolute, the root itself, or has characters that no path should have.
    """
    if not target.startswith("/"):
        raise InvalidArgument(f"mount target {target!r} must be an absolute path inside the container")
    if "\0" in target or "\n" in target:
        raise InvalidArgument(f"mount target {target!r} has a character that is not allowed")
    clean = "/" + posixpath.normpath(target).strip("/")
    if clean == "/":
        raise InvalidArgument("mount target '/' is the container's root file system itself")
    return clean


def _validate(request: MountRequest) -> None:
    if request.propagation and request.propagation not in _PROPAGATIONS:
        allowed = ", ".join(_PROPAGATIONS)
        raise InvalidArgument(f"mount {request.target}: propagation {request.propagation!r} is not one of {allowed}")
    if request.read_only_recursive and not (request.read_only and request.recursive):
        raise InvalidArgument(f"mount {request.target}: bind-recursive=readonly needs readonly")
    if request.subpath and (request.kind is not MountKind.VOLUME or not _is_below(request.subpath)):
        raise InvalidArgument(
            f"mount {request.target}: volume-subpath {request.subpath!r} is not a relative path inside a volume"
        )
    if request.kind is MountKind.TMPFS:
        for option in request.options:
            name, sign, _ = option.partition("=")
            if not (name in _TMPFS_VALUES and sign) and option not in _TMPFS_OPTIONS:
                raise InvalidArgument(f"mount {request.target}: {option!r} is not an allowed option of tmpfs(5)")
    elif request.kind is MountKind.BIND:
        if not request.source.startswith("/"):
            raise InvalidArgument(f"mount {request.target}: bind source {request.source!r} must be an absolute path")
        for option in request.options:
            if option not in _BIND_OPTIONS:
                raise InvalidArgument(f"mount {request.target}: unknown option {option!r}")
        if not request.create_source and not os.path.lexists(request.source):
            raise InvalidArgument(
                f"invalid mount config for type bind: bind source path does not exist: {request.source}",
                hint="make it, or use -v, which makes a directory",
            )


def _is_below(path: str) -> bool:
    return not path.startswith("/") and "\0" not in path and ".." not in path.split("/")


def make_mount(request: MountRequest, volumes: Volumes, host: Host, *, anonymous: bool) -> Mount:
    """Make the bind source or the volume if it is missing, and give the mount as the container will have it."""
    if request.kind is MountKind.TMPFS:
        options = ("nosuid", "nodev", *request.options, *(("ro",) if request.read_only else ()))
        return Mount(target=request.target, source="tmpfs", type="tmpfs", options=options)
    options = (
        "rbind" if request.recursive else "bind",
        request.propagation or "rprivate",
        *_access(request, host),
        *request.options,
    )
    if request.kind is MountKind.BIND:
        source = Path(request.source)
        if request.create_source and not os.path.lexists(source):
            source.mkdir(parents=True, exist_ok=True)
        return Mount(target=request.target, source=str(source), options=options)
    volume = volumes.create(request.source, request.driver, request.driver_options, request.labels, anonymous=anonymous)
    info = volumes.inspect(volume.name)
    return Mount(
        target=request.target,
        source=str(info.mountpoint),
        options=options,
        volume=volume.name,
        driver=volume.driver,
        subpath=request.subpath,
    )


def _access(request: MountRequest, host: Host) -> tuple[str, ...]:
    """Read-only means also what is mounted below a bind, where the kernel can (mount_setattr(2), 5.12)."""
    if not request.read_only:
        return ("rw",)
    if request.read_only_recursive and not host.recursive_read_only:
        raise Unsupported(f"mount {request.target}: bind-recursive=readonly needs Linux 5.12")
    recursively = request.recursive and request.read_only_recursive is not False and host.recursive_read_only
    return ("ro", "rro") if recursively else ("ro",)


def copy_up(rootfs: Path, mount: Mount, volumes: Volumes, container_id: str) -> None:
    """Copy what the image has at the mount's target into its fresh volume: owners, modes, links, xattrs."""
    where = volumes.mount(mount.volume, container_id)
    try:
        with Root(rootfs) as root:
            if root.is_dir(mount.target):
                copy_tree(rootfs, mount.target, where)
    finally:
        volumes.unmount(mount.volume, container_id)
    volumes.used(mount.volume)


def make_subpath(mount: Mount, volumes: Volumes, container_id: str) -> None:
    """Make the directory of a volume that is to be mounted, if it is missing."""
    where = volumes.mount(mount.volume, container_id)
    try:
        with Root(where) as root:
            root.mkdirs(mount.subpath)
    finally:
        volumes.unmount(mount.volume, container_id)
    volumes.used(mount.volume)


def needs_copy_up(request: MountRequest, volume: Volume) -> bool:
    """Only a volume that never held anything takes the image's data, and only as a whole."""
    return volume.fresh and request.copy_up and not request.subpath
