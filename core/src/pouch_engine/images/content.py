"""The content store: blobs by digest, each verified before it is visible under its name.

Layout: `blobs/sha256/<hex>` (as in an OCI image layout) and `ingest/` for what is being written; a crash
leaves things only there. Directories 0700, files 0600.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pouch_hookspecs import Descriptor
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, ResourceExhausted

from . import digests
from .leases import Lease
from .streams import disk_errors, read_chunks

BLOB_LIMIT = 64 << 30
_AGAIN = "load or pull the image again"
_UNTYPED = "application/octet-stream"


class ContentStore:
    """A directory of verified blobs. Usable from several threads; the directory belongs to one process."""

    def __init__(self, directory: Path) -> None:
        self._blobs = directory / "blobs" / "sha256"
        self._incoming = directory / "ingest"
        for made in (directory, self._blobs.parent, self._blobs, self._incoming):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)

    def recover(self) -> None:
        """Remove what a crash left half written. Only while nothing is being ingested."""
        for leftover in self._incoming.iterdir():
            leftover.unlink()

    def ingest(
        self,
        chunks: Iterable[bytes],
        *,
        media_type: str = _UNTYPED,
        expected_digest: str = "",
        expected_size: int | None = None,
        limit: int = BLOB_LIMIT,
        lease: Lease | None = None,
    ) -> Descriptor:
        """Write a stream, verify it, make it durable and only then visible.

        A blob of the same digest is replaced, which mends one that was damaged.

        Args:
            chunks: the content.
            media_type: for the result; the store does not keep it.
            expected_digest: empty: whatever it turns out to be.
            expected_size: in bytes; None: any.
            limit: more bytes than this are refused.
            lease: holds the blob before it is visible, so that nobody collects it.

        Raises:
            DataDamaged: digest or size is another.
            ResourceExhausted: it is longer than `limit`, or the disk is full.
        """
        with self._new_file() as temporary, disk_errors("the image content"):
            checksum, size = hashlib.sha256(), 0
            with open(temporary, "xb", buffering=0, opener=_private) as file:
                for chunk in chunks:
                    size += len(chunk)
                    _check_limit(size, limit, expected_digest)
                    checksum.update(chunk)
                    _write(file.fileno(), chunk)
                os.fsync(file.fileno())
            found = Descriptor(media_type=media_type, digest=f"sha256:{checksum.hexdigest()}", size=size)
            _compare(found, expected_digest, expected_size)
            self._publish(temporary, found.digest, lease)
        return found

    def adopt(
        self,
        path: Path,
        *,
        media_type: str = _UNTYPED,
        expected_digest: str = "",
        expected_size: int | None = None,
        limit: int = BLOB_LIMIT,
        lease: Lease | None = None,
    ) -> Descriptor:
        """Take a regular file of the same file system by a further link, without a copy; else as `ingest`.

        Nobody may write to the file any more; its owner and mode become the store's.

        Raises:
            InvalidArgument: it is no regular file.
            DataDamaged: digest or size is another.
            ResourceExhausted: it is longer than `limit`.
        """
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{path.name!r} is not a regular file")
        _check_limit(status.st_size, limit, expected_digest)
        with self._new_file() as temporary, disk_errors("the image content"):
            os.link(path, temporary, follow_symlinks=False)
            descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                checksum, size = _hashed(descriptor)
                found = Descriptor(media_type=media_type, digest=checksum, size=size)
                _compare(found, expected_digest, expected_size)
                os.fchown(descriptor, os.geteuid(), os.getegid())
                os.fchmod(descriptor, 0o600)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._publish(temporary, found.digest, lease)
        return found

    def put(self, data: bytes, media_type: str = _UNTYPED, *, lease: Lease | None = None) -> Descriptor:
        """Keep a small blob; as `ingest`."""
        return self.ingest((data,), media_type=media_type, lease=lease)

    def path(self, digest: str) -> Path:
        """Return where a blob is, or would be.

        Raises:
            InvalidArgument: the digest is malformed.
        """
        return self._blobs / digests.hex_of(digest)

    def exists(self, digest: str) -> bool:
        """Tell whether a blob is there. Cheap: its content is verified when it is used."""
        return self.path(digest).exists()

    def size(self, digest: str) -> int:
        """Return a blob's length in bytes.

        Raises:
            DataDamaged: it is missing.
        """
        with _missing(digest):
            return self.path(digest).stat().st_size

    def open(self, digest: str) -> int:
        """Open a blob for reading; the caller verifies what it reads and closes the descriptor.

        Raises:
            DataDamaged: it is missing.
        """
        with _missing(digest):
            return os.open(self.path(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def read(self, digest: str, limit: int) -> bytes:
        """Return the content of a small blob, verified.

        Raises:
            DataDamaged: it is missing, or its content has another digest.
            ResourceExhausted: it is longer than `limit` bytes.
        """
        with _missing(digest), self.path(digest).open("rb") as file:
            data = file.read(limit + 1)
        _check_limit(len(data), limit, digest)
        if digests.digest_of(data) != digest:
            raise _damaged(digest, digests.digest_of(data))
        return data

    def verify(self, digest: str) -> None:
        """Read a whole blob and compare.

        Raises:
            DataDamaged: it is missing, or its content has another digest.
        """
        descriptor = self.open(digest)
        try:
            found, _ = _hashed(descriptor)
        finally:
            os.close(descriptor)
        if found != digest:
            raise _damaged(digest, found)

    def remove(self, digest: str) -> None:
        """Remove a blob; one that is gone is not an error."""
        self.path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        """List all blobs."""
        for entry in self._blobs.iterdir():
            if digests.is_hexadecimal(entry.name):
                yield f"sha256:{entry.name}"

    @contextmanager
    def _new_file(self) -> Iterator[Path]:
        """A free name in `ingest/`; what is left under it at the end is removed."""
        temporary = self._incoming / secrets.token_hex(16)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _publish(self, temporary: Path, digest: str, lease: Lease | None) -> None:
        if lease is not None:
            lease.hold((digest,))
        temporary.replace(self.path(digest))
        # rename(2) of a second link to the very same file does nothing; then _new_file removes the first.
        directory = os.open(self._blobs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _hashed(descriptor: int) -> tuple[str, int]:
    checksum, size = hashlib.sha256(), 0
    for chunk in read_chunks(descriptor):
        checksum.update(chunk)
        size += len(chunk)
    return f"sha256:{checksum.hexdigest()}", size


def _check_limit(size: int, limit: int, digest: str) -> None:
    if size > limit:
        raise ResourceExhausted(f"the blob {digest or 'being read'} has more than the limit of {limit} bytes")


def _compare(found: Descriptor, digest: str, size: int | None) -> None:
    if size is not None and size != found.size:
        raise DataDamaged(f"blob {digest or found.digest} has {found.size} bytes, expected {size}")
    if digest and digest != found.digest:
        raise DataDamaged(f"blob {digest} is damaged: its content has the digest {found.digest}")


def _damaged(digest: str, found: str) -> DataDamaged:
    return DataDamaged(f"blob {digest} is damaged: its content has the digest {found}", hint=_AGAIN)


@contextmanager
def _missing(digest: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        raise DataDamaged(f"blob {digest} is missing", hint=_AGAIN) from error
