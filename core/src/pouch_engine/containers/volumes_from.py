"""--volumes-from: the volumes and binds of other containers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pouch_hookspecs import Mount, MountKind, MountRequest
from pouch_hookspecs.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from .context import Context

_MODES = ("ro", "rw", "z", "Z")
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")


def inherited_mounts(context: Context, given: tuple[str, ...]) -> tuple[MountRequest, ...]:
    """What the named containers have now, as requests; of two at one target the later container's counts.

    Args:
        context: of the engine.
        given: `NAME[:MODE]`; `ro` makes read-only what was not.

    Raises:
        InvalidArgument: no such container, or a mode that is none.
    """
    found: dict[str, MountRequest] = {}
    for text in given:
        name, colon, mode = text.partition(":")
        if colon and mode not in _MODES:
            raise InvalidArgument(f"--volumes-from {text!r}: mode {mode!r} is none of {', '.join(_MODES)}")
        try:
            other = context.table.find(name)
        except NotFound as error:
            raise InvalidArgument(f"--volumes-from {text!r}: there is no such container") from error
        for request in _requests(other.mounts):
            found[request.target] = request.model_copy(update={"read_only": request.read_only or mode == "ro"})
    return tuple(found.values())


def _requests(mounts: tuple[Mount, ...]) -> Iterator[MountRequest]:
    for mount in mounts:
        if mount.type != "bind":  # a tmpfs is its container's alone
            continue
        yield MountRequest(
            kind=MountKind.VOLUME if mount.volume else MountKind.BIND,
            source=mount.volume or mount.source,
            target=mount.target,
            read_only="ro" in mount.options,
            recursive="bind" not in mount.options,
            propagation=next((option for option in mount.options if option in _PROPAGATIONS), ""),
            subpath=mount.subpath,
        )
