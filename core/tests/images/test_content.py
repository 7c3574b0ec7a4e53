"""A blob is visible only under its true digest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.images.content import ContentStore
from pouch_engine.images.leases import Leases
from pouch_hookspecs.errors import DataDamaged, InvalidArgument, ResourceExhausted, Unsupported


@pytest.fixture
def store(directory: Path) -> ContentStore:
    """An empty content store."""
    return ContentStore(directory / "content")


def test_a_blob_is_read_as_it_was_written(store: ContentStore, build: Any) -> None:
    """Digest and size come from the content."""
    found = store.ingest(iter([b"some ", b"bytes"]))
    assert (found.digest, found.size) == (build.sha256(b"some bytes"), 10)
    assert store.read(found.digest, 100) == b"some bytes"


def test_directories_and_blobs_are_private_whatever_the_umask(directory: Path) -> None:
    """0700 and 0600."""
    old = os.umask(0)
    try:
        store = ContentStore(directory / "content")
        blob = store.path(store.put(b"x").digest)
    finally:
        os.umask(old)
    modes = {path.stat().st_mode & 0o7777 for path in (directory / "content", blob.parent, blob.parent.parent)}
    assert (modes, blob.stat().st_mode & 0o7777) == ({0o700}, 0o600)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"expected_digest": "sha256:" + "0" * 64}, DataDamaged),
        ({"expected_size": 3}, DataDamaged),
        ({"limit": 3}, ResourceExhausted),
    ],
)
def test_what_is_not_as_expected_is_refused_and_leaves_nothing(
    store: ContentStore, directory: Path, arguments: dict[str, Any], error: type[Exception]
) -> None:
    """Wrong digest, wrong length, too long."""
    with pytest.raises(error):
        store.ingest(iter([b"four"]), **arguments)
    assert (list(store.digests()), os.listdir(directory / "content" / "ingest")) == ([], [])


def test_a_stream_that_fails_leaves_nothing(store: ContentStore, directory: Path) -> None:
    """The error of the stream comes through."""

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        store.ingest(broken())
    assert (list(store.digests()), os.listdir(directory / "content" / "ingest")) == ([], [])


def test_a_damaged_small_blob_is_found_when_it_is_read(store: ContentStore) -> None:
    """The digest is computed again at each use."""
    digest = store.put(b"content").digest
    store.path(digest).write_bytes(b"c0ntent")
    with pytest.raises(DataDamaged, match=digest):
        store.read(digest, 100)


def test_a_damaged_large_blob_is_found_by_verify(store: ContentStore) -> None:
    """Verification reads it whole."""
    digest = store.put(bytes(1 << 20)).digest
    with store.path(digest).open("r+b") as file:
        file.seek(1 << 19)
        file.write(b"\1")
    with pytest.raises(DataDamaged, match=digest):
        store.verify(digest)


def test_writing_a_blob_again_mends_it(store: ContentStore) -> None:
    """What is there is replaced, not trusted."""
    digest = store.put(b"content").digest
    store.path(digest).write_bytes(b"c0ntent")
    store.put(b"content")
    assert store.read(digest, 100) == b"content"


def test_a_missing_blob_is_named(store: ContentStore) -> None:
    """With what to do about it."""
    with pytest.raises(DataDamaged, match=f"sha256:{'0' * 64} is missing"):
        store.open("sha256:" + "0" * 64)


def test_a_read_is_limited(store: ContentStore) -> None:
    """A blob that is too long for its use is not read into memory."""
    with pytest.raises(ResourceExhausted):
        store.read(store.put(b"content").digest, 3)


@pytest.mark.parametrize(
    ("digest", "error"),
    [("sha256:../../etc/passwd", InvalidArgument), ("sha256:" + "A" * 64, InvalidArgument), ("sha512:x", Unsupported)],
)
def test_only_whole_digests_become_paths(store: ContentStore, digest: str, error: type[Exception]) -> None:
    """Nothing else reaches the file system."""
    with pytest.raises(error):
        store.path(digest)


def test_a_file_is_adopted_without_a_copy(store: ContentStore, directory: Path, build: Any) -> None:
    """It becomes a link to the same file, with the store's mode."""
    source = directory / "file"
    source.write_bytes(b"layer")
    source.chmod(0o4777)
    found = store.adopt(source, expected_digest=build.sha256(b"layer"))
    status = store.path(found.digest).stat()
    assert (status.st_ino, status.st_mode & 0o7777) == (source.stat().st_ino, 0o600)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/etc/passwd", path), os.mkdir])
def test_only_regular_files_are_adopted(store: ContentStore, directory: Path, make: Callable[[Path], None]) -> None:
    """A fifo would block, a link would lead elsewhere."""
    make(directory / "odd")
    with pytest.raises(InvalidArgument):
        store.adopt(directory / "odd")


def test_a_crash_leaves_only_what_recover_removes(store: ContentStore, directory: Path) -> None:
    """Blobs stay, half written files go."""
    digest = store.put(b"whole").digest
    (directory / "content" / "ingest" / "half").write_bytes(b"hal")
    store.recover()
    assert (os.listdir(directory / "content" / "ingest"), list(store.digests())) == ([], [digest])


def test_a_blob_is_held_before_it_is_visible(store: ContentStore) -> None:
    """A collection in the moment after the rename already finds it under the lease."""
    leases = Leases()
    with leases.lease() as lease:
        digest = store.put(b"x", lease=lease).digest
        assert digest in leases.held
    assert digest not in leases.held
