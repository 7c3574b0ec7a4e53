"""Threads for calls of the engine, which block.

Two pools, so that any number of slow changes (`stop -t 3600`) can not keep a look or a kill waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

CHANGING_THREADS = 64
LOOKING_THREADS = 16


class Workers:
    """Both pools. Threads are started when they are needed."""

    def __init__(self) -> None:
        self._changing = ThreadPoolExecutor(CHANGING_THREADS, thread_name_prefix="api-change")
        self._looking = ThreadPoolExecutor(LOOKING_THREADS, thread_name_prefix="api-look")

    async def change(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what may take long; if the client goes meanwhile, the call goes on."""
        return await self._run(self._changing, partial(function, *args, **kwargs))

    async def look(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call what answers soon."""
        return await self._run(self._looking, partial(function, *args, **kwargs))

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Begin what may take long; see `received`."""
        return self._changing.submit(function)

    async def acquire(
        self, dispose: Callable[[T], object], function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `change`, for a result that somebody has to let go: with `dispose`, if nobody waits for it any more."""
        return await received(self.submit(partial(function, *args, **kwargs)), dispose)

    def close(self) -> None:
        """Take no more calls; those that run go on to their end."""
        self._changing.shutdown(wait=False, cancel_futures=True)
        self._looking.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    async def _run(pool: Executor, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, call)


async def received(future: Future[T], dispose: Callable[[T], object]) -> T:
    """Await a future of the engine; if the wait is given up, so is the future."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        give_up(future, dispose)
        raise


def give_up(future: Future[T], dispose: Callable[[T], object]) -> None:
    """Want a future no longer: cancel it if that is still possible, else dispose of its result, now or later."""
    future.cancel()
    future.add_done_callback(partial(_dispose_of, dispose))


def _dispose_of(dispose: Callable[[T], object], future: Future[T]) -> None:
    if not future.cancelled() and future.exception() is None:
        dispose(future.result())
