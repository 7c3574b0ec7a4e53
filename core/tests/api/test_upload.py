"""Request bodies as descriptors."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from pathlib import Path

from aiohttp import web

from pouch_engine.api.upload import read_upload
from pouch_engine.api.workers import Workers
from pouch_hookspecs.errors import DataDamaged

from .conftest import serving
from .test_hijack import answered, head


def read_all(descriptor: int) -> str:
    """Read to the end; gives the digest."""
    digest = hashlib.sha256()
    while data := os.read(descriptor, 65536):
        digest.update(data)
    return digest.hexdigest()


def test_a_large_body_arrives_whole(place: Path) -> None:
    """32 MiB, read on a thread."""
    body = os.urandom(1 << 25)

    async def scenario() -> None:
        workers = Workers()

        async def upload(request: web.Request) -> web.Response:
            return web.Response(text=await read_upload(request, workers, read_all))

        async with serving(place, upload=upload) as site:
            reader, writer = await site.connect()
            writer.write(head(b"upload", length=len(body)) + body)
            assert await answered(reader) == b"HTTP/1.1 200 OK"
            assert (await reader.readexactly(64)).decode() == hashlib.sha256(body).hexdigest()
            writer.close()
        workers.close()

    asyncio.run(scenario())


def test_a_body_that_breaks_off_is_no_end(place: Path) -> None:
    """The client goes in the middle: the reader gets an error, not a shorter archive."""
    ended = threading.Event()
    seen: list[BaseException] = []

    def read(descriptor: int) -> None:
        try:
            read_all(descriptor)
        except OSError as error:
            seen.append(error)
            raise
        finally:
            ended.set()

    async def scenario() -> None:
        workers = Workers()

        async def upload(request: web.Request) -> web.Response:
            await read_upload(request, workers, read)
            return web.Response()

        async with serving(place, upload=upload) as site:
            _, writer = await site.connect()
            writer.write(head(b"upload", length=1000) + b"half")
            await writer.drain()
            await asyncio.sleep(0.05)
            writer.transport.abort()
            assert await asyncio.to_thread(ended.wait, 5)
        workers.close()

    asyncio.run(scenario())
    assert [type(error) for error in seen] == [ConnectionResetError]


def test_a_reader_that_refuses_early_says_why(place: Path) -> None:
    """Its own error is the answer, though the body is not read to its end."""

    def refuse(descriptor: int) -> None:
        os.read(descriptor, 10)
        raise DataDamaged("not an archive")

    async def scenario() -> bytes:
        workers = Workers()

        async def upload(request: web.Request) -> web.Response:
            await read_upload(request, workers, refuse)
            return web.Response()

        async with serving(place, upload=upload) as site:
            reader, writer = await site.connect()
            writer.write(head(b"upload", length=1 << 22) + bytes(1 << 22))
            status = await answered(reader)
            writer.close()
        workers.close()
        return status

    assert asyncio.run(scenario()).startswith(b"HTTP/1.1 500")


def test_nothing_is_left_of_refused_uploads(place: Path) -> None:
    """Descriptors are as before."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        test_a_reader_that_refuses_early_says_why(place)
        (place / "s").unlink()
    assert len(os.listdir("/proc/self/fd")) <= before
