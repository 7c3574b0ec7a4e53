"""Whether a container gets a user namespace, and which ids of the host are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pouch_engine.spec.subids import sub_ids
from pouch_hookspecs import ContainerConfig, IdMappings, NamespaceKind, RuntimeFeatures, StorageFeatures
from pouch_hookspecs.errors import InvalidArgument, Unavailable, Unsupported
from pouch_linux.idmaps import user_namespace

from .contradictions import shared_with_host
from .record import Container
from .staging import extents

_HINT = "use --userns host, to run it without a user namespace"


def id_mappings(
    config: ContainerConfig, remap: str, runtime: RuntimeFeatures, storage: Callable[[], StorageFeatures]
) -> IdMappings:
    """The mapping; empty: no user namespace.

    Args:
        config: of the container.
        remap: `[userns] remap` of the daemon's configuration; empty: containers have none by default.
        runtime: what it can do.
        storage: tells what it can do; asked only where it matters.

    Raises:
        InvalidArgument: the container asks for something that belongs to the host.
        Unsupported: runtime or storage can't do it.
    """
    if config.userns_mode == "host" or not (config.userns_mode or remap):
        return IdMappings()
    for what in shared_with_host(config):
        raise InvalidArgument(
            f"{what} can't be had in a user namespace, which this daemon gives by default", hint=_HINT
        )
    mappings = sub_ids(remap or "default")
    if not runtime.user_namespaces:
        raise Unsupported(f"runtime {config.runtime} can't make user namespaces", hint=_HINT)
    found = storage()
    if not found.idmapped_mounts:
        raise Unsupported(
            "the storage driver can't map the owners of a root file system here: that needs Linux 5.19 (5.12 for plain "
            f"trees) and a file system with id-mapped mounts, {found.backing_filesystem or 'this one'} has none",
            hint=_HINT,
        )
    return mappings


@contextmanager
def namespaces_for(
    container: Container, joined: Mapping[NamespaceKind, Path]
) -> Iterator[Mapping[NamespaceKind, Path]]:
    """Namespaces that a start joins: those of others, and a user namespace of its own, made before all else.

    Good until the end of the block, by when the container's process has joined them.

    Raises:
        Unavailable: this host makes no user namespace, or not with this mapping.
    """
    if not container.id_mappings.uids or NamespaceKind.USER in joined:
        yield joined
        return
    with ExitStack() as stack:
        try:
            path = stack.enter_context(
                user_namespace(extents(container.id_mappings.uids), extents(container.id_mappings.gids))
            )
        except OSError as error:
            raise Unavailable(f"a user namespace can't be made on this host: {error}", hint=_HINT) from error
        yield {NamespaceKind.USER: path, **joined}
