"""What systemd, or another manager of services that speaks its protocol, is told and gives: sd_notify(3),
sd_listen_fds(3), sd_watchdog_enabled(3). Without one nothing of this happens.

The variables are taken out of the environment: none of the daemon's children shall speak, or listen, in its name.
"""

from __future__ import annotations

import logging
import os
import socket
import time

from pouch_hookspecs.errors import InvalidArgument

log = logging.getLogger(__name__)

_FIRST_DESCRIPTOR = 3


def inherited_sockets() -> list[socket.socket]:
    """The listening unix sockets that the service manager holds for us; the caller's to close.

    Raises:
        InvalidArgument: it passed something else.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    descriptors = range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + int(count))
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return [_listening(descriptor) for descriptor in descriptors]


def _listening(descriptor: int) -> socket.socket:
    try:
        found = socket.socket(fileno=descriptor)
    except OSError as error:
        raise InvalidArgument(f"descriptor {descriptor} of LISTEN_FDS is no socket: {error.strerror}") from error
    is_stream = found.family == socket.AF_UNIX and found.type == socket.SOCK_STREAM
    if not is_stream or not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise InvalidArgument(
            f"descriptor {descriptor} of LISTEN_FDS is not a listening unix stream socket",
            hint="the socket unit needs ListenStream= with a path",
        )
    found.setblocking(False)
    return found


class ServiceManager:
    """The way to the service manager.

    Attributes:
        watchdog_seconds: it wants a sign of life at least so often; None: it does not watch.
    """

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        ours = pid in ("", str(os.getpid()))
        self.watchdog_seconds = int(microseconds) / 1e6 if ours and microseconds.isdecimal() else None

    def ready(self, status: str) -> None:
        """The start, or a reload, has come to its end."""
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end begins."""
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """The sign of life that the watchdog waits for."""
        self._tell("WATCHDOG=1")

    def _tell(self, *assignments: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.sendto("\n".join(assignments).encode(), address)
        except OSError as error:
            log.warning("the service manager can not be told %s: %s", assignments[0], error)
