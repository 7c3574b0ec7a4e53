"""Keeping logs within their size: rename, then ask the supervisor for a new file through the control fifo.

The supervisor never rotates by itself (conmon's own limit throws output away). The rename is the recorded intent: after
a crash between the two steps the path is missing, and asking again is all that is to be done.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path

from .context import Context
from .log_options import log_limits
from .record import Container

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 2.0
_REOPEN = b"2 0 0\n"


class Rotation:
    """A thread that looks at the logs of running containers from time to time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rotation", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(INTERVAL_SECONDS):
            for container in self._context.table.all():
                if container.state.running and container.config.log_driver != "none":
                    try:
                        rotate_if_needed(self._context, container)
                    except OSError:
                        log.exception("the log of %s could not be rotated", container.id[:12])


def rotate_if_needed(context: Context, container: Container) -> None:
    """Rotate a log that is over its size, or finish a rotation that a crash interrupted."""
    path = context.log_path(container.id)
    limit, files = log_limits(container.config.log_options, context.config.logs)
    try:
        over = path.stat().st_size >= limit
    except FileNotFoundError:
        _reopen(context, container)
        return
    if over:
        _shift(path, files)
        _reopen(context, container)


def _shift(path: Path, files: int) -> None:
    """`log` → `log.1` → `log.2` …, the oldest over the edge."""
    if files == 1:
        path.unlink()
        return
    for number in range(files - 1, 1, -1):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}.{number - 1}").rename(path.with_name(f"{path.name}.{number}"))
    path.rename(path.with_name(f"{path.name}.1"))


def _reopen(context: Context, container: Container) -> None:
    fifo = context.bundle(container.id) / "ctl"
    try:
        fd = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # its supervisor has ended: the exit tells
    try:
        os.write(fd, _REOPEN)
    finally:
        os.close(fd)
