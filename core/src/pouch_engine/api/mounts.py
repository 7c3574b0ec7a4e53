"""Docker's ways to ask for a mount (Binds, Mounts, Tmpfs, Volumes) → mount requests."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from pouch_hookspecs import MountKind, MountRequest
from pouch_hookspecs.errors import InvalidArgument

from .create_body import CreateBody, Mount

_PROPAGATION = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
_WITHOUT_MEANING = ("z", "Z", "consistent", "cached", "delegated")
"""SELinux labels, and hints for docker's desktop products."""
_REPLACE = ("dr", "rr")
"""PouchContainer's: not the volume itself, but a directory of it, named by the target or at random."""
_EXCLUSIVE = (("ro", "rw"), ("z", "Z"), _PROPAGATION, _REPLACE)


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
        for option in ("nocopy", *_REPLACE):
            if option in options:
                raise InvalidArgument(f"invalid volume {text[:200]!r}: {option} is for named volumes")
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
        propagation=next((option for option in options if option in _PROPAGATION), ""),
        driver=driver,
        subpath=_replacement(options, parts[1]),
        create_source=bool(set(options) & set(_REPLACE)),
    )


def _replacement(options: list[str], target: str) -> str:
    if "dr" in options:
        return target.strip("/")
    return secrets.token_hex(16) if "rr" in options else ""


def _bind_options(text: str, options: list[str]) -> list[str]:
    allowed = ("ro", "rw", "nocopy", *_PROPAGATION, *_REPLACE, *_WITHOUT_MEANING)
    for group in _EXCLUSIVE:
        if len(both := [option for option in options if option in group]) > 1:
            raise InvalidArgument(f"invalid volume {text[:200]!r}: {both[0]} and {both[1]} exclude each other")
    for option in options:
        if option not in allowed:
            raise InvalidArgument(f"invalid volume {text[:200]!r}: option {option!r} is none of {', '.join(allowed)}")
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
        recursive=not options.non_recursive,
        read_only_recursive=_read_only_recursive(mount),
    )


def _read_only_recursive(mount: Mount) -> bool | None:
    options = mount.bind_options
    if not (options.read_only_non_recursive or options.read_only_force_recursive):
        return None
    if options.read_only_non_recursive and options.read_only_force_recursive:
        raise InvalidArgument(
            f"invalid mount of {mount.target}: ReadOnlyNonRecursive and ReadOnlyForceRecursive exclude each other"
        )
    if not mount.read_only:
        raise InvalidArgument(f"invalid mount of {mount.target}: bind-recursive=readonly and writable need readonly")
    return options.read_only_force_recursive


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
        subpath=options.subpath,
    )


def _tmpfs_mount(mount: Mount) -> MountRequest:
    if mount.source:
        raise InvalidArgument(f"invalid mount of {mount.target}: a tmpfs has no Source")
    size, mode = mount.tmpfs_options.size_bytes, mount.tmpfs_options.mode
    options = [f"size={size}"] if size > 0 else []
    if mode:
        options.append(f"mode={mode & 0o7777:o}")
    return MountRequest(kind=MountKind.TMPFS, target=mount.target, read_only=mount.read_only, options=tuple(options))
