"""pause and unpause: all processes of a container are frozen, and go on."""

from __future__ import annotations

import logging
from contextlib import suppress

from pouch_hookspecs.errors import Conflict, NotFound, PouchError, Unsupported

from .context import Context
from .record import Container, Status

log = logging.getLogger(__name__)


def pause(context: Context, container_id: str) -> None:
    """See `Engine.container_pause`."""
    with context.table.changing(container_id):
        container = _running(context, container_id)
        if container.state.status is Status.PAUSED:
            raise Conflict(f"container {container.name} is already paused")
        _require_pause(context, container)
        asked = context.ends_asked.get(container_id)
        runtime, task = context.runtime(container), context.task(container)
        try:
            runtime.runtime_pause(task=task)
        except BaseException:
            with suppress(PouchError):  # it may be frozen all the same, or have ended
                runtime.runtime_resume(task=task)
            raise
        context.table.update_state(container_id, status=Status.PAUSED)
        context.tell("pause", container)
    if context.ends_asked.get(container_id) is not asked:  # a signal that is to end it came before it was paused
        thaw(context, container_id)


def unpause(context: Context, container_id: str) -> None:
    """See `Engine.container_unpause`."""
    with context.table.changing(container_id):
        container = _running(context, container_id)
        if container.state.status is not Status.PAUSED:
            raise Conflict(f"container {container.name} is not paused")
        context.runtime(container).runtime_resume(task=context.task(container))
        if context.table.replace_status(container_id, Status.PAUSED, Status.RUNNING):
            context.tell("unpause", container)


def thaw(context: Context, container_id: str) -> None:
    """Let a paused container go on, so that a signal can end it. It waits for no other operation.

    Whoever sent the signal also waits for the end, and tells when it does not come: a failure is only logged here.
    """
    with suppress(NotFound):
        container = context.table.get(container_id)
        if container.state.status is not Status.PAUSED:
            return
        try:
            context.runtime(container).runtime_resume(task=context.task(container))
        except PouchError as error:  # it has ended: SIGKILL ends frozen processes too on cgroup v2
            log.info("container %s was not thawed: %s", container_id[:12], error)
            return
        if context.table.replace_status(container_id, Status.PAUSED, Status.RUNNING):
            context.tell("unpause", container)


def _running(context: Context, container_id: str) -> Container:
    container = context.table.get(container_id)
    if container.state.status is Status.RESTARTING:
        raise Conflict(f"container {container.name} is restarting, wait until it runs")
    if not container.state.running:
        raise Conflict(f"container {container.name} is not running")
    return container


def _require_pause(context: Context, container: Container) -> None:
    if not context.runtime(container).runtime_features().pause:
        raise Unsupported(f"runtime {container.runtime} can not pause containers")
