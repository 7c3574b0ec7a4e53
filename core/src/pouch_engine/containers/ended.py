"""A container has ended: record it, answer those who wait, tear down, remove or restart as it was asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from pouch_hookspecs.errors import NotFound

from . import remove, restarts, teardown
from .context import Context
from .record import Container, Intent, Status
from .waits import Exit

log = logging.getLogger(__name__)

UNSUPERVISED = "its supervisor was killed: the exit code is not known"


def callback(context: Context) -> Callable[[str, int | None], None]:
    """What the exit watcher calls: it hands over to a worker."""

    def seen(container_id: str, code: int | None) -> None:
        context.workers.submit(_handle_logged, context, container_id, code)

    return seen


def _handle_logged(context: Context, container_id: str, code: int | None) -> None:
    try:
        handle(context, container_id, code)
    except Exception:
        log.exception("the end of container %s could not be handled", container_id[:12])


def handle(context: Context, container_id: str, code: int | None) -> None:
    """Do all that an end means. `code` None: nobody knows it."""
    with context.table.changing(container_id):
        try:
            container = context.table.get(container_id)
        except NotFound:
            return
        if not container.state.running:
            return
        container = record_end(context, container, code)
        if removed_at_end(container):
            remove.finish(context, container)
        else:
            teardown.tear_down(context, container)
            if not container.state.stopped_by_user:
                restarts.consider(context, container)


def removed_at_end(container: Container) -> bool:
    """`--rm`, unless a restart by hand is under way."""
    return container.config.auto_remove and not container.state.kept_at_end


def record_end(context: Context, container: Container, code: int | None, error: str = "") -> Container:
    """Write down the end and answer those who wait; with `--rm` the name is free from now on."""
    removing = removed_at_end(container)
    state = container.state.model_copy(
        update={
            "status": Status.REMOVING if removing else Status.EXITED,
            "exit_code": 255 if code is None else code,
            "error": error or (UNSUPERVISED if code is None else ""),
            "unsupervised": code is None and not error,
            "oom_killed": (context.bundle(container.id) / "oom").exists(),
            "finished_at": datetime.now(UTC),
            "supervised": None,
            "init": None,
        }
    )
    if removing:
        container = context.table.release_name(container.id, state=state, intent=Intent.REMOVING, remove_volumes=True)
    else:
        container = context.table.update(container.id, state=state)
    if state.oom_killed:
        context.tell("oom", container)
    context.tell("die", container, exitCode=str(state.exit_code))
    context.waits.exited(container.id, Exit(state.exit_code, state.error))
    return container
