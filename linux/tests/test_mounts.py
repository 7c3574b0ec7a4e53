"""Mounts, unmounting and the mount table."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pouch_linux import _libc, mounts
from pouch_linux.mounts import MountAttribute, MountFlag


def test_bind_shows_the_source(tmpfs: Path, scratch: Path) -> None:
    """What is in the source is in the target, and can be written there."""
    (tmpfs / "f").write_text("x")
    target = scratch / "target"
    target.mkdir()
    mounts.bind(tmpfs, target)
    (target / "g").touch()
    assert sorted(os.listdir(tmpfs)) == ["f", "g"]


@pytest.mark.parametrize("old_kernel", [False, True], ids=["mount_setattr", "remount"])
def test_read_only_bind_covers_the_mounts_below(
    old_kernel: bool, tmpfs: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recursive read-only bind is read-only everywhere, and keeps nosuid, nodev and noexec."""
    if old_kernel:

        def missing(*_: object) -> None:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        monkeypatch.setattr(_libc, "mount_setattr", missing)
    (tmpfs / "below").mkdir()
    hardened = MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC
    mounts.mount("test", tmpfs / "below", "tmpfs", hardened)
    target = scratch / "target"
    target.mkdir()
    mounts.bind(tmpfs, target, read_only=True)
    for path in (target / "f", target / "below" / "f"):
        with pytest.raises(OSError, match="Read-only"):
            path.touch()
    (tmpfs / "below" / "source-is-writable").touch()
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(mounts.mounts_below(target / "below")[0].options)


