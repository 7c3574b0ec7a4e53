"""Undoing what is half done: each step registers its undo before it acts; a failure unwinds all, last first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

log = logging.getLogger(__name__)


class Undo(ExitStack):
    """An ExitStack whose callbacks are all tried and never hide the error that led here.

    What can not be undone is logged; the record's intent makes the next reconcile finish it.
    """

    def later(self, step: Callable[..., object], /, *arguments: Any, **keywords: Any) -> None:
        """Do this when a later step fails."""
        self.callback(_tried, step, arguments, keywords)

    def keep(self) -> None:
        """All went well: nothing is undone."""
        self.pop_all()


def _tried(step: Callable[..., object], arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
    try:
        step(*arguments, **keywords)
    except Exception:
        log.exception("undoing a half done operation failed in one step")
