"""rm: everything of a container is taken away; the record stays until that has really succeeded."""

from __future__ import annotations

import signal
from concurrent.futures import TimeoutError as FutureTimeout

from pouch_hookspecs.errors import Conflict, DeadlineExceeded, NotFound, PouchError

from . import kill, teardown
from .context import Context
from .record import Container, Intent, Status
from .waits import Exit

AFTER_SIGKILL_SECONDS = 30.0


def remove(context: Context, container_id: str, *, force: bool, volumes: bool) -> None:
    """See `Engine.container_remove`."""
    container = context.table.get(container_id)
    if container.state.running:
        if not force:
            raise Conflict(
                f"you cannot remove a running container {container.id}: stop it before, or use force",
                hint=f"pouch stop {container.name}",
            )
        _end(context, container)
    elif container.state.status is Status.RESTARTING and not force:
        raise Conflict(
            f"you cannot remove a restarting container {container.id}: stop it before, or use force",
            hint=f"pouch stop {container.name}",
        )
    try:
        with context.table.changing(container_id):
            container = context.table.get(container_id)
            if container.state.running:
                raise Conflict(f"container {container.name} was started meanwhile")
            begin_and_finish(context, container, volumes=volumes)
    except NotFound:
        return  # removed by somebody else meanwhile (--rm, another client): what was asked for is so


def begin_and_finish(context: Context, container: Container, *, volumes: bool) -> None:
    """Record the intent, then take everything away; the caller holds the lock. See `finish`."""
    state = container.state.model_copy(update={"status": Status.REMOVING})
    changes = {"state": state, "intent": Intent.REMOVING, "remove_volumes": volumes}
    finish(context, context.table.update(container.id, **changes))


def _end(context: Context, container: Container) -> None:
    context.table.update_state(container.id, stopped_by_user=True)
    gone = context.waits.wait(container, "not-running")
    kill.end(context, container, signal.SIGKILL)
    try:
        gone.result(timeout=AFTER_SIGKILL_SECONDS)
    except FutureTimeout:
        raise DeadlineExceeded(f"container {container.name} does not end after SIGKILL") from None


def finish(context: Context, container: Container) -> None:
    """Take everything away; the caller holds the lock and has recorded the intent.

    Raises:
        ExceptionGroup: something could not be taken away; the record stays, and removal can be asked for again.
    """
    try:
        teardown.tear_down(context, container)
        for _, isolation, options, view in context.enhancements(container):
            isolation.isolation_removed(container=view, options=options)
        context.storage(container).storage_remove(key=container.id)
        context.remove_directories(container.id)
    except Exception as error:
        text = str(error) if isinstance(error, PouchError) else repr(error)
        context.table.update_state(container.id, status=Status.DEAD, error=f"removal failed: {text}")
        context.waits.removed(container.id, Exit(container.state.exit_code, f"removal failed: {text}"))
        raise
    context.table.delete(container.id)
    context.ends_asked.pop(container.id, None)
    context.attachments.give_up(container.id, NotFound(f"container {container.name} was removed"))
    if container.remove_volumes:
        _remove_anonymous_volumes(context, container)
    if not context.images.known(container.image_id):
        context.images.collect()  # its layers were kept for this container
    context.tell("destroy", container)
    context.waits.removed(container.id, Exit(container.state.exit_code, container.state.error))


def _remove_anonymous_volumes(context: Context, container: Container) -> None:
    for name in container.anonymous_volumes:
        try:
            context.volumes.remove(name, lambda volume: volume_users(context, volume), force=True)
        except Conflict:
            continue  # another container took it by its name


def volume_users(context: Context, volume: str) -> list[str]:
    """Names of the containers that have this volume."""
    return [c.name for c in context.table.all() if any(mount.volume == volume for mount in c.mounts)]
