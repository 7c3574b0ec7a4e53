"""Trees as archives and layers, copies of trees, and their removal."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pouch_linux import mounts
from pouch_linux.pack import copy_tree, pack_tree
from pouch_linux.trees import remove_tree
from pouch_linux.unpack import unpack_layer

Copy = Callable[[Path, Path], None]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """One of everything, with times of whole seconds."""
    top = tmp_path / "tree"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "su").write_bytes(b"setuid" * 1000)
    os.chown(top / "a" / "su", 3, 4_000_000_000)
    os.chmod(top / "a" / "su", 0o6755)
    os.setxattr(top / "a" / "su", "security.capability", bytes.fromhex("0000000200200000000000000000000000000000"))
    os.setxattr(top / "a" / "su", "user.note", b"\x00\xff=\n")
    os.link(top / "a" / "su", top / "a" / "b" / "hard")
    os.symlink("/etc/passwd", top / "a" / "soft")
    os.lchown(top / "a" / "soft", 5, 6)
    os.mkfifo(top / "pipe", 0o620)
    os.mknod(top / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.chmod(top / "null", 0o666)
    (top / "caf\udce9").write_bytes(b"not UTF-8")
    (top / ("long" * 60)).touch()
    os.setxattr(top / "a" / "b", "user.note", b"directory")
    os.chmod(top / "a" / "b", 0o1777)
    os.chmod(top, 0o711)
    for path in (*top.rglob("*"), top):
        os.utime(path, ns=(10**18, 10**18 + 10**9 * len(path.name)), follow_symlinks=False)
    return top


def packed(top: Path, **options: bool) -> bytes:
    """The archive of a tree."""
    with tempfile.TemporaryFile() as file:
        pack_tree(top, file.fileno(), **options)
        file.seek(0)
        return file.read()


def through_our_archive(source: Path, target: Path) -> None:
    """Packs and unpacks."""
    with tempfile.TemporaryFile() as file:
        pack_tree(source, file.fileno())
        file.seek(0)
        unpack_layer(file.fileno(), target)


def through_gnu_tar(source: Path, target: Path) -> None:
    """Packs, and lets GNU tar unpack."""
    extract = ["tar", "--xattrs", "--xattrs-include=*", "--numeric-owner", "-p", "-C", str(target), "-x"]
    subprocess.run(extract, input=packed(source), check=True)


def by_copy(source: Path, target: Path) -> None:
    """Copies the tree as it is found inside its parent."""
    copy_tree(source.parent, source.name, target)


@pytest.mark.parametrize("way", [through_our_archive, through_gnu_tar, by_copy])
def test_everything_arrives(way: Copy, tree: Path, tmp_path: Path, describe: Any) -> None:
    """Owner, mode, times, links, devices, content and attributes are the same at the other end."""
    target = tmp_path / "target"
    target.mkdir()
    way(tree, target)
    assert describe(target) == describe(tree)


def test_same_tree_same_bytes(tree: Path, tmp_path: Path) -> None:
    """The archive depends on the tree only, not on the order in which it was made."""
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(tree), str(copy)], check=True)
    assert packed(copy) == packed(tree)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    """A socket can't be in an archive, and a copy of it would be dead."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
        (source / "file").touch()
        copy_tree(source, "/", target)
        assert os.listdir(target) == ["file"]
        assert b"socket" not in packed(source)


