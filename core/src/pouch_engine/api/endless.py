"""Answers without an end of their own (streams, waits): they end with the daemon at the latest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web


class Endless:
    """The tasks that give such answers now."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    @contextmanager
    def until_shutdown(self) -> Iterator[None]:
        """Let `end_all` cancel the current task as long as this lasts."""
        task = asyncio.current_task()
        assert task is not None  # handlers run in tasks
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    async def end_all(self, app: web.Application) -> None:
        """Cancel them all; a signal handler of the application's shutdown."""
        for task in list(self._tasks):
            task.cancel()
