"""Docker's ways to ask for a mount (Binds, Mounts, Tmpfs, Volumes) → mount requests."""

from __future__ import annotations

from collections.abc import Iterator

from pouch_hookspecs import MountKind, MountRequest
from pouch_hookspecs.errors import InvalidArgument

from .create_body import CreateBody, Mount

_PROPAGATION = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_WITHOUT_MEANING = ("z", "Z", "consistent", "cached", "delegated")
"""SELinux labels, and hints for docker's desktop products."""


def mount_requests(body: CreateBody) -> tuple[MountRequest, ...]:
    """All mounts of a request; targets are the engine's to judge.

    Raises:
        InvalidArgument: one is wrong.
    """
    explicit = list(_explicit(body))
    taken = {request.target.rstrip("/") for request in explicit}
    anonymous = [
        MountRequest(kind=MountKind.VOLUME, target=target, driver=body.host_config.volume_driver)
        for target in body.volumes
        if target.rstrip("/") not in taken  # an explicit mount of the same place wins, as in docker
    ]
    return (*explicit, *anonymous)


def _explicit(body: CreateBody) -> Iterator[MountRequest]:
    host = body.host_config
    for text in host.binds:
        yield _bind(text, host.volume_driver)
    for mount in host.mounts:
        yield _mount(mount)
    for target, options in host.tmpfs.items():
        yield MountRequest(kind=MountKind.TMPFS, target=target, options=tuple(o for o in options.split(",") if o))


def _bind(text: str, driver: str) -> MountRequest:
    """`[SOURCE:]TARGET[:OPTIONS]`; a source that is no absolute path is a volume's name."""
    parts = text.split(":")
    if len(parts) == 1:
        return MountRequest(kind=MountKind.VOLUME, target=parts[0], driver=driver)
    if len(parts) > 3 or not all(parts):
        raise InvalidArgument(f"invalid volume {text[:200]!r}: expected [SOURCE:]TARGET[:OPTIONS]")
    options = _bind_options(text, parts[2].split(",") if len(parts) == 3 else [])
    if parts[0].startswith("/"):
        if "nocopy" in options:
            raise InvalidArgument(f"invalid volume {text[:200]!r}: nocopy is for named volumes")
        return MountRequest(
            kind=MountKind.BIND,
            source=parts[0],
            target=parts[1],
            read_only="ro" in options,
            propagation=next((option for option in options if option in _PROPAGATION), ""),
            create_source=True,
        )
    return MountRequest(
        kind=MountKind.VOLUME,
        source=parts[0],
        target=parts[1],
        read_only="ro" in options,
        copy_up="nocopy" not in options,
        driver=driver,
    )


def _bind_options(text: str, options: list[str]) -> list[str]:
    allowed = ("ro", "rw", "nocopy", *_PROPAGATION, *_WITHOUT_MEANING)
    for option in options:
        if option not in allowed:
            raise InvalidArgument(
                f"invalid volume {text[:200]!r}: option {option!r} is none of ro, rw, nocopy, {', '.join(_PROPAGATION)}"
            )
    return options


def _mount(mount: Mount) -> MountRequest:
    if not mount.target:
        raise InvalidArgument(f"invalid mount of {mount.source or mount.type!r}: Target must not be empty")
    kinds = {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount}
    read = kinds.get(mount.type or "volume")
    if read is None:
        raise InvalidArgument(f"invalid mount type {mount.type[:80]!r}: expected bind, volume or tmpfs")
    return read(mount)


def _bind_mount(mount: Mount) -> MountRequest:
    options = mount.bind_options
    if not mount.source.startswith("/"):
        raise InvalidArgument(f"invalid mount of {mount.target}: the Source of a bind is an absolute path")
    if options.propagation not in ("", *_PROPAGATION):
        raise InvalidArgument(
            f"invalid propagation {options.propagation[:80]!r}: expected one of {', '.join(_PROPAGATION)}"
        )
    return MountRequest(
        kind=MountKind.BIND,
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        propagation=options.propagation,
        create_source=options.create_mountpoint,
    )


def _volume_mount(mount: Mount) -> MountRequest:
    options = mount.volume_options
    return MountRequest(
        kind=MountKind.VOLUME,
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        copy_up=not options.no_copy,
        driver=options.driver_config.name,
        driver_options=options.driver_config.options,
        labels=options.labels,
    )


def _tmpfs_mount(mount: Mount) -> MountRequest:
    if mount.source:
        raise InvalidArgument(f"invalid mount of {mount.target}: a tmpfs has no Source")
    size, mode = mount.tmpfs_options.size_bytes, mount.tmpfs_options.mode
    options = [f"size={size}"] if size > 0 else []
    if mode:
        options.append(f"mode={mode & 0o7777:o}")
    return MountRequest(kind=MountKind.TMPFS, target=mount.target, read_only=mount.read_only, options=tuple(options))
