"""How log entries are shown."""

from __future__ import annotations

import pytest

from pouch_engine.api.logs import Wanted, batches, docker_time
from pouch_engine.containers.logs import Entry

TIME = "2026-11-24T07:12:08.5+01:00"


def test_lines_in_parts_have_one_timestamp() -> None:
    """A long line comes in entries; its time stands at its beginning only, each stream by itself."""
    entries = [
        Entry(TIME, "stdout", b"one ", False),
        Entry(TIME, "stderr", b"err", True),
        Entry(TIME, "stdout", b"line", True),
    ]
    shown = Wanted(stdout=True, stderr=True, timestamps=True, terminal=True).encode(entries)
    assert b"".join(shown) == (b"2026-11-24T06:12:08.500000000Z one 2026-11-24T06:12:08.500000000Z err\nline\n")


def test_frames_and_selection() -> None:
    """Only the streams that are wanted, each entry in a frame."""
    entries = [Entry(TIME, "stdout", b"out", True), Entry(TIME, "stderr", b"err", True)]
    assert list(Wanted(stdout=False, stderr=True).encode(entries)) == [b"\2\0\0\0\0\0\0\4err\n"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-24T06:12:08.123456789+00:00", "2026-11-24T06:12:08.123456789Z"),
        ("2026-11-24T06:12:08Z", "2026-11-24T06:12:08.000000000Z"),
        ("2026-11-24T06:12:08.1-02:30", "2026-11-24T08:42:08.100000000Z"),
        ("garbage", "garbage"),
    ],
)
def test_times_in_utc(text: str, shown: str) -> None:
    """To the nanosecond, whatever the host's zone."""
    assert docker_time(text) == shown


def test_batches_keep_every_byte() -> None:
    """Small pieces are joined, in order."""
    pieces = [bytes([number % 256]) * 1000 for number in range(300)]
    joined = list(batches(pieces))
    assert b"".join(joined) == b"".join(pieces)
    assert len(joined) < 10