def test_failed_read_only_bind_leaves_nothing(tmpfs: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If read-only can't be had, there is no writable mount instead."""

    def refused(*_: object) -> None:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(_libc, "mount_setattr", refused)
    target = scratch / "target"
    target.mkdir()
    with pytest.raises(PermissionError):
        mounts.bind(tmpfs, target, read_only=True)
    assert mounts.mounts_below(target) == []


def test_error_names_the_target(scratch: Path) -> None:
    """The path is in the error, so that a user sees what could not be mounted."""
    with pytest.raises(FileNotFoundError) as caught:
        mounts.bind(scratch, scratch / "missing")
    assert caught.value.filename == str(scratch / "missing")


def test_options_beyond_a_page_are_refused(scratch: Path) -> None:
    """The kernel would cut them silently."""
    with pytest.raises(ValueError, match="4095"):
        mounts.mount("test", scratch, "tmpfs", data="x" * 5000)


def test_unmount_says_whether_something_was_mounted(tmpfs: Path, scratch: Path) -> None:
    """Unmounting twice, or what is not there, is no error."""
    assert mounts.unmount(tmpfs)
    assert not mounts.unmount(tmpfs)
    assert not mounts.unmount(scratch / "missing")


def test_unmount_without_detach_fails_for_a_busy_mount(tmpfs: Path) -> None:
    """Without detach a mount in use stays."""
    with open(tmpfs / "f", "w"), pytest.raises(OSError, match="busy"):
        mounts.unmount(tmpfs, detach=False)


def test_unmount_does_not_follow_a_link(tmpfs: Path, scratch: Path) -> None:
    """A link in the place of a mount point does not lead to another mount."""
    (scratch / "link").symlink_to(tmpfs)
    assert not mounts.unmount(scratch / "link")
    assert mounts.is_mount_point(tmpfs)


def test_unmount_tree_takes_stacked_covered_and_nested(scratch: Path) -> None:
    """Two mounts on one point, one below and one that covers all of it: none is left; a second time is no
    error.
    """
    top = scratch / "top"
    (top / "a" / "b").mkdir(parents=True)
    for path in (top / "a", top / "a"):
        mounts.mount("test", path, "tmpfs")
        (path / "b").mkdir()
    mounts.mount("test", top / "a" / "b", "tmpfs")
    mounts.mount("cover", top, "tmpfs")
    mounts.unmount_tree(top)
    mounts.unmount_tree(top)
    assert mounts.mounts_below(top) == []


def test_unmount_tree_spares_what_only_begins_alike(scratch: Path) -> None:
    """/x is not below /xy."""
    for name in ("x", "xy"):
        (scratch / name).mkdir()
        mounts.mount("test", scratch / name, "tmpfs")
    mounts.unmount_tree(scratch / "x")
    assert mounts.is_mount_point(scratch / "xy")


def test_mountinfo_decodes_escapes(scratch: Path) -> None:
    """Spaces, tabs, newlines, backslashes and other bytes in paths come back as they were."""
    path = scratch / "a b\tc\nd\\e#\udcff"
    path.mkdir()
    mounts.mount("so urce", path, "tmpfs")
    (found,) = mounts.mounts_below(path)
    assert (found.target, found.source, found.fstype) == (str(path), "so urce", "tmpfs")


def test_mounts_below_through_a_link_to_the_parent(tmpfs: Path, scratch: Path) -> None:
    """The table has real paths; a path through a link finds them."""
    (scratch / "alias").symlink_to(scratch)
    assert [each.target for each in mounts.mounts_below(scratch / "alias" / "tmpfs")] == [str(tmpfs)]


def test_bind_of_the_same_file_system_is_a_mount_point(scratch: Path) -> None:
    """Directories and files bound within one file system are recognised."""
    (scratch / "dir").mkdir()
    (scratch / "file").touch()
    (scratch / "other").touch()
    mounts.bind(scratch / "dir", scratch / "dir")
    mounts.bind(scratch / "other", scratch / "file")
    found = [mounts.is_mount_point(scratch / name) for name in ("dir", "file", "other")]
    assert found == [True, True, False]


def test_make_private_ends_propagation(scratch: Path) -> None:
    """A mount below a private mount point does not appear in the peers of its parent."""
    shared, peer = scratch / "shared", scratch / "peer"
    for path in (shared, peer):
        path.mkdir()
    mounts.mount("test", shared, "tmpfs")
    mounts.mount(None, shared, flags=MountFlag.SHARED)
    mounts.bind(shared, peer)
    (shared / "own" / "x").mkdir(parents=True)
    mounts.make_private(shared / "own")
    mounts.mount("test", shared / "own" / "x", "tmpfs")
    assert not mounts.is_mount_point(peer / "own" / "x")


def test_set_attributes_keeps_the_others(tmpfs: Path) -> None:
    """Setting one attribute and clearing another leaves the rest."""
    mounts.set_attributes(tmpfs, MountAttribute.NOSUID | MountAttribute.NODEV)
    mounts.set_attributes(tmpfs, MountAttribute.NOEXEC, clear=MountAttribute.NODEV)
    options = set(mounts.mounts_below(tmpfs)[0].options)
    assert options & {"nosuid", "nodev", "noexec"} == {"nosuid", "noexec"}


@pytest.mark.parametrize("layers", [2, 100])
def test_overlay_of_any_paths(layers: int, scratch: Path) -> None:
    """Colons, commas, backslashes and spaces in paths, and more layers than a page of options holds."""
    lower = []
    for number in range(layers):
        path = scratch / f"a:b,c\\d e{'x' * 40}{number}"
        path.mkdir()
        (path / str(number)).touch()
        lower.append(path)
    for name in ("up:per", "wo,rk", "merged"):
        (scratch / name).mkdir()
    mounts.mount_overlay(scratch / "merged", lower=lower, upper=scratch / "up:per", work=scratch / "wo,rk")
    (scratch / "merged" / "new").touch()
    assert len(os.listdir(scratch / "merged")) == layers + 1
    assert os.listdir(scratch / "up:per") == ["new"]


def test_filesystem_types(tmpfs: Path) -> None:
    """By name where it is known."""
    assert [mounts.filesystem_type(path) for path in (tmpfs, "/proc", "/sys")] == ["tmpfs", "proc", "sysfs"]
