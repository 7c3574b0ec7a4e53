"""Taking a connection over from HTTP, for docker's raw streams (attach, exec).

The client sends `Upgrade: tcp`, gets `101 UPGRADED`, and from then on the connection carries bytes both ways, each way
with an end of its own. aiohttp knows nothing of that protocol, and by itself would parse the client's first bytes as
the next request and close the whole connection when the client ends its sending half. `HijackableHandler` is
aiohttp's own handler with these two things changed; tests/api/test_hijack.py holds it against the installed aiohttp.
"""

from __future__ import annotations

import asyncio
import re
import select
from typing import Any, Protocol, cast

from aiohttp import web

_HEAD_LIMIT = 65536
_EARLY_LIMIT = 65536
_UPGRADE = re.compile(rb"\r\nupgrade:[ \t]*tcp[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)

WRITE_BUFFER = 2**20
"""How far a client may be behind, in bytes, before it is said to be slow."""


class Hangups:
    """Ends the connections of clients that are gone altogether after they had only ended their sending half.

    asyncio no longer looks at such a connection until something is written to it. epoll(7) reports EPOLLHUP without
    being asked when both halves of a unix socket are closed. For the event loop's thread.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, asyncio.Transport] = {}
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._report)

    def watch(self, transport: asyncio.Transport) -> None:
        """Abort `transport` when its peer has closed. To be forgotten when it is lost."""
        descriptor = _descriptor(transport)
        self._epoll.register(descriptor, select.EPOLLONESHOT)
        self._watched[descriptor] = transport

    def forget(self, transport: asyncio.Transport) -> None:
        """Watch it no longer; again is fine."""
        descriptor = _descriptor(transport)
        if self._watched.get(descriptor) is transport:
            del self._watched[descriptor]
            self._epoll.unregister(descriptor)

    def close(self) -> None:
        """Watch nothing any more."""
        asyncio.get_running_loop().remove_reader(self._epoll.fileno())
        self._epoll.close()

    def _report(self) -> None:
        for descriptor, _ in self._epoll.poll(0):
            if descriptor in self._watched:
                self._watched[descriptor].abort()


def _descriptor(transport: asyncio.Transport) -> int:
    number: int = transport.get_extra_info("socket").fileno()
    return number


class HijackableHandler(web.RequestHandler):
    """A connection that a handler can take over.

    After the head and body of a request with `Upgrade: tcp`, bytes are kept instead of parsed, and the client's end
    is noted instead of closing the connection.
    """

    __slots__ = ("_body_left", "_early", "_ended", "_hangups", "_head")

    def __init__(self, server: web.Server, hangups: Hangups, **options: Any) -> None:
        super().__init__(server, **options)
        self._hangups = hangups
        self._head = b""
        self._early: bytearray | None = None
        self._body_left = 0
        self._ended = False

    def decline(self) -> bool:
        """Go on with HTTP after a request that wanted to take over and was refused; False: the client has ended."""
        early, self._early = self._early, None
        if early:
            super().data_received(bytes(early))
        return not self._ended

    def data_received(self, data: bytes) -> None:
        """Let aiohttp parse; see the class."""
        if self._early is not None:
            self._keep(data)
        elif self._head or (self._idle() and data.startswith(b"POST ")):
            self._begin(self._head + data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's contract; aiohttp narrows it to None
        """True keeps the sending half, when the connection is being taken over."""
        if self._early is None or self.transport is None:
            return False
        self._ended = True
        self._hangups.watch(self.transport)
        return True

    def connection_lost(self, exc: BaseException | None) -> None:
        """The end, also of a connection that was taken over: aiohttp keeps its books, and cancels the handler."""
        if self._ended and self.transport is not None:
            self._hangups.forget(self.transport)
        super().connection_lost(exc)

    def take(self) -> tuple[asyncio.Transport, Hangups, bytes, bool]:
        """Give the transport away, what watches it, the bytes that came early, and whether the client has ended."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client went before its connection was taken over")
        return transport, self._hangups, bytes(self._early or b""), self._ended

    def _idle(self) -> bool:
        return self._current_request is None and not self._messages

    def _begin(self, data: bytes) -> None:
        """Gather the head of a POST, which may come in pieces, and see whether it wants to take over."""
        end = data.find(b"\r\n\r\n")
        if end < 0 and len(data) <= _HEAD_LIMIT:
            self._head = data
            return
        self._head = b""
        head, rest = data[: end + 4], data[end + 4 :]
        if end < 0 or not _UPGRADE.search(head) or _CHUNKED.search(head):
            super().data_received(data)
            return
        length = _LENGTH.search(head)
        self._body_left = int(length[1]) if length else 0
        self._early = bytearray()
        super().data_received(head)
        self._keep(rest)

    def _keep(self, data: bytes) -> None:
        body, rest = data[: self._body_left], data[self._body_left :]
        self._body_left -= len(body)
        if body:
            super().data_received(body)
        if rest and self._early is not None:
            self._early += rest
            if len(self._early) > _EARLY_LIMIT and self.transport is not None:
                self.transport.pause_reading()


