"""An archive that is written to a descriptor on a thread, as the body of an answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from aiohttp import web

from .errors import broken_off_on_error
from .workers import Workers, received

_PIECE = 1 << 18


async def stream_archive(
    request: web.Request,
    workers: Workers,
    write: Callable[[int], None],
    headers: Callable[[], Awaitable[Mapping[str, str]]] | None = None,
) -> web.StreamResponse:
    """Answer with what `write` writes to the descriptor that it is called with.

    A failure before the first byte is an error like any other; one after it breaks the answer off, so that half an
    archive does not look like a whole one. When the client goes, the writer gets EPIPE.

    Args:
        request: to be answered.
        workers: that write.
        write: is called on a thread.
        headers: asked for when the first byte is there.

    Raises:
        Exception: what `write` raised before it had written anything.
    """
    reader, writer = os.pipe()
    future = workers.submit(lambda: write(writer))
    future.add_done_callback(lambda _: os.close(writer))
    pipe = _Pipe(reader)
    try:
        data = await pipe.read()
        if not data:
            await received(future, lambda _: None)
        response = web.StreamResponse(
            headers={"Content-Type": "application/x-tar", **(await headers() if headers else {})}
        )
        await response.prepare(request)
        with suppress(ConnectionError):  # the client has gone, or the answer was broken off, which the log tells
            with broken_off_on_error(request):
                while data:
                    await response.write(data)
                    data = await pipe.read()
                await received(future, lambda _: None)
            await response.write_eof()
    finally:
        pipe.close()
    return response


class _Pipe:
    """The reading end of a pipe, for the event loop; without a buffer, so that a slow client slows the writer down."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    async def read(self) -> bytes:
        """Some bytes; none at the end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return os.read(self._descriptor, _PIECE)
            except BlockingIOError:
                readable = loop.create_future()
                loop.add_reader(self._descriptor, _wake, readable)
                try:
                    await readable
                finally:
                    loop.remove_reader(self._descriptor)

    def close(self) -> None:
        """Nothing is read any more."""
        os.close(self._descriptor)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
