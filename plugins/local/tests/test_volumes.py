"""Local volumes, through the hooks."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_hookspecs import Handler, Level, VolumeConfig
from pouch_hookspecs.errors import Conflict, InvalidArgument, NotFound
from pouch_linux import mounts
from pouch_local import LocalVolumes


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A directory on the host's disk, not on a tmpfs."""
    directory = Path(tempfile.mkdtemp(prefix="pouch-local-", dir="/var/tmp"))
    yield directory
    mounts.unmount_tree(directory)
    shutil.rmtree(directory)


@pytest.fixture
def volumes(data_dir: Path) -> Iterator[LocalVolumes]:
    """The driver on the directory."""
    handler = Handler(name="local", driver="local", options=LocalVolumes.Options(), data_dir=data_dir, run_dir=data_dir)
    driver = LocalVolumes(handler)
    yield driver
    assert driver._trash.wait(10)


def create(volumes: LocalVolumes, name: str = "data") -> Path:
    """Make a volume, and give its mountpoint."""
    return volumes.volume_create(config=VolumeConfig(name=name)).mountpoint


def test_new_volume_is_an_empty_directory_of_root(volumes: LocalVolumes) -> None:
    """Mode 0755, also under a strict umask, so that users in a container can enter it."""
    old = os.umask(0o077)
    try:
        data = create(volumes)
    finally:
        os.umask(old)
    status = os.lstat(data)
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 0, 0o755)
    assert os.listdir(data) == []


def test_create_again_keeps_data_and_mode(volumes: LocalVolumes) -> None:
    """One with the same name stays as it is."""
    data = create(volumes)
    (data / "f").write_text("x")
    data.chmod(0o1777)
    assert create(volumes) == data
    assert (data / "f").read_text() == "x"
    assert stat.S_IMODE(os.lstat(data).st_mode) == 0o1777


@pytest.mark.parametrize("name", ["", ".", "..", ".trash", "a/b", "/etc", "../x", "a\0b", "-a", "ä", "x" * 256, "a\n"])
def test_hostile_name_is_refused(volumes: LocalVolumes, name: str, data_dir: Path) -> None:
    """By every hook, with the form that is expected; nothing is made."""
    hooks = (volumes.volume_mount, volumes.volume_prepare, volumes.volume_remove, volumes.volume_inspect)
    for hook in hooks:
        with pytest.raises(InvalidArgument, match="beginning with a letter or digit"):
            hook(name=name)
    with pytest.raises(InvalidArgument):
        create(volumes, name)
    assert os.listdir(data_dir) == []


def test_options_are_refused_by_name(volumes: LocalVolumes, data_dir: Path) -> None:
    """docker's type, device and o are not taken in silence; the error says what to do instead."""
    config = VolumeConfig(name="data", options={"type": "nfs", "device": ":/export"})
    with pytest.raises(InvalidArgument, match="takes no options, but was given device, type") as caught:
        volumes.volume_create(config=config)
    assert "-v /path:/target" in caught.value.hint
    assert os.listdir(data_dir) == []


def test_quota_dir_is_empty_and_above_the_data(volumes: LocalVolumes) -> None:
    """A project id that is set on it is inherited by all that is written later."""
    data = create(volumes)
    quota_dir = volumes.volume_prepare(name="data").quota_dir
    assert quota_dir is not None
    assert os.listdir(quota_dir) == []
    assert volumes.volume_mount(name="data") == data
    assert data.is_relative_to(quota_dir)


def test_volume_with_data_gives_no_quota_dir_but_the_reason(volumes: LocalVolumes) -> None:
    """What is there already would not be counted."""
    (create(volumes) / "f").touch()
    prepared = volumes.volume_prepare(name="data")
    assert prepared.quota_dir is None
    assert "has data already" in prepared.quota_reason


