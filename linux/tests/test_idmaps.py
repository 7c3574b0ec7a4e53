"""User namespaces and mapped mounts, by a real kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_linux import mounts
from pouch_linux.idmaps import Extent, acting_as, bind_mapped, host_id, user_namespace

MAP = (Extent(0, 200000, 1000), Extent(1000, 300000, 10))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory with `tree`, which has a file of root, and `mapped` to mount it on."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("x")
    (tmp_path / "mapped").mkdir()
    yield tmp_path
    mounts.unmount_tree(tmp_path)


def test_a_namespace_has_its_mapping() -> None:
    """uid_map and gid_map say what was asked for."""
    with user_namespace(MAP, MAP[:1]) as path:
        process = path.parent.parent
        lines = [tuple(map(int, line.split())) for line in (process / "uid_map").read_text().splitlines()]
        assert lines == [(0, 200000, 1000), (1000, 300000, 10)]
        assert (process / "gid_map").read_text().split() == ["0", "200000", "1000"]


def test_a_namespace_ends_with_its_block() -> None:
    """No process is left, whatever the block raised."""
    with pytest.raises(RuntimeError, match="inside"), user_namespace(MAP, MAP) as path:
        raise RuntimeError("inside")
    assert not path.parent.exists()


def test_a_wrong_mapping_is_refused() -> None:
    """Two ranges that overlap are refused by the kernel."""
    with pytest.raises(OSError, match="Invalid argument"), user_namespace((MAP[0], MAP[0]), MAP):
        pass


def test_owners_are_mapped(place: Path) -> None:
    """A file of root is the mapped root's through the mount, and root's on the disk."""
    with user_namespace(MAP, MAP) as userns:
        bind_mapped(place / "tree", place / "mapped", userns)
    assert (place / "mapped/file").stat().st_uid == 200000
    assert (place / "tree/file").stat().st_uid == 0


def test_the_mapped_root_writes_as_root_of_the_disk(place: Path) -> None:
    """What the mapped root makes belongs to 0 on the disk; the calling thread keeps its own ids."""
    with user_namespace(MAP, MAP) as userns:
        bind_mapped(place / "tree", place / "mapped", userns)
    acting_as(200000, 200000, lambda: (place / "mapped/new").write_text("y"))
    (place / "own").touch()
    assert [(place / name).stat().st_uid for name in ("tree/new", "mapped/new", "own")] == [0, 200000, 0]


def test_the_mapped_root_keeps_its_capabilities(place: Path) -> None:
    """It reads a file of another that is closed to everybody."""
    (place / "secret").write_text("s")
    os.chmod(place / "secret", 0)
    assert acting_as(200000, 200000, (place / "secret").read_text) == "s"


def test_an_overlay_is_mapped_by_its_layers(place: Path) -> None:
    """Mounted by the mapped root on mapped layers, an overlay takes changes, which are plain on the disk."""
    for name in ("writable/upper", "writable/work", "above", "root"):
        (place / name).mkdir(parents=True)
    with user_namespace(MAP, MAP) as userns:
        bind_mapped(place / "tree", place / "mapped", userns)
        bind_mapped(place / "writable", place / "above", userns)
    acting_as(
        200000,
        200000,
        lambda: mounts.mount_overlay(
            place / "root", lower=[place / "mapped"], upper=place / "above/upper", work=place / "above/work"
        ),
    )
    for name in ("mapped", "above"):
        mounts.unmount(place / name)
    acting_as(300001, 200000, lambda: (place / "root/file").write_text("changed"))
    assert (place / "writable/upper/file").read_text() == "changed"
    assert (place / "root/file").stat().st_uid == 200000
    assert (place / "writable/upper/file").stat().st_uid == 0


@pytest.mark.parametrize(("inside", "outside"), [(0, 200000), (999, 200999), (1000, 300000), (1010, None), (-1, None)])
def test_ids_outside(inside: int, outside: int | None) -> None:
    """An id is where its extent leads; what is in none is nowhere."""
    assert host_id(MAP, inside) == outside
