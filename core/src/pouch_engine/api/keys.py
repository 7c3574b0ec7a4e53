"""What the application holds for its handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from .activity import Activity
from .endless import Endless
from .hijack import Hangups
from .workers import Workers

if TYPE_CHECKING:
    from pouch_engine.engine import Engine

ENGINE: web.AppKey[Engine] = web.AppKey("engine")
WORKERS = web.AppKey("workers", Workers)
ENDLESS = web.AppKey("endless", Endless)
HANGUPS = web.AppKey("hangups", Hangups)
ACTIVITY = web.AppKey("activity", Activity)