def test_file_system_without_project_quota_gives_the_reason(volumes: LocalVolumes, data_dir: Path) -> None:
    """In words, with what would have it."""
    mounts.mount("tmpfs", data_dir, "tmpfs")
    create(volumes)
    prepared = volumes.volume_prepare(name="data")
    assert prepared.quota_dir is None
    assert "tmpfs has no project quota, ext4 or xfs has" in prepared.quota_reason
    volumes.volume_remove(name="data")
    assert volumes._trash.wait(10)


def test_list_and_inspect_agree(volumes: LocalVolumes, data_dir: Path) -> None:
    """By name, with mountpoints; other things in the directory are no volumes."""
    for name in ("b", "a"):
        create(volumes, name)
    (data_dir / "stray").touch()
    (data_dir / "half").mkdir()
    assert [info.name for info in volumes.volume_list()] == ["a", "b"]
    assert volumes.volume_inspect(name="a") == volumes.volume_list()[0]
    assert volumes.volume_inspect(name="half") is None


def test_volume_that_is_missing_is_not_found(volumes: LocalVolumes) -> None:
    """Mount and prepare never make one; inspect says None."""
    for hook in (volumes.volume_mount, volumes.volume_prepare):
        with pytest.raises(NotFound, match="there is no volume nothing"):
            hook(name="nothing")
    assert volumes.volume_inspect(name="nothing") is None


def test_removed_volume_is_gone_at_once_and_its_name_is_free(volumes: LocalVolumes, data_dir: Path) -> None:
    """The data is deleted behind the answer; a new volume of the name is empty."""
    (create(volumes) / "f").write_text("old")
    volumes.volume_remove(name="data")
    assert volumes.volume_list() == ()
    assert os.listdir(create(volumes)) == []
    assert volumes._trash.wait(10)
    assert os.listdir(data_dir / ".trash") == []


def test_remove_twice_and_of_nothing_succeeds(volumes: LocalVolumes) -> None:
    """Taking away is idempotent."""
    create(volumes)
    for _ in range(2):
        volumes.volume_remove(name="data")


def test_remove_follows_no_link(volumes: LocalVolumes, tmp_path: Path) -> None:
    """A link that a container left in the volume leads to nothing that is deleted."""
    (tmp_path / "f").write_text("x")
    data = create(volumes)
    (data / "away").symlink_to(tmp_path)
    volumes.volume_remove(name="data")
    assert volumes._trash.wait(10)
    assert (tmp_path / "f").read_text() == "x"


def test_link_in_place_of_a_volume_is_removed_itself(volumes: LocalVolumes, data_dir: Path, tmp_path: Path) -> None:
    """Nothing behind it is touched."""
    (tmp_path / "_data").mkdir()
    (data_dir / "data").symlink_to(tmp_path)
    volumes.volume_remove(name="data")
    assert volumes._trash.wait(10)
    assert os.listdir(data_dir / ".trash") == []
    assert (tmp_path / "_data").is_dir()


def test_volume_with_a_mount_in_it_is_not_removed(volumes: LocalVolumes) -> None:
    """What an administrator has mounted there is not deleted; the error says what to unmount."""
    data = create(volumes)
    mounts.mount("tmpfs", data, "tmpfs")
    (data / "f").write_text("x")
    with pytest.raises(Conflict) as caught:
        volumes.volume_remove(name="data")
    assert str(data) in caught.value.hint
    assert (data / "f").read_text() == "x"


def test_check_goes_on_with_what_a_crash_has_left(volumes: LocalVolumes, data_dir: Path) -> None:
    """A half deleted volume goes at the next start."""
    (data_dir / ".trash/dead/_data").mkdir(parents=True)
    (finding,) = volumes.check()
    assert finding.level is Level.OK
    assert volumes._trash.wait(10)
    assert os.listdir(data_dir / ".trash") == []


def test_check_finds_a_directory_that_can_not_be_written(volumes: LocalVolumes, data_dir: Path) -> None:
    """An error with a remedy, and no traceback."""
    mounts.mount("tmpfs", data_dir, "tmpfs", mounts.MountFlag.RDONLY)
    (finding,) = volumes.check()
    assert finding.level is Level.ERROR
    assert finding.remedy
