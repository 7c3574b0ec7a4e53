"""Detach keys: their notation and finding them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.api.detach_keys import DetachKeys, parse_keys
from pouch_hookspecs.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "keys"),
    [("", b"\x10\x11"), ("ctrl-p,ctrl-q", b"\x10\x11"), ("a", b"a"), ("ctrl-a,d", b"\x01d"), ("ctrl-[", b"\x1b")],
)
def test_notation(text: str, keys: bytes) -> None:
    """Docker's notation of keys."""
    assert parse_keys(text) == keys


@pytest.mark.parametrize("text", ["ctrl-", "ctrl-1", "ab", ",", "ctrl-p,", "é"])
def test_unknown_keys_are_refused(text: str) -> None:
    """The key at fault is named."""
    with pytest.raises(InvalidArgument, match="invalid detach key"):
        parse_keys(text)


@given(st.binary().filter(lambda data: b"pq" not in data), st.integers(1, 5))
def test_without_the_sequence_everything_passes(data: bytes, size: int) -> None:
    """However it is cut, nothing is lost but a beginning that may still become the sequence."""
    keys = DetachKeys(b"pq")
    pieces = [keys.scan(data[at : at + size]) for at in range(0, len(data), size)]
    assert not any(detached for _, detached in pieces)
    assert data.removesuffix(b"p") == b"".join(passed for passed, _ in pieces)


@given(st.binary().filter(lambda data: b"p" not in data), st.binary(), st.integers(1, 5))
def test_the_sequence_is_found_however_it_is_cut(before: bytes, after: bytes, size: int) -> None:
    """All before it passes, nothing of it or after it does."""
    keys, data, passed = DetachKeys(b"pq"), before + b"pq" + after, b""
    for at in range(0, len(data), size):
        piece, detached = keys.scan(data[at : at + size])
        passed += piece
        if detached:
            break
    else:
        pytest.fail("the sequence was not found")
    assert passed == before
