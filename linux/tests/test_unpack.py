"""Layers that are unpacked as they should be."""

from __future__ import annotations

import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pouch_linux import mounts
from pouch_linux.unpack import Unpacked, unpack_layer

NewArchive = Callable[[], Any]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One of everything that a layer can have."""
    top = tmp_path / "tree"
    (top / "bin").mkdir(parents=True)
    (top / "bin" / "su").write_bytes(b"setuid")
    os.chown(top / "bin" / "su", 3, 4)
    os.chmod(top / "bin" / "su", 0o6755)
    os.link(top / "bin" / "su", top / "bin" / "su.hard")
    os.symlink("su", top / "bin" / "su.soft")
    os.lchown(top / "bin" / "su.soft", 5, 6)
    (top / "tmp").mkdir()
    os.chmod(top / "tmp", 0o1777)
    os.mkfifo(top / "fifo")
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 250))
    (top / "ping").write_bytes(b"capable")
    os.setxattr(top / "ping", "security.capability", bytes.fromhex("0000000200200000000000000000000000000000"))
    os.setxattr(top / "ping", "user.note", b"\x00\xffbinary\n=")
    os.setxattr(top / "tmp", "user.note", b"directory")
    (top / ("long" * 50)).write_bytes(b"a name beyond 100 bytes")
    (top / "grüße").write_bytes(b"not ASCII")
    (top / "owner").write_bytes(b"")
    os.chown(top / "owner", 4_000_000_000, 4_000_000_001)
    with open(top / "sparse", "wb") as file:
        file.truncate(1 << 20)
        file.seek(1 << 19)
        file.write(b"island")
    for path in (*top.rglob("*"), top):
        os.utime(path, ns=(10**18, 10**18 + len(path.name)), follow_symlinks=False)
    return top


@pytest.mark.parametrize("form", ["pax", "gnu"])
@pytest.mark.parametrize("overlay", [False, True], ids=["plain", "overlay"])
def test_same_result_as_gnu_tar(
    form: str, overlay: bool, tree: Path, tmp_path: Path, as_file: Any, describe: Any
) -> None:
    """Owner, mode, time, link count, content, devices and extended attributes equal what GNU tar unpacks."""
    xattrs = ["--xattrs", "--xattrs-include=*"] if form == "pax" else []
    make = ["tar", f"--format={form}", *xattrs, "--numeric-owner", "-S", "-C", str(tree), "-c", "."]
    stream = subprocess.run(make, check=True, capture_output=True).stdout
    for name in ("expected", "target", "lower", "work"):
        (tmp_path / name).mkdir()
    extract = ["tar", *xattrs, "--numeric-owner", "-p", "-C", str(tmp_path / "expected"), "-x"]
    subprocess.run(extract, input=stream, check=True)
    unpack_layer(
        as_file(stream),
        tmp_path / "target",
        lower=[tmp_path / "lower"] if overlay else [],
        work=tmp_path / "work" if overlay else None,
    )
    found = describe(tmp_path / "target")
    for facts in found.values():
        facts["xattrs"] = {name: value for name, value in facts["xattrs"].items() if "overlay" not in name}
    assert found == describe(tmp_path / "expected")


def test_holes_stay_holes(tree: Path, tmp_path: Path, as_file: Any) -> None:
    """A sparse file takes no more room than its data."""
    (tmp_path / "target").mkdir()
    make = ["tar", "-S", "-C", str(tree), "-c", "sparse"]
    stream = subprocess.run(make, check=True, capture_output=True).stdout
    unpack_layer(as_file(stream), tmp_path / "target")
    status = (tmp_path / "target" / "sparse").stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 18) == (1 << 20, True)


def test_counts(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """The result says how many entries and bytes of files there were."""
    stream = archive().directory("d").file("d/f", b"12345").file("d/.wh.x").bytes()
    assert unpack_layer(as_file(stream), tmp_path) == Unpacked(entries=3, bytes=5)


def test_empty_layer(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """An archive without entries is a layer without changes."""
    assert unpack_layer(as_file(archive().bytes()), tmp_path) == Unpacked(0, 0)


def test_stream_is_read_to_its_end(tmp_path: Path, archive: NewArchive) -> None:
    """A pipe is emptied, padding too, so that who hashes what is written can finish."""
    reading, writing = os.pipe()
    stream = archive().file("f", b"x").bytes() + bytes(1 << 20)
    written: list[int] = []

    def write() -> None:
        with open(writing, "wb") as pipe:
            written.append(pipe.write(stream))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        unpack_layer(reading, tmp_path)
    finally:
        os.close(reading)
        writer.join()
    assert written == [len(stream)]


def test_links_inside_work(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """Merged /usr by a relative or an absolute link is an honest layer."""
    layer = archive().directory("usr/lib").symlink("lib", "usr/lib").symlink("lib64", "/usr/lib")
    unpack_layer(as_file(layer.file("lib/a", b"1").file("lib64/b", b"2").link("c", "lib/a").bytes()), tmp_path)
    assert sorted(os.listdir(tmp_path / "usr" / "lib")) == ["a", "b"]
    assert os.path.samefile(tmp_path / "c", tmp_path / "usr" / "lib" / "a")


def test_parents_that_are_not_listed_are_readable(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """Where nothing says otherwise, missing parents are root's and 0755."""
    unpack_layer(as_file(archive().file("a/b/f", uid=7).bytes()), tmp_path)
    assert [oct((tmp_path / each).stat().st_mode & 0o7777) for each in ("a", "a/b")] == ["0o755"] * 2


