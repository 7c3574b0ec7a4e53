"""Bytes from a thread to the event loop, at most so many ahead of the client."""

from __future__ import annotations

import asyncio
import threading

LIMIT = 2**20


class Handover:
    """One thread puts, one task takes. Made on the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._there = asyncio.Event()
        self._condition = threading.Condition()
        self._waiting = bytearray()
        self._finished = False
        self._closed = False

    def put(self, data: bytes) -> bool:
        """On the thread: hand over, waiting while too much is there; False: nobody takes any more."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or len(self._waiting) < LIMIT)
            if self._closed:
                return False
            first = not self._waiting
            self._waiting += data
        if first:
            self._loop.call_soon_threadsafe(self._there.set)
        return True

    def finish(self) -> None:
        """On the thread: nothing more will come."""
        with self._condition:
            self._finished = True
            closed = self._closed
        if not closed:
            self._loop.call_soon_threadsafe(self._there.set)

    async def take(self) -> bytes:
        """On the loop: all that is there, waiting for the first byte; nothing at the end."""
        while True:
            self._there.clear()
            with self._condition:
                data, self._waiting = bytes(self._waiting), bytearray()
                finished = self._finished
                self._condition.notify_all()
            if data or finished:
                return data
            await self._there.wait()

    def close(self) -> None:
        """On the loop: the thread is not held up any longer."""
        with self._condition:
            self._closed = True
            self._waiting.clear()
            self._condition.notify_all()
