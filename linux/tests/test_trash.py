"""The trash: what is put there is gone at once, and deleted soon."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_linux import mounts
from pouch_linux.trash import Trash


@pytest.fixture
def trash(tmp_path: Path) -> Iterator[Trash]:
    """A trash beside the things to delete."""
    trash = Trash(tmp_path / "trash")
    yield trash
    assert trash.wait(10)


def test_tree_is_gone_at_once_and_deleted_soon(trash: Trash, tmp_path: Path) -> None:
    """The name is free after `put`, the space after `wait`."""
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/f").write_text("x")
    trash.put(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert trash.wait(10)
    assert os.listdir(tmp_path / "trash") == []


def test_links_are_removed_not_followed(trash: Trash, tmp_path: Path) -> None:
    """What a link in the tree leads to stays."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("x")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/away").symlink_to(tmp_path / "outside")
    trash.put(tmp_path / "tree")
    assert trash.wait(10)
    assert (tmp_path / "outside/f").read_text() == "x"


def test_put_of_nothing_succeeds(trash: Trash, tmp_path: Path) -> None:
    """What is gone is gone."""
    trash.put(tmp_path / "nothing")


def test_leftovers_are_deleted_by_empty(trash: Trash, tmp_path: Path) -> None:
    """As at the first use after a crash."""
    (tmp_path / "trash/left/over").mkdir(parents=True)
    trash.empty()
    assert trash.wait(10)
    assert os.listdir(tmp_path / "trash") == []


def test_mount_in_the_tree_keeps_its_content(trash: Trash, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Deleting never enters a mount; it is left, and said so in the log."""
    (tmp_path / "tree/mounted").mkdir(parents=True)
    mounts.mount("tmpfs", tmp_path / "tree/mounted", "tmpfs")
    (tmp_path / "tree/mounted/f").write_text("x")
    try:
        trash.put(tmp_path / "tree")
        assert trash.wait(10)
        assert [path.read_text() for path in (tmp_path / "trash").glob("*/mounted/f")] == ["x"]
        assert "is left for the next time" in caplog.text
    finally:
        mounts.unmount_tree(tmp_path / "trash")


def test_what_can_not_be_deleted_is_left_with_its_reason(
    trash: Trash, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that a container has made immutable: the rest goes on, the next time tries again."""
    (tmp_path / "tree/a").mkdir(parents=True)
    (tmp_path / "tree/a/f").touch()
    (tmp_path / "other").mkdir()
    subprocess.run(["chattr", "+i", tmp_path / "tree/a/f"], check=True)
    trash.put(tmp_path / "tree")
    assert trash.wait(10)
    (left,) = (tmp_path / "trash").iterdir()
    subprocess.run(["chattr", "-i", left / "a/f"], check=True)
    assert "Operation not permitted" in caplog.text
    trash.put(tmp_path / "other")
    assert trash.wait(10)
    assert os.listdir(tmp_path / "trash") == []
