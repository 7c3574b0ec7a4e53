"""commit: an image of a container's image, what the container has changed, and its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from pouch_engine.images.changes import apply_changes
from pouch_engine.images.committing import Commit
from pouch_engine.images.configs import Defaults
from pouch_engine.images.references import parse_reference
from pouch_engine.images.store import AddedImage
from pouch_hookspecs import MountKind
from pouch_hookspecs.errors import Conflict, NotFound

from . import pause
from .context import Context
from .diff import changes
from .record import Container, Status


def commit(context: Context, container_id: str, wanted: Commit, *, freeze: bool) -> str:
    """See `Engine.container_commit`."""
    apply_changes({}, wanted.changes)  # before anything is frozen
    if wanted.reference:
        parse_reference(wanted.reference)
    container = context.table.get(container_id)
    try:
        image = context.images.resolve(container.image_id)
    except NotFound:
        raise Conflict(
            f"the image of container {container.name} was removed: there is nothing to put a layer on",
            hint="use `pouch export` and `pouch import`",
        ) from None
    with _frozen(context, container, freeze):
        added = _add(context, container, wanted, _settings(container, image.config.config))
    reference = added.names[0] if added.names else ""
    context.tell("commit", container, comment=wanted.message, imageID=added.id, imageRef=reference)
    return added.id


@contextmanager
def _frozen(context: Context, container: Container, freeze: bool) -> Iterator[None]:
    """Nothing changes under the commit's hands; a container that was paused already stays so."""
    if not (freeze and container.state.status is Status.RUNNING):
        yield
        return
    frozen = False
    with suppress(Conflict):  # it has ended meanwhile, or somebody else has paused it
        pause.pause(context, container.id)
        frozen = True
    try:
        yield
    finally:
        if frozen:
            with suppress(Conflict, NotFound):  # it was ended, or somebody else let it go on
                pause.unpause(context, container.id)


def _add(context: Context, container: Container, wanted: Commit, settings: Mapping[str, Any]) -> AddedImage:
    storage = context.storage(container)

    def write_layer(descriptor: int) -> None:
        storage.storage_commit(key=container.id, tar_fd=descriptor)

    with context.table.changing(container.id):  # it can be neither started nor removed meanwhile
        context.table.get(container.id)
        changed = bool(changes(context, container))
        return context.images.commit(container.image_id, wanted, settings, write_layer if changed else None)


def _settings(container: Container, image: Defaults) -> dict[str, Any]:
    """The container's `Config` in docker's words, where it may differ from its image's."""
    config = container.config
    own_entrypoint = config.entrypoint is not None
    entrypoint = image.entrypoint if config.entrypoint is None else config.entrypoint
    command = (() if own_entrypoint else image.cmd) if config.command is None else config.command
    anonymous = [m.target for m in config.mounts if m.kind is MountKind.VOLUME and not m.source]
    ports = [f"{port.container_port}/{port.protocol}" for port in config.ports]
    return {
        "User": container.command.user,
        "Env": _environment(container, image),
        "Entrypoint": list(entrypoint),
        "Cmd": list(command),
        "WorkingDir": config.working_dir or image.working_dir,
        "Labels": dict(container.labels),
        "Volumes": {target: {} for target in (*image.volumes, *anonymous)},
        "ExposedPorts": {port: {} for port in (*image.exposed_ports, *ports)},
        "StopSignal": config.stop_signal or image.stop_signal,
    }


def _environment(container: Container, image: Defaults) -> list[str]:
    """Without what the engine itself puts in."""
    given = {entry.partition("=")[0] for entry in (*image.env, *container.config.env)}
    return [entry for entry in container.command.env if entry.partition("=")[0] in given]
