"""Real stores on the real overlay driver, and builders of archives, good and bad."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pouch_engine.images import AddedImage, ImageStore
from pouch_engine.images.compression import StreamLimits
from pouch_engine.state.database import Database
from pouch_hookspecs import Handler
from pouch_overlay import OverlayStorage

T = TypeVar("T")
OCI = "application/vnd.oci.image"


def sha256(data: bytes) -> str:
    """The digest of bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_tar(files: Mapping[str, bytes | None]) -> bytes:
    """A tar of files, and of directories where the content is None; the same files give the same bytes."""
    return pack_members([(member(name, data), data or b"") for name, data in files.items()])


def member(name: str, data: bytes | None = b"", **fields: Any) -> tarfile.TarInfo:
    """A header: a file, or a directory where `data` is None, with fields of its own."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    entry.mode = 0o755 if data is None else 0o644
    entry.size = len(data or b"")
    for key, value in fields.items():
        setattr(entry, key, value)
    return entry


def pack_members(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A tar of headers and their content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, data in members:
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


@dataclass
class Layout:
    """An OCI image layout in the making: its files, which a test may damage before it packs them."""

    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        """Add a blob; returns its descriptor."""
        self.files[f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"] = data
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    def config(self, diff_ids: list[str], **fields: Any) -> dict[str, Any]:
        """Add a configuration."""
        document = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        return self.blob(json.dumps(document | fields).encode(), f"{OCI}.config.v1+json")

    def manifest(self, config: dict[str, Any], layers: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
        """Add a manifest."""
        kind = f"{OCI}.manifest.v1+json"
        document = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}
        return self.blob(json.dumps(document | fields).encode(), kind)

    def index(self, manifests: list[dict[str, Any]]) -> dict[str, Any]:
        """Add an index below index.json."""
        kind = f"{OCI}.index.v1+json"
        document = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
        return self.blob(json.dumps(document).encode(), kind)

    def image(self, tars: list[bytes], name: str = "", **config: Any) -> dict[str, Any]:
        """Add a whole image of gzipped layers; returns its manifest's descriptor."""
        layers = [self.blob(gzip.compress(tar, mtime=0), f"{OCI}.layer.v1.tar+gzip") for tar in tars]
        entry = self.manifest(self.config([sha256(tar) for tar in tars], **config), layers)
        self.entry(entry, name)
        return entry

    def entry(self, descriptor: dict[str, Any], name: str = "", **fields: Any) -> None:
        """List a descriptor in index.json."""
        annotations = {"org.opencontainers.image.ref.name": name} if name else {}
        self.entries.append({**descriptor, "annotations": annotations, **fields})

    def pack(self) -> bytes:
        """The tar."""
        index = json.dumps({"schemaVersion": 2, "manifests": self.entries}).encode()
        fixed = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index}
        return make_tar(fixed | self.files)


@dataclass
class Saved:
    """An archive as `docker save` writes it, in the making."""

    files: dict[str, bytes] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)

    def image(self, tars: list[bytes], tags: list[str] | None = None, **config: Any) -> str:
        """Add an image of plain layers; returns its id."""
        document = {"architecture": "amd64", "os": "linux"} | config
        document["rootfs"] = {"type": "layers", "diff_ids": [sha256(tar) for tar in tars]}
        data = json.dumps(document).encode()
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        paths = [f"{hashlib.sha256(tar).hexdigest()}/layer.tar" for tar in tars]
        self.files |= {name: data, **dict(zip(paths, tars, strict=True))}
        self.entries.append({"Config": name, "RepoTags": tags, "Layers": paths})
        return sha256(data)

    def pack(self) -> bytes:
        """The tar."""
        return make_tar({"manifest.json": json.dumps(self.entries).encode()} | self.files)


