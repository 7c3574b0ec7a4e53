"""A directory whose mounts are taken away, and layers made of a few lines."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from pouch_linux import mounts

Describe = Callable[[Path], dict[str, Any]]


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """An empty directory; whatever is mounted below goes at the end."""
    yield tmp_path
    mounts.unmount_tree(tmp_path)


@pytest.fixture
def tmpfs(scratch: Path) -> Path:
    """An empty tmpfs."""
    path = scratch / "tmpfs"
    path.mkdir()
    mounts.mount("test", path, "tmpfs", data="mode=755")
    return path


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """One entry of an archive; fields are those of TarInfo."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mtime = kind, len(content), 1_000_000
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


class Archive:
    """Builds tar archives entry by entry."""

    def __init__(self) -> None:
        self._entries: list[tuple[tarfile.TarInfo, bytes]] = []

    def file(self, name: str, content: bytes = b"", **fields: Any) -> Archive:
        """Adds a regular file."""
        self._entries.append(entry(name, tarfile.REGTYPE, content, **fields))
        return self

    def directory(self, name: str, **fields: Any) -> Archive:
        """Adds a directory."""
        self._entries.append(entry(name, tarfile.DIRTYPE, **fields))
        return self

    def symlink(self, name: str, target: str, **fields: Any) -> Archive:
        """Adds a symbolic link."""
        self._entries.append(entry(name, tarfile.SYMTYPE, linkname=target, **fields))
        return self

    def link(self, name: str, target: str) -> Archive:
        """Adds a hard link."""
        self._entries.append(entry(name, tarfile.LNKTYPE, linkname=target))
        return self

    def node(self, name: str, kind: bytes, major: int = 0, minor: int = 0) -> Archive:
        """Adds a device or fifo."""
        self._entries.append(entry(name, kind, devmajor=major, devminor=minor))
        return self

    def bytes(self) -> bytes:
        """The archive, in pax format."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for info, content in self._entries:
                archive.addfile(info, io.BytesIO(content))
        return buffer.getvalue()


@pytest.fixture
def archive() -> Callable[[], Archive]:
    """Makes empty archives to be filled."""
    return Archive


@pytest.fixture
def as_file() -> Iterator[Callable[[bytes], int]]:
    """Makes a descriptor from which the given bytes are read."""
    opened: list[IO[bytes]] = []

    def make(content: bytes) -> int:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
        opened.append(file)
        file.write(content)
        file.seek(0)
        return file.fileno()

    yield make
    for file in opened:
        file.close()


@pytest.fixture
def describe() -> Describe:
    """Says everything about a tree that must be kept: what a copy or an unpacked archive has to equal."""

    def describe_tree(top: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first_names: dict[int, str] = {}
        for path in sorted([top, *top.rglob("*")]):
            status = path.lstat()
            content: bytes | str = b""
            if stat.S_ISREG(status.st_mode):
                content = path.read_bytes()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            name = str(path.relative_to(top))
            found[name] = {
                "mode": oct(status.st_mode),
                "owner": (status.st_uid, status.st_gid),
                "mtime": status.st_mtime_ns,
                "links": status.st_nlink,
                "same file as": first_names.setdefault(status.st_ino, name),
                "device": status.st_rdev,
                "content": content,
                "xattrs": {
                    each: os.getxattr(path, each, follow_symlinks=False)
                    for each in os.listxattr(path, follow_symlinks=False)
                },
            }
        return found

    return describe_tree
