"""What query parameters and bodies say."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.api import queries
from pouch_engine.api.create_body import CreateBody, read_body
from pouch_hookspecs.errors import InvalidArgument


def request(query: str) -> web.Request:
    """A request with this query."""
    return make_mocked_request("GET", f"/x?{query}")


@pytest.mark.parametrize(
    ("query", "value"),
    [("", False), ("a=", False), ("a=0", False), ("a=False", False), ("a=no", False), ("a=1", True), ("a=True", True)],
)
def test_booleans(query: str, value: bool) -> None:
    """The command line sends 0 and 1, compose sends True and False."""
    assert queries.boolean(request(query), "a") is value


@pytest.mark.parametrize("text", ["x", "1.5", "1_0", "%D9%A3", "0x10", "9" * 30])
def test_numbers_are_plain_decimals(text: str) -> None:
    """Python's int() takes more than a number on the wire may be."""
    with pytest.raises(InvalidArgument, match="not a whole number"):
        queries.integer(request(f"a={text}"), "a")


@pytest.mark.parametrize(
    "text", ['{"label":["a=b","c"]}', '{"label":{"a=b":true,"c":true,"d":false}}'], ids=["list", "map"]
)
def test_filters_in_both_forms(text: str) -> None:
    """docker-py sends lists, docker's command line maps."""
    assert queries.filters(request(f"filters={quote(text)}"), ("label",)) == {"label": ("a=b", "c")}


@pytest.mark.parametrize("text", ["{", "[]", "3", '{"label":"x"}', '{"label":[1]}', '{"nosuch":["x"]}', "[" * 100_000])
def test_wrong_filters_are_refused(text: str) -> None:
    """With what is expected."""
    with pytest.raises(InvalidArgument, match="filter"):
        queries.filters(request(f"filters={quote(text)}"), ("label",))


def test_times_to_the_nanosecond() -> None:
    """Docker's clients send seconds with decimals."""
    assert queries.nanoseconds(request("since=1764000000.000000001"), "since") == 1764000000000000001
    assert queries.moment(request("since=1764000000.5"), "since") == datetime(2025, 11, 24, 16, 0, 0, 500000, UTC)
    assert queries.nanoseconds(request("since=0"), "since") is None


@pytest.mark.parametrize("text", ["yesterday", "1e9", "1.1234567891", "inf", "nan", "999999999999"])
def test_other_times_are_refused(text: str) -> None:
    """Not a moment, or one beyond the calendar."""
    with pytest.raises(InvalidArgument, match="since"):
        queries.moment(request(f"since={text}"), "since")


class Body:
    """A request as far as its body goes."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self) -> bytes:
        """The body."""
        return self._body


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.binary() | _values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_an_object_or_refused(body: bytes) -> None:
    """Whatever comes, it is a JSON object or an error of ours."""
    try:
        document = asyncio.run(queries.json_object(Body(body)))  # type: ignore[arg-type]
    except InvalidArgument:
        return
    assert isinstance(document, dict)


_names = [field.alias or name for name, field in CreateBody.model_fields.items()]


@given(st.dictionaries(st.sampled_from(_names), _values, max_size=4))
def test_any_create_body_is_read_or_refused(document: dict[str, object]) -> None:
    """A field of any type gives an error of ours, never another exception."""
    try:
        body = read_body(CreateBody, document)
    except InvalidArgument:
        return
    assert isinstance(body, CreateBody)
