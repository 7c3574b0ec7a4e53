"""Compressed streams: recognised by their first bytes, unpacked piece by piece with limits against bombs."""

from __future__ import annotations

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from pouch_hookspecs.errors import DataDamaged, ResourceExhausted, Unsupported

from .streams import CHUNK

_PIECE = 1 << 20
_GZIP_FORMAT = 31  # zlib's wbits for a gzip header and trailer
_XZ_MEMORY = 256 << 20
_ZSTD_WINDOW = 128 << 20
# A decompressobj has no bound on its output; 4 bytes can become 128 KiB (RFC 8878, RLE blocks), so a slice at
# most 64 MiB.
_ZSTD_SLICE = 2048


class Compression(StrEnum):
    """How a stream is compressed."""

    NONE = "none"
    GZIP = "gzip"
    BZIP2 = "bzip2"
    XZ = "xz"
    ZSTD = "zstd"


_MAGIC = {
    b"\x1f\x8b\x08": Compression.GZIP,
    **{b"BZh%d1AY&SY" % level: Compression.BZIP2 for level in range(1, 10)},
    b"\xfd7zXZ\x00": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
}
MAGIC_BYTES = max(map(len, _MAGIC))


@dataclass(frozen=True)
class StreamLimits:
    """How much may come out of a stream.

    Attributes:
        total_bytes: in all.
        ratio: bytes out for each byte in …
        ratio_from: … once so many bytes came out: small things may compress as well as they like.
    """

    total_bytes: int = 64 << 30
    ratio: int = 200
    ratio_from: int = 1 << 30


def recognise(head: bytes) -> Compression:
    """Tell the compression by the first `MAGIC_BYTES` bytes."""
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), Compression.NONE)


def peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of a stream, at least `MAGIC_BYTES` if it has them, and the whole stream."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= MAGIC_BYTES:
            break
    return head, chain((head,), chunks)


def decompressed(chunks: Iterator[bytes], kind: Compression, limits: StreamLimits | None = None) -> Iterator[bytes]:
    """Unpack a stream into pieces of at most about 1 MiB. The stream is read to its end.

    Args:
        chunks: the stream.
        kind: its compression; several members one after another and zero padding are fine.
        limits: None: the defaults of `StreamLimits`.

    Raises:
        DataDamaged: it is malformed or ends early.
        ResourceExhausted: more comes out of it than the limits allow.
        Unsupported: this kind needs a Python package that is not installed.
    """
    bound = limits or StreamLimits()
    taken = given = 0

    def counted() -> Iterator[bytes]:
        nonlocal taken
        for chunk in chunks:
            taken += len(chunk)
            yield chunk

    for piece in _UNPACKERS[kind](counted()):
        given += len(piece)
        if given > bound.total_bytes:
            raise ResourceExhausted(f"the {kind} stream holds more than the limit of {bound.total_bytes} bytes")
        if given > bound.ratio_from and given > taken * bound.ratio:
            raise ResourceExhausted(
                f"the {kind} stream looks like a decompression bomb: {taken} bytes of it gave {given} bytes, "
                f"more than {bound.ratio} for one"
            )
        yield piece


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks


def _inflate() -> Any:
    """ISA-L is more than twice as fast as zlib, and optional."""
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib


def _gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    library = _inflate()
    stream = library.decompressobj(_GZIP_FORMAT)
    try:
        for chunk in chunks:
            data = chunk
            while data:
                if stream.eof:
                    data = data.lstrip(b"\0")
                    if not data:
                        break
                    stream = library.decompressobj(_GZIP_FORMAT)
                yield stream.decompress(data, _PIECE)
                data = stream.unused_data if stream.eof else stream.unconsumed_tail
        yield stream.flush()
    except library.error as error:
        raise DataDamaged(f"the gzip stream is damaged: {error}") from error
    if not stream.eof:
        raise DataDamaged("the gzip stream ends early")


def _block_streams(
    name: str, new: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]
) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    def unpack(chunks: Iterator[bytes]) -> Iterator[bytes]:
        stream = new()
        try:
            for chunk in chunks:
                data = chunk
                while data or not (stream.eof or stream.needs_input):
                    if stream.eof:
                        data = data.lstrip(b"\0")
                        if not data:
                            break
                        stream = new()
                    yield stream.decompress(data, _PIECE)
                    data = stream.unused_data if stream.eof else b""
        except (OSError, lzma.LZMAError) as error:
            raise DataDamaged(f"the {name} stream is damaged: {error}") from error
        if not stream.eof:
            raise DataDamaged(f"the {name} stream ends early")

    return unpack


def _zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError:
        raise Unsupported(
            "the stream is compressed with zstd and the Python package zstandard is not installed here",
            hint="install zstandard into the environment of pouchd, or use gzip",
        ) from None
    unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    stream = unpacker.decompressobj()
    pieces = bytearray()
    try:
        for chunk in chunks:
            for data in _slices(chunk, _ZSTD_SLICE):
                while data:
                    if stream.eof:
                        stream = unpacker.decompressobj()
                    pieces += stream.decompress(data)
                    data = stream.unused_data if stream.eof else b""
                if len(pieces) >= CHUNK:
                    yield bytes(pieces)
                    pieces.clear()
        yield bytes(pieces)
    except zstandard.ZstdError as error:
        raise DataDamaged(f"the zstd stream is damaged: {error}") from error
    if not stream.eof:
        raise DataDamaged("the zstd stream ends early")


def _slices(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


_UNPACKERS: dict[Compression, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    Compression.NONE: _plain,
    Compression.GZIP: _gzip,
    Compression.BZIP2: _block_streams("bzip2", bz2.BZ2Decompressor),
    Compression.XZ: _block_streams("xz", lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)),
    Compression.ZSTD: _zstd,
}