class Receiver(Protocol):
    """What a taken-over connection tells."""

    def client_sent(self, data: bytes) -> None:
        """Bytes came."""

    def client_ended(self) -> None:
        """The client will send no more."""

    def client_slow(self) -> None:
        """More than `WRITE_BUFFER` waits to be read by the client."""

    def client_caught_up(self) -> None:
        """It has read most of it."""


class Hijacked(asyncio.Protocol):
    """A connection after HTTP. Until a receiver is there, what the client sends is kept."""

    def __init__(self, handler: HijackableHandler) -> None:
        self._handler = handler
        self._transport, self._hangups, early, self._ended = handler.take()
        self._kept = bytearray(early)
        self._receiver: Receiver | None = None
        self._slow = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport.set_write_buffer_limits(high=WRITE_BUFFER)
        self._transport.set_protocol(self)
        self.resume_reading()

    def deliver(self, receiver: Receiver) -> None:
        """Tell `receiver` from now on, beginning with what was kept."""
        self._receiver = receiver
        if self._slow:
            receiver.client_slow()
        if self._kept:
            kept, self._kept = bytes(self._kept), bytearray()
            receiver.client_sent(kept)
        if self._ended:
            receiver.client_ended()
        self.resume_reading()

    def write(self, data: bytes) -> None:
        """Send to the client, behind what waits already."""
        self._transport.write(data)

    async def send(self, data: bytes) -> None:
        """The same, waiting until the client has read most of it."""
        self._transport.write(data)
        await self._writable.wait()

    def pause_reading(self) -> None:
        """Take nothing from the client for now."""
        if not self._ended and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on."""
        if not self._ended and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """End the connection behind what waits to be sent."""
        self._transport.close()

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        """Hand over, or keep."""
        if self._receiver is not None:
            self._receiver.client_sent(data)
            return
        self._kept += data
        if len(self._kept) > _EARLY_LIMIT:
            self.pause_reading()

    def eof_received(self) -> bool:
        """The client's half has ended; ours has not."""
        self._ended = True
        self._hangups.watch(self._transport)
        if self._receiver is not None:
            self._receiver.client_ended()
        return True

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._slow = True
        self._writable.clear()
        if self._receiver is not None:
            self._receiver.client_slow()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._slow = False
        self._writable.set()
        if self._receiver is not None:
            self._receiver.client_caught_up()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whose connection it was."""
        self._hangups.forget(self._transport)
        self._handler.connection_lost(exc)


class TakenOver(web.StreamResponse):
    """What a handler returns that has taken the connection over: nothing is left to send."""

    def __init__(self) -> None:
        super().__init__()
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> None:
        """The head was sent by `take_over`."""

    async def write_eof(self, data: bytes = b"") -> None:
        """The stream has its own end."""


def take_over(request: web.Request, content_type: str) -> Hijacked:
    """Answer the request's head and take its connection; its body must have been read.

    Without `Upgrade` the answer is an ordinary 200 whose body ends with the connection, as docker gives it.

    Raises:
        ConnectionResetError: the client is gone.
    """
    connection = Hijacked(cast(HijackableHandler, request.protocol))
    if request.headers.get("Upgrade", "").lower() == "tcp":
        lines = ["HTTP/1.1 101 UPGRADED", f"Content-Type: {content_type}", "Connection: Upgrade", "Upgrade: tcp"]
    else:
        lines = ["HTTP/1.1 200 OK", f"Content-Type: {content_type}"]
    connection.write("\r\n".join([*lines, "", ""]).encode())
    return connection
