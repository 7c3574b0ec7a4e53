"""The table from errors to HTTP, and answers that broke."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest
from aiohttp import web

from pouch_engine.api.errors import STATUS, broken_off_on_error, status_of
from pouch_hookspecs import errors

from .conftest import serving
from .test_hijack import head, rest


def test_every_error_of_the_contract_has_a_status() -> None:
    """A new error can not be forgotten here."""
    tree = [error for error in vars(errors).values() if isinstance(error, type) and error is not errors.PouchError]
    assert {error for error in tree if issubclass(error, errors.PouchError)} == {kind for kind, _ in STATUS}


def test_a_missing_command_is_the_clients_mistake() -> None:
    """docker's clients take 400 with the message for exit codes 126 and 127; other failures of a runtime are 500."""
    assert status_of(errors.CommandNotFound("x")) == 400
    assert status_of(errors.RuntimeFailed("x")) == 500


async def ask(place: Path, error: Exception) -> tuple[int, str]:
    """Status and message of the answer when a handler raises."""

    async def fail(_: web.Request) -> web.Response:
        raise error

    async with serving(place, fail=fail) as site:
        reader, writer = await site.connect()
        writer.write(head(b"fail", b"Connection: close\r\n"))
        answer = await rest(reader)
        writer.close()
    start, _, body = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(body)["message"]


def test_an_error_with_its_hint(place: Path) -> None:
    """Docker's form, with what to do about it."""
    status, message = asyncio.run(ask(place, errors.NotFound("no such thing", hint="look elsewhere")))
    assert (status, message) == (404, "no such thing (look elsewhere)")


def test_no_traceback_leaves(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The client is told the kind; the log has the rest."""
    with caplog.at_level(logging.ERROR):
        status, message = asyncio.run(ask(place, ZeroDivisionError("secret")))
    assert status == 500
    assert "secret" not in message
    assert "secret" in caplog.text


def test_an_answer_that_fails_on_its_way_is_broken_off(place: Path) -> None:
    """After the head is out, an error must not look like the end: the chunked body never gets its last chunk."""

    async def fail(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with broken_off_on_error(request):
            await response.write(b"half")
            raise errors.DataDamaged("the rest is gone")
        return response

    async def scenario() -> bytes:
        async with serving(place, fail=fail) as site:
            reader, writer = await site.connect()
            writer.write(head(b"fail"))
            answer = await rest(reader)
            writer.close()
            return answer

    assert asyncio.run(scenario()).endswith(b"\r\n\r\n4\r\nhalf\r\n")
