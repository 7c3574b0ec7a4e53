"""A request's body as a descriptor, for what reads archives on a thread."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from .workers import Workers, received

T = TypeVar("T")


async def read_upload(request: web.Request, workers: Workers, read: Callable[[int], T]) -> T:
    """Call `read` with a descriptor that gives the request's body, and return its result.

    A body that breaks off must not look like one that ends: a cut-off tar may be a whole, smaller one. So it is a
    pair of sockets, not a pipe. The reader's end sends one byte that is only received when the body is complete;
    closing a unix socket that has unread data makes the other side's reads fail with ECONNRESET.

    Raises:
        Exception: what `read` raised.
    """
    reader, writer = socket.socketpair()
    reader.send(b"?")
    future = workers.submit(lambda: read(reader.fileno()))
    future.add_done_callback(lambda _: reader.close())
    with writer:
        writer.setblocking(False)
        try:
            if await _send_body(request, writer):
                writer.recv(1)
        except BaseException:
            future.cancel()
            raise
    return await received(future, lambda _: None)


async def _send_body(request: web.Request, writer: socket.socket) -> bool:
    """Whether all of it was sent; False: the reader has stopped, and its own error says why."""
    loop = asyncio.get_running_loop()
    async for chunk in request.content.iter_any():
        try:
            await loop.sock_sendall(writer, chunk)
        except ConnectionError:
            return False
    return True
