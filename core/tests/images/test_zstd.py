"""zstd streams, where its Python package is there, and the word about it where it is not."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator

import pytest

from pouch_engine.images.compression import Compression, StreamLimits, decompressed
from pouch_hookspecs.errors import DataDamaged, ResourceExhausted, Unsupported

INSTALLED = importlib.util.find_spec("zstandard") is not None
needs_zstandard = pytest.mark.skipif(not INSTALLED, reason="the optional package zstandard is not installed")


def _chunks(data: bytes, size: int = 5000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _compress(data: bytes) -> bytes:
    packed: bytes = importlib.import_module("zstandard").ZstdCompressor().compress(data)
    return packed


@needs_zstandard
def test_frames_one_after_another_are_one_stream() -> None:
    """As containerd's and zstd:chunked's tools write them."""
    data = bytes(range(256)) * 10_000
    packed = _compress(data) + _compress(b"end")
    assert b"".join(decompressed(_chunks(packed), Compression.ZSTD)) == data + b"end"


@needs_zstandard
@pytest.mark.parametrize("cut", [1, 4, 20])
def test_a_stream_that_is_cut_off_is_damaged(cut: int) -> None:
    """zstandard's own reader would end in silence."""
    with pytest.raises(DataDamaged, match="zstd"):
        list(decompressed(_chunks(_compress(bytes(range(256)) * 10_000)[:-cut]), Compression.ZSTD))


@needs_zstandard
def test_a_bomb_is_stopped() -> None:
    """By its ratio."""
    with pytest.raises(ResourceExhausted, match="bomb"):
        list(decompressed(_chunks(_compress(bytes(64 << 20))), Compression.ZSTD, StreamLimits(ratio_from=1 << 20)))


def test_without_the_package_the_answer_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what else can be done."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(Unsupported, match="zstandard is not installed"):
        list(decompressed(iter([b"\x28\xb5\x2f\xfd"]), Compression.ZSTD))
