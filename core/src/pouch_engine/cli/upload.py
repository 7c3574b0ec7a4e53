"""Sending a request body of any size while the answer may already come."""

from __future__ import annotations

import os
import select
from _socket import MSG_DONTWAIT, MSG_NOSIGNAL, socket

_PIECE = 262144


def send_body(connection: socket, head: bytes, source: int) -> bytes:
    """Send the request head and all of descriptor `source` as HTTP chunks; return what was received meanwhile.

    The daemon reports progress while it reads. Who only sends would stop it as soon as the reports fill the socket, so
    both directions are served. When the daemon closes its side early, its answer says why: sending ends then.
    """
    outgoing = memoryview(head)
    received = b""
    at_end = False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN | select.POLLOUT)
    while outgoing or not at_end:
        if not outgoing:
            piece = os.read(source, _PIECE)
            at_end = not piece
            outgoing = memoryview(b"%x\r\n%b\r\n" % (len(piece), piece))
        events = poll.poll()[0][1]
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            try:
                data = connection.recv(_PIECE)
            except ConnectionResetError:
                return received
            if not data:
                return received
            received += data
        if events & select.POLLOUT:
            try:
                outgoing = outgoing[connection.send(outgoing, MSG_DONTWAIT | MSG_NOSIGNAL) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return received
    return received