@pytest.mark.parametrize(
    ("first", "second"),
    [("directory", "file"), ("file", "directory"), ("symlink", "directory"), ("symlink", "file"), ("file", "file")],
)
def test_later_entry_replaces_the_earlier(
    first: str, second: str, tmp_path: Path, archive: NewArchive, as_file: Any
) -> None:
    """The last entry of a name wins, whatever its kind; what was below a directory goes with it."""
    layer = archive().file("elsewhere/f", b"untouched")
    for kind in (first, second):
        match kind:
            case "directory":
                layer.directory("x").file("x/inside", b"1")
            case "file":
                layer.file("x", kind.encode())
            case "symlink":
                layer.symlink("x", "elsewhere")
    unpack_layer(as_file(layer.bytes()), tmp_path)
    path = tmp_path / "x"
    assert not path.is_symlink()
    assert path.is_dir() if second == "directory" else path.is_file()
    assert os.listdir(tmp_path / "elsewhere") == ["f"]


def test_hard_link_to_itself_changes_nothing(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """An entry that links a file to itself must not remove the file first."""
    unpack_layer(as_file(archive().file("f", b"kept").link("./f", "f").bytes()), tmp_path)
    assert (tmp_path / "f").read_bytes() == b"kept"


class Layers:
    """A stack of unpacked layers, and the merged view of it."""

    def __init__(self, top: Path, as_file: Any) -> None:
        self._top = top
        self._as_file = as_file
        self._stack: list[Path] = []

    def add(self, layer: Any) -> Layers:
        """Unpacks a layer on those that are there."""
        path, work = (self._top / f"{kind}{len(self._stack)}" for kind in ("layer", "work"))
        path.mkdir()
        work.mkdir()
        unpack_layer(self._as_file(layer.bytes()), path, lower=self._stack, work=work)
        self._stack.insert(0, path)
        return self

    @contextmanager
    def merged(self) -> Iterator[Path]:
        """The file system that a container would see."""
        path, empty = self._top / "merged", self._top / "empty"
        path.mkdir()
        empty.mkdir()
        mounts.mount_overlay(path, lower=[*self._stack, empty])
        try:
            yield path
        finally:
            mounts.unmount(path)


@pytest.fixture
def layers(scratch: Path, as_file: Any) -> Layers:
    """An empty stack."""
    return Layers(scratch, as_file)


def names(top: Path) -> list[str]:
    """All paths below, in order."""
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def test_parents_from_the_chain_below(layers: Layers, archive: NewArchive) -> None:
    """A layer that lists only tmp/x and lib/y leaves /tmp's mode, owner and time, and /lib's link, as they
    are below.
    """
    below = (
        archive().directory("tmp", mode=0o1777, uid=5, gid=5, mtime=77).directory("usr/lib").symlink("lib", "usr/lib")
    )
    below_xattr = archive().directory("var", pax_headers={"SCHILY.xattr.user.note": "kept"}, mode=0o700)
    layers.add(below).add(below_xattr)
    layers.add(archive().file("tmp/x", b"1").file("lib/y", b"2").file("var/z", b"3"))
    with layers.merged() as merged:
        status = (merged / "tmp").stat()
        assert (oct(status.st_mode & 0o7777), status.st_uid, status.st_gid, status.st_mtime) == ("0o1777", 5, 5, 77)
        assert os.readlink(merged / "lib") == "usr/lib"
        assert (merged / "usr" / "lib" / "y").read_bytes() == b"2"
        assert os.getxattr(merged / "var", "user.note") == b"kept"


def test_whiteouts(layers: Layers, archive: NewArchive) -> None:
    """A whiteout hides a file, a whole directory or a link of the layers below, and nothing beside it."""
    layers.add(archive().file("a").file("d/e/f").file("d/g").symlink("l", "d").file("stays"))
    layers.add(archive().file(".wh.a").file("d/.wh.e").file(".wh.l").file(".wh.never-was"))
    with layers.merged() as merged:
        assert names(merged) == ["d", "d/g", "stays"]


@pytest.mark.parametrize("marker_first", [True, False])
def test_opaque_directory_keeps_what_its_layer_brings(marker_first: bool, layers: Layers, archive: NewArchive) -> None:
    """An opaque marker hides all from below and nothing of its own layer, wherever in the archive it
    stands.
    """
    layers.add(archive().file("d/old").file("d/sub/old").file("d/both", b"old"))
    top = archive()
    if marker_first:
        top.file("d/.wh..wh..opq")
    top.file("d/new").file("d/sub/new").file("d/both", b"new")
    if not marker_first:
        top.file("d/.wh..wh..opq")
    layers.add(top)
    with layers.merged() as merged:
        assert names(merged) == ["d", "d/both", "d/new", "d/sub", "d/sub/new"]
        assert (merged / "d" / "both").read_bytes() == b"new"


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_whiteout_of_a_name_that_the_layer_makes_itself(
    whiteout_first: bool, layers: Layers, archive: NewArchive
) -> None:
    """A whiteout is for the layers below only: what its own layer puts there stays, without what was there
    before.
    """
    layers.add(archive().file("d/old").file("f", b"old"))
    marks, made = (".wh.d", ".wh.f"), (("d/new", b""), ("f", b"new"))
    top = archive()
    if whiteout_first:
        for mark in marks:
            top.file(mark)
    for name, content in made:
        top.file(name, content)
    if not whiteout_first:
        for mark in marks:
            top.file(mark)
    layers.add(top)
    with layers.merged() as merged:
        assert names(merged) == ["d", "d/new", "f"]
        assert (merged / "f").read_bytes() == b"new"


def test_opaque_by_another_name_of_the_directory(layers: Layers, archive: NewArchive) -> None:
    """What the layer made through a link counts as made in the real directory."""
    layers.add(archive().file("usr/lib/old").symlink("lib", "usr/lib"))
    layers.add(archive().file("lib/new").file("usr/lib/.wh..wh..opq"))
    with layers.merged() as merged:
        assert names(merged / "usr" / "lib") == ["new"]


def test_marks_of_aufs_are_skipped(layers: Layers, archive: NewArchive) -> None:
    """Old archives carry aufs's own files, which mean nothing."""
    layers.add(archive().file("f").directory(".wh..wh.plnk").file(".wh..wh.aufs").file(".wh..wh.plnk/1.2"))
    with layers.merged() as merged:
        assert "f" in names(merged)
        assert ".wh..wh.aufs" not in names(merged)


def test_kinds_change_between_layers(layers: Layers, archive: NewArchive) -> None:
    """A file over a directory, a directory over a file or link: the upper layer's is all there is."""
    layers.add(archive().file("d/x").file("f").file("real/y").symlink("l", "real"))
    layers.add(archive().file("d", b"file now").directory("f").file("f/inside").directory("l").file("l/z"))
    with layers.merged() as merged:
        assert names(merged) == ["d", "f", "f/inside", "l", "l/z", "real", "real/y"]


def test_directory_listed_again_loses_the_attributes_below(layers: Layers, archive: NewArchive) -> None:
    """An entry says all about its directory: mode, owner and attributes, while the content stays."""
    layers.add(archive().directory("d", pax_headers={"SCHILY.xattr.user.old": "1"}, mode=0o700, uid=9).file("d/f"))
    layers.add(archive().directory("d", pax_headers={"SCHILY.xattr.user.new": "1"}, mode=0o711))
    with layers.merged() as merged:
        status = (merged / "d").stat()
        assert (status.st_mode & 0o7777, status.st_uid) == (0o711, 0)
        assert os.listxattr(merged / "d") == ["user.new"]
        assert os.listdir(merged / "d") == ["f"]


def test_hard_link_to_a_file_below(layers: Layers, archive: NewArchive) -> None:
    """A layer may link to a file that a layer below has."""
    layers.add(archive().file("f", b"below", mode=0o640, uid=3))
    layers.add(archive().link("h", "f"))
    with layers.merged() as merged:
        assert (merged / "h").read_bytes() == b"below"
        assert (merged / "h").stat().st_uid == 3


def test_a_hundred_layers(layers: Layers, archive: NewArchive, scratch: Path, as_file: Any) -> None:
    """The kernel's one page of mount options does not limit how many layers there are."""
    lower = []
    for number in range(100):
        path = scratch / f"{'x' * 60}{number}"
        path.mkdir()
        (path / str(number)).touch()
        lower.append(path)
    for name in ("target", "work"):
        (scratch / name).mkdir()
    unpack_layer(as_file(archive().file(".wh.99").bytes()), scratch / "target", lower=lower, work=scratch / "work")
    status = (scratch / "target" / "99").lstat()
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, 0)


