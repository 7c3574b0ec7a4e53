"""Restart policies: an ended container is started again, later each time that it ends soon."""

from __future__ import annotations

import logging
import threading

from pouch_hookspecs.errors import PouchError

from . import start
from .context import Context
from .record import Container, Status

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 60.0
LONG_ENOUGH_SECONDS = 10.0
"""A run of this length forgets the delays of the runs before."""


def wanted(container: Container) -> bool:
    """Tell whether the policy wants it to be started again after this end."""
    policy, state = container.config.restart_policy, container.state
    if state.stopped_by_user or policy.name == "no":
        return False
    if policy.name == "on-failure":
        again = policy.maximum_retries == 0 or state.restart_count < policy.maximum_retries
        return state.exit_code != 0 and again
    return True


def consider(context: Context, container: Container) -> None:
    """Start it again after a while, if its policy says so; the caller holds its lock."""
    if not wanted(container):
        return
    state = container.state
    ran = (state.finished_at - state.started_at).total_seconds() if state.finished_at and state.started_at else 0
    count = 0 if ran >= LONG_ENOUGH_SECONDS else state.restart_count
    delay = min(FIRST_DELAY_SECONDS * 2**count, LONGEST_DELAY_SECONDS)
    context.table.update_state(container.id, status=Status.RESTARTING, restart_count=count + 1)
    timer = threading.Timer(delay, _again, (context, container.id))
    timer.daemon = True
    timer.start()


def _again(context: Context, container_id: str) -> None:
    if context.closing.is_set():
        return  # the next daemon finds it restarting, and goes on
    try:
        with context.table.changing(container_id):
            container = context.table.get(container_id)
            if container.state.status is not Status.RESTARTING:
                return  # stopped, started or removed meanwhile
            start.run(context, container_id)
    except PouchError as error:
        log.warning("container %s could not be restarted: %s", container_id[:12], error)
        with context.table.changing(container_id):
            consider(context, context.table.get(container_id))