class World:
    """A store with everything below it, in a directory of its own."""

    def __init__(self, directory: Path, limits: StreamLimits | None = None) -> None:
        self.directory = directory
        self.content = directory / "images"
        self.events: list[tuple[str, str, Mapping[str, str]]] = []
        data, run = directory / "storage", directory / "run"
        for made in (data, run):
            made.mkdir(exist_ok=True)
        self.storage = OverlayStorage(Handler("overlay", "overlay", OverlayStorage.Options(), data, run))
        self.database = Database(directory / "pouch.db")
        self.store = ImageStore(
            self.database,
            self.content,
            self.storage,  # type: ignore[arg-type]  # it has the hooks, not the class that describes them
            emit=lambda *event: self.events.append(event),
            limits=limits,
        )
        self.store.recover()

    def load(self, archive: bytes) -> list[AddedImage]:
        """Load an archive from a file."""
        return with_file(archive, self.store.load)

    def import_rootfs(self, tar: bytes, reference: str | None = None, **arguments: Any) -> AddedImage:
        """Import a tar from a file."""
        return with_file(tar, lambda fd: self.store.import_rootfs(fd, reference, **arguments))

    def layers(self) -> set[str]:
        """What the storage driver has."""
        return {entry.key for entry in self.storage.storage_list()}

    def blobs(self) -> set[str]:
        """The blobs in the content store, as file names."""
        return set(os.listdir(self.content / "blobs" / "sha256"))

    def leftovers(self) -> list[str]:
        """What is there of no image."""
        return os.listdir(self.content / "ingest") + os.listdir(self.content / "staging")

    def root_of(self, name: str) -> Path:
        """The mounted root file system of a new container from an image."""
        image = self.store.resolve(name)
        with self.store.lease(image):
            self.store.ensure_unpacked(image)
            self.storage.storage_prepare(key="a" * 64, parent=image.chain_id)
        return Path(self.storage.storage_mount(key="a" * 64))

    def close(self) -> None:
        """Unmount and close, as a daemon's end does; twice is fine."""
        self.storage.storage_remove(key="a" * 64)
        assert self.storage._store.trash.wait(10)
        self.database.close()


def with_file(data: bytes, use: Callable[[int], T]) -> T:
    """Call `use` with a descriptor of a file that has this content."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return use(file.fileno())


@pytest.fixture
def directory(no_leaks: None) -> Iterator[Path]:
    """A directory with a short path, on a file system that overlayfs takes."""
    made = Path(tempfile.mkdtemp(prefix="pouch-images-", dir="/run"))
    yield made
    shutil.rmtree(made)


@pytest.fixture
def world(directory: Path) -> Iterator[World]:
    """An empty store."""
    made = World(directory)
    yield made
    made.close()


@pytest.fixture
def new_world(directory: Path) -> Iterator[Callable[..., World]]:
    """Ends the last store and opens one on the same directory, as a daemon's next start does."""
    opened: list[World] = []

    def open_world(**arguments: Any) -> World:
        while opened:
            opened.pop().close()
        opened.append(World(directory, **arguments))
        return opened[-1]

    yield open_world
    while opened:
        opened.pop().close()


@pytest.fixture
def layout() -> Layout:
    """An empty layout."""
    return Layout()


@pytest.fixture
def saved() -> Saved:
    """An empty saved archive."""
    return Saved()


@pytest.fixture
def build() -> Any:
    """The functions that build archives: `tar`, `member`, `members`, `sha256`, and a new `layout` or `saved`."""

    class Build:
        tar = staticmethod(make_tar)
        member = staticmethod(member)
        members = staticmethod(pack_members)
        sha256 = staticmethod(sha256)
        layout = Layout
        saved = Saved

    return Build


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Descriptors, threads of streams and mounts are the same after a test and its fixtures as before."""
    before = _taken()
    yield
    assert _taken() == before


def _taken() -> tuple[int, list[str], list[str]]:
    threads = [thread.name for thread in threading.enumerate() if thread.name == "image-stream"]
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "pouch-images-" in line]
    return len(os.listdir("/proc/self/fd")), threads, mounts