def test_without_layers_below_whiteouts_apply_to_the_directory(
    tmp_path: Path, archive: NewArchive, as_file: Any
) -> None:
    """Where the chain below has been copied into the target, a whiteout removes from it; in an empty one it
    does nothing.
    """
    (tmp_path / "old").touch()
    unpack_layer(as_file(archive().file(".wh.old").file(".wh.never-was").file("new").bytes()), tmp_path)
    assert os.listdir(tmp_path) == ["new"]


def test_root_directory_entry(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """The entry "./" sets mode, owner and time of the target itself."""
    unpack_layer(as_file(archive().directory("./", mode=0o711, uid=8, mtime=99).file("./f").bytes()), tmp_path)
    status = tmp_path.stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_mtime) == (0o711, 8, 99)


def test_name_that_is_not_utf8(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """Names are bytes: one in an old encoding is kept as it is."""
    unpack_layer(as_file(archive().file("caf\udce9", b"1").bytes()), tmp_path)
    assert os.listdir(os.fsencode(tmp_path)) == [b"caf\xe9"]


def test_lower_needs_work(tmp_path: Path, as_file: Any) -> None:
    """Forgetting the work directory is told before anything happens."""
    with pytest.raises(ValueError, match="work"):
        unpack_layer(as_file(b""), tmp_path, lower=[tmp_path])


def test_nothing_stays_mounted(layers: Layers, archive: NewArchive, scratch: Path) -> None:
    """The mounts of the child are its own and end with it."""
    layers.add(archive().file("a")).add(archive().file("b"))
    assert mounts.mounts_below(scratch) == []


def test_device_nodes(tmp_path: Path, archive: NewArchive, as_file: Any) -> None:
    """Devices get their kind and numbers, see mknod(2)."""
    unpack_layer(as_file(archive().node("null", tarfile.CHRTYPE, 1, 3).bytes()), tmp_path)
    status = (tmp_path / "null").stat()
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, os.makedev(1, 3))
