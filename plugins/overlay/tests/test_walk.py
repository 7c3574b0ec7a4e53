"""Walking trees, and measuring them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pouch_linux.trees import remove_tree
from pouch_overlay.walk import disk_usage, walk


def test_everything_is_seen_once_directories_before_content(tmp_path: Path) -> None:
    """Links and special files are entries, not ways."""
    (tmp_path / "b/c").mkdir(parents=True)
    (tmp_path / "b/c/f").touch()
    (tmp_path / "a").symlink_to("b")
    os.mkfifo(tmp_path / "d")
    assert [entry.path for entry in walk(tmp_path)] == ["a", "b", "d", "b/c", "b/c/f"]


def test_any_depth_with_few_descriptors(tmp_path: Path) -> None:
    """A path of 60,000 bytes is no obstacle, and open files are not used up by it."""
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d" * 200, dir_fd=at)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    before = len(os.listdir("/proc/self/fd"))
    seen = most = 0
    try:
        for _ in walk(tmp_path):
            seen += 1
            most = max(most, len(os.listdir("/proc/self/fd")))
    finally:
        remove_tree(tmp_path / ("d" * 200))  # pytest can not
    assert (seen, most - before) == (300, 1)


def test_directory_that_is_moved_meanwhile_leads_nowhere_else(tmp_path: Path) -> None:
    """`..` of a moved directory is not followed: ESTALE, and nothing outside is read."""
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/z").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").touch()
    (tmp_path / "tree/a/b/f").touch()
    steps = walk(tmp_path / "tree")
    seen = [next(steps).path for _ in range(4)]
    os.rename(tmp_path / "tree/a/b", tmp_path / "outside/b")
    with pytest.raises(OSError, match="moved while it was read") as caught:
        next(steps)
    assert caught.value.errno == errno.ESTALE
    assert seen == ["a", "a/b", "a/z", "a/b/f"]


def test_directory_removed_meanwhile_is_skipped(tmp_path: Path) -> None:
    """A container that runs may delete; that is no failure."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/f").touch()
    seen = []
    for entry in walk(tmp_path):
        seen.append(entry.path)
        if entry.path == "b":
            os.rmdir(tmp_path / "a")
    assert seen == ["a", "b", "b/f"]


def test_hard_link_is_measured_once(tmp_path: Path) -> None:
    """Two names of one file take the space of one."""
    (tmp_path / "a").write_bytes(os.urandom(1 << 16))
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)
    os.fsync(descriptor)  # blocks are counted when they are allocated
    os.close(descriptor)
    one = disk_usage(tmp_path)
    os.link(tmp_path / "a", tmp_path / "b")
    assert disk_usage(tmp_path) == one
