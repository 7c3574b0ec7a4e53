"""The one table from the engine's errors to HTTP, and the answer that they become."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from pouch_hookspecs import errors

from .hijack import HijackableHandler

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

STATUS: tuple[tuple[type[errors.PouchError], int], ...] = (
    (errors.InvalidArgument, 400),
    (errors.CommandNotFound, 400),
    (errors.CommandNotExecutable, 400),
    (errors.PermissionDenied, 403),
    (errors.Refused, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.DataDamaged, 500),
    (errors.PluginFailed, 500),
    (errors.RuntimeFailed, 500),
    (errors.Unsupported, 501),
    (errors.Unavailable, 503),
    (errors.DeadlineExceeded, 504),
    (errors.ResourceExhausted, 507),
)
"""The first that fits counts. A start that finds no command is 400, as docker's clients expect it for exit code 127."""


def status_of(error: errors.PouchError) -> int:
    """The HTTP status of an error; 500 for one that the table does not know."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def error_answer(status: int, message: str) -> web.Response:
    """Docker's form of an error."""
    return web.Response(
        status=status, body=json.dumps({"message": message}).encode() + b"\n", content_type="application/json"
    )


@contextmanager
def broken_off_on_error(request: web.Request) -> Iterator[None]:
    """For what follows when the head of an answer is out: all that can show an error then is that the end is missing.

    Raises:
        ConnectionResetError: in place of the error, which goes to the log.
    """
    try:
        yield
    except ConnectionError:
        raise
    except Exception as error:
        expected = isinstance(error, errors.PouchError)
        log.warning("%s %s broke off: %s", request.method, request.path, error, exc_info=not expected)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the answer was broken off") from error


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into an answer; no traceback ever leaves the daemon."""
    try:
        return await handler(request)
    except errors.PouchError as error:
        answer = error_answer(status_of(error), str(error))
    except web.HTTPException as error:
        answer = _of_framework(error)
    except ConnectionError:
        raise
    except Exception as error:
        log.exception("%s %s failed", request.method, request.path)
        answer = error_answer(500, f"internal error: {type(error).__name__} (the daemon's log has the details)")
    if isinstance(request.protocol, HijackableHandler) and not request.protocol.decline():
        answer.force_close()
    return answer


def _of_framework(error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses; docker knows no 405."""
    if error.status in (404, 405):
        return error_answer(404, "page not found")
    if error.status == 413:
        return error_answer(413, "the request's body is too large")
    return error_answer(error.status, error.text or error.reason)
