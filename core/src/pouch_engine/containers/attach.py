"""Attaching to a container's streams, also before it is started."""

from __future__ import annotations

import os
import socket
import threading
from collections import defaultdict
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from pouch_hookspecs.errors import Conflict, Unavailable

from .record import Status

if TYPE_CHECKING:
    from .context import Context


class Attachments:
    """Clients that wait for a start: they are connected after create and before the first instruction."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: defaultdict[str, list[Future[socket.socket]]] = defaultdict(list)

    def expect(self, container_id: str) -> Future[socket.socket]:
        """A connection that will be made at the container's next start."""
        future: Future[socket.socket] = Future()
        with self._lock:
            self._waiting[container_id].append(future)
        return future

    def connect(self, container_id: str, directory: Path) -> None:
        """Connect all that wait."""
        for future in self._take(container_id):
            if future.set_running_or_notify_cancel():
                future.set_result(connect(directory))

    def give_up(self, container_id: str, error: Exception) -> None:
        """The start failed, or the container is gone: those that wait get the error."""
        for future in self._take(container_id):
            if future.set_running_or_notify_cancel():
                future.set_exception(error)

    def close(self) -> None:
        """The engine ends."""
        for container_id in list(self._waiting):
            self.give_up(container_id, Unavailable("the engine is shutting down"))

    def _take(self, container_id: str) -> list[Future[socket.socket]]:
        with self._lock:
            return self._waiting.pop(container_id, [])


def attach(context: Context, container_id: str) -> Future[socket.socket]:
    """See `Engine.container_attach`."""
    with context.table.changing(container_id):
        container = context.table.get(container_id)
        if container.state.status is Status.REMOVING:
            raise Conflict(f"container {container.name} is being removed")
        if not container.state.running:
            return context.attachments.expect(container_id)
    future: Future[socket.socket] = Future()
    future.set_result(connect(context.bundle(container_id)))
    return future


def connect(directory: Path) -> socket.socket:
    """Connect to the attach socket of a task or an exec.

    Raises:
        Unavailable: there is none: the supervisor has ended.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # By descriptor, since the whole path may be longer than a socket's address (108 bytes).
        where = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{where}/attach")
        finally:
            os.close(where)
    except OSError as error:
        connection.close()
        raise Unavailable(f"its streams can not be attached to: {error.strerror}") from error
    return connection
