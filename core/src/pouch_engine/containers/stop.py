"""stop: the container's own signal, then, when its time is up, SIGKILL."""

from __future__ import annotations

import signal
from concurrent.futures import TimeoutError as FutureTimeout

from pouch_hookspecs.errors import DeadlineExceeded

from . import kill, restarts
from .context import Context
from .record import Status
from .signals import signal_number

AFTER_SIGKILL_SECONDS = 30.0


def stop(context: Context, container_id: str, timeout_seconds: int | None, signal_name: str) -> bool:
    """See `Engine.container_stop`."""
    container = context.table.get(container_id)
    number = signal_number(signal_name) if signal_name else container.command.stop_signal
    if container.state.status is Status.RESTARTING:
        with context.table.changing(container_id):
            if context.table.get(container_id).state.status is Status.RESTARTING:
                context.table.update_state(container_id, stopped_by_user=True)
                restarts.give_up(context, container_id)
                return True
        container = context.table.get(container_id)
    if not container.state.running:
        return False
    container = context.table.update_state(container_id, stopped_by_user=True)
    ended = context.waits.wait(container, "not-running")
    timeout = timeout_seconds if timeout_seconds is not None else container.config.stop_timeout_seconds
    timeout = context.config.stop_timeout_seconds if timeout is None else timeout
    kill.end(context, container, number)
    context.tell("kill", container, signal=str(number))
    try:
        ended.result(timeout=None if timeout < 0 else timeout)
    except FutureTimeout:
        kill.end(context, container, signal.SIGKILL)
        context.tell("kill", container, signal=str(int(signal.SIGKILL)))
        try:
            ended.result(timeout=AFTER_SIGKILL_SECONDS)
        except FutureTimeout:
            raise DeadlineExceeded(
                f"container {container.name} does not end, {AFTER_SIGKILL_SECONDS:g} s after SIGKILL",
                hint="a process may hang in the kernel; see its state in /proc",
            ) from None
    context.tell("stop", container)
    return True