def test_upper_directory_becomes_a_layer(scratch: Path) -> None:
    """What overlayfs notes as removed or replaced is unpacked as such on the same lower directory."""
    for name in ("lower", "upper", "work", "merged", "upper2", "work2", "merged2"):
        (scratch / name).mkdir()
    for path in ("gone/x", "opaque/old", "kept/f"):
        (scratch / "lower" / path).parent.mkdir(exist_ok=True)
        (scratch / "lower" / path).write_text("old")
    merged = scratch / "merged"
    mounts.mount_overlay(merged, lower=[scratch / "lower"], upper=scratch / "upper", work=scratch / "work")
    remove_tree(merged / "gone")
    remove_tree(merged / "opaque")
    (merged / "opaque").mkdir()
    (merged / "opaque" / "new").touch()
    (merged / "kept" / "f").write_text("new")
    with tempfile.TemporaryFile() as file:
        pack_tree(scratch / "upper", file.fileno(), overlay_upper=True)
        file.seek(0)
        names = subprocess.run(["tar", "t"], stdin=file, check=True, capture_output=True, text=True).stdout.split()
        file.seek(0)
        unpack_layer(file.fileno(), scratch / "upper2", lower=[scratch / "lower"], work=scratch / "work2")
    assert sorted(names) == ["./", ".wh.gone", "kept/", "kept/f", "opaque/", "opaque/.wh..wh..opq", "opaque/new"]
    mounts.mount_overlay(scratch / "merged2", lower=[scratch / "upper2", scratch / "lower"])
    found = {str(path.relative_to(scratch / "merged2")) for path in (scratch / "merged2").rglob("*")}
    assert found == {"kept", "kept/f", "opaque", "opaque/new"}
    assert (scratch / "merged2" / "kept" / "f").read_text() == "new"


def test_renamed_directory_of_an_upper_is_refused(scratch: Path) -> None:
    """overlayfs's redirect can't be told in a layer: an error instead of a layer that lacks files."""
    (scratch / "moved").mkdir()
    os.setxattr(scratch / "moved", "trusted.overlay.redirect", b"was-here")
    with pytest.raises(OSError, match="redirect"):
        packed(scratch, overlay_upper=True)


def test_files_that_look_like_whiteouts_are_left_out(tmp_path: Path) -> None:
    """A container's file ".wh.x" must not remove x from the image."""
    (tmp_path / ".wh.x").touch()
    assert b".wh.x" not in packed(tmp_path)


def test_copy_follows_nothing_out_of_the_image(tmp_path: Path) -> None:
    """A volume's directory that is a link to the host is looked for inside the image."""
    image, target = tmp_path / "image", tmp_path / "target"
    for path in (tmp_path / "host", image / "inside", target):
        path.mkdir(parents=True)
    (tmp_path / "host" / "secret").touch()
    (image / "inside" / "fine").touch()
    os.symlink("../host", image / "inside" / "link")
    os.symlink(f"{tmp_path}/host", image / "data")
    os.symlink("/inside", image / "good")
    with pytest.raises(FileNotFoundError):
        copy_tree(image, "data", target)
    copy_tree(image, "good", target)
    assert sorted(os.listdir(target)) == ["fine", "link"]
    assert (target / "link").is_symlink()


def make_deep(top: Path, depth: int) -> None:
    """A tree deeper than any path can be long."""
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def test_remove_tree_of_any_depth(tmp_path: Path) -> None:
    """What a container can make can be removed: 5,000 directories in each other, which no path can name."""
    top = tmp_path / "top"
    top.mkdir()
    make_deep(top, 5000)
    remove_tree(top)
    remove_tree(top)
    assert not top.exists()


def test_remove_tree_does_not_follow_links(tmp_path: Path) -> None:
    """The links go, what they lead to stays; also where the path itself is a link or file."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "f").touch()
    (tmp_path / "top" / "sub").mkdir(parents=True)
    (tmp_path / "top" / "sub" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    remove_tree(tmp_path / "top")
    remove_tree(tmp_path / "link")
    assert [os.listdir(tmp_path), os.listdir(tmp_path / "kept")] == [["kept"], ["f"]]


def test_remove_tree_refuses_where_something_is_mounted(scratch: Path) -> None:
    """A volume that is still mounted keeps its data."""
    (scratch / "volume").mkdir()
    (scratch / "volume" / "data").touch()
    (scratch / "top" / "mnt").mkdir(parents=True)
    mounts.bind(scratch / "volume", scratch / "top" / "mnt")
    with pytest.raises(OSError, match="still mounted"):
        remove_tree(scratch / "top")
    assert (scratch / "volume" / "data").exists()
