"""kill: a signal, at any time; it never waits for another operation."""

from __future__ import annotations

import signal as signals

from pouch_hookspecs.errors import Conflict

from . import pause
from .context import Context
from .record import Container
from .signals import signal_number


def kill(context: Context, container_id: str, signal: str) -> None:
    """See `Engine.container_kill`."""
    number = signal_number(signal)
    container = context.table.get(container_id)
    if not container.state.running:
        raise Conflict(f"container {container.name} is not running")
    if number in (signals.SIGKILL, container.command.stop_signal):
        context.table.update_state(container_id, stopped_by_user=True)
        end(context, container, number)
    else:
        send(context, container, number)
    context.tell("kill", container, signal=str(number))


def end(context: Context, container: Container, number: int) -> None:
    """Send a signal that is to end it; a paused container is thawed, since a frozen process can not end."""
    send(context, container, number)
    context.ends_asked[container.id] = object()
    pause.thaw(context, container.id)


def send(context: Context, container: Container, number: int) -> None:
    """Send it; a container that has ended meanwhile is fine."""
    everyone = container.config.pid_mode == "host" and number == signals.SIGKILL
    context.runtime(container).runtime_kill(task=context.task(container), signal=number, everyone=everyone)
