"""Archives that try to get out of the directory they are unpacked into, or to exhaust the host."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pouch_linux.trees import remove_tree
from pouch_linux.unpack import Limits, UnpackError, unpack_layer

NewArchive = Callable[[], Any]

ESCAPES: dict[str, Callable[[Any, str], Any]] = {
    "absolute symlink, then a file through it": lambda a, out: a.symlink("l", out).file("l/evil", b"x"),
    "relative symlink, then a file through it": lambda a, out: a.symlink("l", "../outside").file("l/evil", b"x"),
    "chain of symlinks": lambda a, out: a.symlink("a", "b").symlink("b", out).file("a/evil", b"x"),
    "symlink in a directory upwards": lambda a, out: (
        a.directory("d").symlink("d/l", "../../outside").file("d/l/evil", b"x")
    ),
    "dot dot": lambda a, out: a.file("../outside/evil", b"x"),
    "dot dot inside": lambda a, out: a.file("a/../../outside/evil", b"x"),
    "absolute path": lambda a, out: a.file(f"{out}/evil", b"x"),
    "hard link to a file outside": lambda a, out: a.link("h", f"{out}/secret").file("h", b"pwned"),
    "hard link by dot dot": lambda a, out: a.link("h", "../outside/secret").file("h", b"pwned"),
    "hard link through a symlink": lambda a, out: a.symlink("l", out).link("h", "l/secret").file("h", b"pwned"),
    "hard link to a symlink, then written": lambda a, out: (
        a.symlink("l", f"{out}/secret").link("h", "l").file("h", b"pwned")
    ),
    "file over a symlink": lambda a, out: a.symlink("l", f"{out}/secret").file("l", b"pwned"),
    "mode of a directory through a symlink": lambda a, out: a.symlink("l", out).directory("l", mode=0o777),
    "mode of a directory below a symlink": lambda a, out: a.symlink("l", out).directory("l/sub", mode=0o777),
    "whiteout behind a symlink": lambda a, out: a.symlink("l", out).file("l/.wh.secret"),
    "opaque behind a symlink": lambda a, out: a.symlink("l", out).file("l/.wh..wh..opq"),
    "whiteout of dot dot": lambda a, out: a.file("d/x").file("d/.wh..."),
    "whiteout of dot": lambda a, out: a.file("d/x").file("d/.wh.."),
    "whiteout of nothing": lambda a, out: a.file("d/x").file("d/.wh."),
    "directory replaced by a symlink": lambda a, out: a.directory("d", mode=0o700).symlink("d", out).file("d/evil"),
    "directory replaced by a symlink, times set late": lambda a, out: a.directory("d", mode=0o777, mtime=5).symlink(
        "d", out
    ),
    "file replaced by a symlink, then written": lambda a, out: (
        a.file("f", b"1").symlink("f", f"{out}/secret").file("f", b"pwned")
    ),
    "fifo through a symlink": lambda a, out: a.symlink("l", out).node("l/pipe", tarfile.FIFOTYPE),
    "device through a symlink": lambda a, out: a.symlink("l", out).node("l/disk", tarfile.BLKTYPE, 8, 0),
    "proc": lambda a, out: a.symlink("l", "/proc/self/root").file(f"l{out}/evil", b"x"),
    "descriptor of the host": lambda a, out: a.symlink("l", "/proc/self/fd/1").file("l", b"x").file("l/evil"),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host, beside the one unpacked into."""
    path = tmp_path / "outside"
    (path / "sub").mkdir(parents=True)
    (path / "secret").write_bytes(b"secret")
    (path / "sub" / "file").write_bytes(b"file")
    os.chmod(path, 0o750)
    return path


@pytest.mark.parametrize("attack", ESCAPES)
@pytest.mark.parametrize("overlay", [False, True], ids=["plain", "overlay"])
def test_nothing_outside_is_touched(
    attack: str, overlay: bool, outside: Path, tmp_path: Path, archive: NewArchive, as_file: Any, describe: Any
) -> None:
    """Whether the archive is refused or not: the host's files, modes, times, links and names stay as they
    were.
    """
    for name in ("target", "lower", "work"):
        (tmp_path / name).mkdir()
    before = describe(outside)
    stream = ESCAPES[attack](archive(), str(outside)).bytes()
    # Refused is just as well.
    with suppress(UnpackError):
        unpack_layer(
            as_file(stream),
            tmp_path / "target",
            lower=[tmp_path / "lower"] if overlay else [],
            work=tmp_path / "work" if overlay else None,
        )
    assert describe(outside) == before
    assert sorted(os.listdir(tmp_path)) == ["lower", "outside", "target", "work"]


