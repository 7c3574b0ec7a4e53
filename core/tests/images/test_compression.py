"""Streams are recognised, unpacked with limits, and damage is found."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import zlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.images.compression import Compression, StreamLimits, decompressed, peek, recognise
from pouch_hookspecs.errors import DataDamaged, ResourceExhausted

PACKERS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: gzip.compress,
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
}
CONTENT = random.Random(1).randbytes(100_000) + bytes(3_000_000)


def _chunks(data: bytes, size: int = 4096) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("kind", PACKERS)
def test_a_stream_is_recognised_and_unpacked(kind: Compression) -> None:
    """By its first bytes, in pieces that stay small."""
    head, stream = peek(_chunks(PACKERS[kind](CONTENT), 3))
    pieces = list(decompressed(stream, recognise(head)))
    assert recognise(head) is kind
    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= 1 << 20


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_members_one_after_another_are_one_stream(kind: Compression) -> None:
    """As pigz, pbzip2 and estargz write them."""
    packed = PACKERS[kind](b"one ") + PACKERS[kind](b"two")
    assert b"".join(decompressed(_chunks(packed, 5), kind)) == b"one two"


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.XZ])
def test_zero_padding_after_the_end_is_fine(kind: Compression) -> None:
    """Tapes and some tools pad."""
    assert b"".join(decompressed(_chunks(PACKERS[kind](b"data") + bytes(512), 7), kind)) == b"data"


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_a_stream_that_is_cut_off_is_damaged(kind: Compression) -> None:
    """Its end is missing, whatever came out so far."""
    with pytest.raises(DataDamaged, match="ends early"):
        list(decompressed(_chunks(PACKERS[kind](CONTENT)[:-9]), kind))


@pytest.mark.parametrize("kind", [Compression.GZIP, Compression.BZIP2, Compression.XZ])
def test_a_flipped_byte_is_damage(kind: Compression) -> None:
    """By the format's own checksum."""
    packed = bytearray(PACKERS[kind](CONTENT))
    packed[len(packed) // 2] ^= 1
    with pytest.raises(DataDamaged, match="damaged"):
        list(decompressed(_chunks(bytes(packed)), kind))


def test_garbage_after_the_end_is_damage() -> None:
    """It is neither padding nor a member."""
    with pytest.raises(DataDamaged):
        list(decompressed(_chunks(gzip.compress(b"data") + b"garbage"), Compression.GZIP))


def test_a_bomb_is_stopped_by_its_ratio() -> None:
    """Long before the total limit, and only beyond the size up to which anything goes."""
    bomb = gzip.compress(bytes(64 << 20))
    limits = StreamLimits(ratio=200, ratio_from=8 << 20)
    with pytest.raises(ResourceExhausted, match="bomb"):
        list(decompressed(_chunks(bomb), Compression.GZIP, limits))


def test_a_long_stream_is_stopped_by_the_total() -> None:
    """Also when it is not compressed."""
    with pytest.raises(ResourceExhausted, match="limit of 1000 bytes"):
        list(decompressed(_chunks(bytes(2000), 100), Compression.NONE, StreamLimits(total_bytes=1000)))


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_gzip_comes_out_the_same_however_it_is_cut(data: bytes, size: int) -> None:
    """Chunks' borders mean nothing."""
    packed = zlib.compress(data, wbits=31)
    assert b"".join(decompressed(_chunks(packed, size), Compression.GZIP)) == data


@given(st.sampled_from([Compression.GZIP, Compression.BZIP2, Compression.XZ]), st.binary(max_size=200))
def test_any_bytes_are_content_or_damage(kind: Compression, data: bytes) -> None:
    """No other error comes out of a decompressor."""
    try:
        for _ in decompressed(_chunks(data), kind):
            pass
    except DataDamaged:
        pass
