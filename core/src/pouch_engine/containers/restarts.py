"""Restart policies: an ended container is started again, later each time that it ends soon."""

from __future__ import annotations

import logging
import threading

from pouch_hookspecs.errors import NotFound

from . import start
from .context import Context
from .record import Container, State, Status
from .waits import Exit

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.1
LONGEST_DELAY_SECONDS = 60.0
LONG_ENOUGH_SECONDS = 10.0
"""A run of this length forgets the delays of the runs before."""
_DOUBLINGS = 10
"""Of the first delay, at most: more would only make large numbers."""


def wanted(container: Container) -> bool:
    """Tell whether the policy wants it to be started again after this end."""
    policy, state = container.config.restart_policy, container.state
    if state.stopped_by_user or policy.name == "no":
        return False
    if policy.name == "on-failure":
        again = policy.maximum_retries == 0 or state.restart_count < policy.maximum_retries
        return state.exit_code != 0 and again
    return True


def consider(context: Context, container: Container, *, started: bool = True) -> None:
    """Start it again after a while, if its policy says so; the caller holds its lock.

    Args:
        context: the engine's parts.
        container: that has ended.
        started: False: the last try did not even start it.
    """
    if not wanted(container):
        return
    state = container.state
    doublings = min(state.quick_ends, _DOUBLINGS) if not started or _was_soon_over(state) else 0
    delay = min(FIRST_DELAY_SECONDS * 2**doublings, LONGEST_DELAY_SECONDS)
    context.table.update_state(
        container.id, status=Status.RESTARTING, restart_count=state.restart_count + 1, quick_ends=doublings + 1
    )
    _schedule(context, container.id, delay)


def resume(context: Context, container_id: str) -> None:
    """Start what the daemon before was about to start again; it has counted already."""
    _schedule(context, container_id, FIRST_DELAY_SECONDS)


def _schedule(context: Context, container_id: str, delay: float) -> None:
    timer = threading.Timer(delay, _again_logged, (context, container_id))
    timer.daemon = True
    timer.start()


def give_up(context: Context, container_id: str) -> None:
    """A container that was about to be started again stays ended; the caller holds its lock."""
    container = context.table.update_state(container_id, status=Status.EXITED)
    context.waits.exited(container_id, Exit(container.state.exit_code, container.state.error))


def _was_soon_over(state: State) -> bool:
    if state.started_at is None or state.finished_at is None:
        return True
    return (state.finished_at - state.started_at).total_seconds() < LONG_ENOUGH_SECONDS


def _again_logged(context: Context, container_id: str) -> None:
    try:
        _again(context, container_id)
    except NotFound:
        return  # removed meanwhile
    except Exception:
        if not context.closing.is_set():
            log.exception("container %s could not be restarted", container_id[:12])


def _again(context: Context, container_id: str) -> None:
    if context.closing.is_set():
        return  # the next daemon finds it restarting, and goes on
    with context.table.changing(container_id):
        if context.table.get(container_id).state.status is not Status.RESTARTING:
            return  # stopped, started or removed meanwhile
        try:
            start.run(context, container_id)
        except Exception as error:
            log.warning("container %s could not be restarted: %s", container_id[:12], error)
            consider(context, context.table.get(container_id), started=False)