@pytest.mark.parametrize("name", ["../x", "a/../../x", "a/../x", ".."])
def test_dot_dot_is_refused_by_name(name: str, tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """A path with ".." is an error that names the entry, not silently cut or skipped."""
    with pytest.raises(UnpackError, match=r'"\.\."') as caught:
        unpack_layer(as_file(archive().file(name, b"x").bytes()), tmp_path)
    assert caught.value.entry == name


def header(name: bytes, size: bytes = b"00000000000\0", kind: bytes = b"0") -> bytes:
    """A tar header with a valid checksum around fields that no honest program writes."""
    fields = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + size.ljust(12, b"\0") + b"00000000000\0"
    rest = kind + bytes(100) + b"ustar\x0000"
    checksum = sum(fields) + 8 * 32 + sum(rest)
    return (fields + b"%06o\0 " % checksum + rest).ljust(512, b"\0")


def base256(number: int) -> bytes:
    """A size in the binary form of GNU tar, which can be huge or negative."""
    return bytes([0x80 if number >= 0 else 0xFF]) + number.to_bytes(11, "big", signed=True)


DAMAGED = {
    "garbage": os.urandom(4096),
    "text": b"this is not a tar archive\n" * 100,
    "truncated in a header": header(b"f")[:300],
    "truncated in the content": header(b"f", b"00000010000\0") + b"x" * 700,
    "bad checksum": header(b"f").replace(b"ustar", b"uSTAR"),
    "size beyond every disk": header(b"f", base256(1 << 62)) + bytes(1024),
    "size of 2 GiB without content": header(b"f", base256(1 << 31)) + bytes(1024),
    "negative size": header(b"f", base256(-512)) + bytes(1024),
    "huge pax header": header(b"p", b"%011o\0" % (2 << 20), b"x") + b"x" * (2 << 20) + header(b"f"),
    "huge long name": header(b"p", b"%011o\0" % (2 << 20), b"L") + b"x" * (2 << 20) + header(b"f"),
    "malformed pax header": header(b"p", b"%011o\0" % 9, b"x") + b"99 path=x".ljust(512, b"\0") + header(b"f"),
    "second entry damaged": header(b"f") + os.urandom(512) + bytes(1024),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_archive_is_an_error(damage: str, tmp_path: Path, as_file: Any) -> None:
    """What is not a whole, well-formed archive is an UnpackError, never a partial success."""
    with pytest.raises(UnpackError):
        unpack_layer(as_file(DAMAGED[damage]), tmp_path)


def test_path_of_4096_bytes_is_refused(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """A path longer than the kernel's limit is an error that says so."""
    with pytest.raises(UnpackError, match="4095"):
        unpack_layer(as_file(archive().file("d/" * 2048 + "x").bytes()), tmp_path)


def test_deep_path_within_the_limit_is_unpacked(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """A thousand directories in each other do no harm."""
    unpack_layer(as_file(archive().file("d/" * 1000 + "x", b"deep").bytes()), tmp_path)
    found = (tmp_path / ("d/" * 1000) / "x").read_bytes()
    remove_tree(tmp_path / "d")  # too deep for pytest
    assert found == b"deep"


def test_more_entries_than_allowed(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """The entry one beyond the limit ends it."""
    stream = archive().file("a").file("b").file("c").bytes()
    with pytest.raises(UnpackError, match="more than 2 entries") as caught:
        unpack_layer(as_file(stream), tmp_path, limits=Limits(entries=2))
    assert caught.value.entry == "c"


def test_bomb_stops_before_it_is_written(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """A file beyond the limit of bytes is refused by its header, before its content takes room."""
    stream = archive().file("small", b"x" * 100).file("big", b"x" * 5000).bytes()
    with pytest.raises(UnpackError, match="more than 4000 bytes"):
        unpack_layer(as_file(stream), tmp_path, limits=Limits(bytes=4000))
    assert not (tmp_path / "big").exists()


def test_sparse_bomb_counts_with_its_holes(tmp_path: Path, as_file: Any) -> None:
    """A sparse file of a terabyte counts as such, although its archive is small."""
    source = tmp_path / "source"
    source.mkdir()
    with open(source / "holes", "wb") as file:
        file.truncate(1 << 40)
    make = ["tar", "-C", str(source), "-cS", "."]
    stream = subprocess.run(make, check=True, capture_output=True).stdout
    with pytest.raises(UnpackError, match="bytes of files"):
        unpack_layer(as_file(stream), tmp_path)


@pytest.mark.parametrize("owner", [(1 << 32) - 1, 1 << 33])
def test_owner_that_chown_takes_for_unchanged(owner: int, tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """uid 2^32-1 would leave the file root's; it and larger ones are refused."""
    with pytest.raises(UnpackError, match="owner"):
        unpack_layer(as_file(archive().file("f", uid=owner, mode=0o4755).bytes()), tmp_path)


def test_overlay_marks_of_an_archive_are_dropped(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """trusted.overlay.* in an archive would redirect lookups of the overlay that this layer becomes part
    of.
    """
    marks = {
        f"SCHILY.xattr.{name}": "/etc" for name in ("trusted.overlay.redirect", "user.overlay.redirect", "user.fine")
    }
    unpack_layer(as_file(archive().directory("d", pax_headers=marks).bytes()), tmp_path)
    assert os.listxattr(tmp_path / "d") == ["user.fine"]


def test_modules_of_the_image_are_not_run(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """Python modules and libraries that the archive brings along are never loaded by the process that
    unpacks it.
    """
    mark = "import os\nos.mkdir('/loaded')\n"
    layer = archive()
    for version in ("3.11", "3.12", "3.13", "3.14"):
        for module in ("traceback", "encodings/idna", "linecache"):
            layer.file(f"usr/lib/python{version}/{module}.py", mark.encode())
    unpack_layer(as_file(layer.bytes()), tmp_path)
    with pytest.raises(UnpackError):
        unpack_layer(as_file(layer.file("../x").bytes()), tmp_path)
    assert not (tmp_path / "loaded").exists()


def test_standing_still_is_ended(tmp_path: Path) -> None:
    """A stream that gives nothing more is given up after the deadline."""
    reading, writing = os.pipe()
    try:
        os.write(writing, header(b"f", b"00000010000\0"))
        with pytest.raises(UnpackError, match="no entry and no byte"):
            unpack_layer(reading, tmp_path, deadline=0.3)
    finally:
        os.close(reading)
        os.close(writing)
