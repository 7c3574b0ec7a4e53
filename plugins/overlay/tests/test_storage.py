"""What every storage driver must do, as a suite, and both drivers under it.

All of it goes through the hooks and looks at the file system that they make.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pouch_hookspecs import Change, ChangeKind, Handler, IdMapping, IdMappings, Layer, Level, StoredKind
from pouch_hookspecs.errors import Conflict, DataDamaged, InvalidArgument, NotFound, ResourceExhausted, Unsupported
from pouch_linux import mounts
from pouch_linux.idmaps import acting_as
from pouch_overlay import CopyStorage, OverlayStorage
from pouch_overlay.store import Store

KEY = "c" * 64
OTHER = "d" * 64


Driver = OverlayStorage | CopyStorage


def member(name: str, content: bytes | None = None, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Describe an entry: a file with `content`, a directory without, or as `type` says."""
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
    entry.mode = 0o755 if content is None else 0o644
    entry.mtime = 1_000_000_000
    for field, value in fields.items():
        setattr(entry, field, value)
    entry.size = len(content or b"")
    return entry, content or b""


def link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    """Describe a symbolic link."""
    return member(name, type=tarfile.SYMTYPE, linkname=to, mode=0o777)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """Make an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry, content in members:
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def chain(archive: bytes, parent: str = "") -> Layer:
    """Give an archive's layer, with the chain id that it has on `parent` (OCI image spec)."""
    diff_id = "sha256:" + hashlib.sha256(archive).hexdigest()
    together = "sha256:" + hashlib.sha256(f"{parent} {diff_id}".encode()).hexdigest()
    return Layer(digest=diff_id, diff_id=diff_id, chain_id=together if parent else diff_id, size=len(archive))


def apply(driver: Driver, archive: bytes, parent: str = "") -> str:
    """Apply an archive, and give its chain id."""
    layer = chain(archive, parent)
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        driver.storage_apply_layer(layer=layer, parent=parent, tar_fd=file.fileno())
    return layer.chain_id


def commit(driver: Driver, key: str) -> bytes:
    """Give the archive of a snapshot's changes."""
    with tempfile.TemporaryFile() as file:
        driver.storage_commit(key=key, tar_fd=file.fileno())
        file.seek(0)
        return file.read()


def names(root: Path) -> set[str]:
    """Give all paths below a directory."""
    return {
        os.path.relpath(os.path.join(at, name), root)
        for at, directories, files in os.walk(root)
        for name in directories + files
    }


BASE = tar(
    [
        member("etc"),
        member("etc/passwd", b"root:x:0:0::/:/bin/sh\n"),
        member("etc/hosts", b"127.0.0.1 localhost\n", uid=3, gid=4, mode=0o640),
        member("etc/conf.d"),
        member("etc/conf.d/one", b"1"),
        member("etc/conf.d/two", b"2"),
        member("tmp", mode=0o1777, uid=5, gid=6),
        member("usr"),
        member("usr/lib"),
        link("lib", "usr/lib"),
        link("host", "/etc"),
    ]
)


class StorageConformance:
    """The suite."""

    driver_class: ClassVar[Any]

    @pytest.fixture
    def data_dir(self) -> Iterator[Path]:
        """A directory on the host's disk; whatever is mounted in it afterwards is a leak."""
        directory = Path(tempfile.mkdtemp(prefix="pouch-overlay-", dir="/var/tmp"))
        yield directory
        leaked = [each.target for each in mounts.mounts_below(directory) if not each.target.endswith("/root")]
        mounts.unmount_tree(directory)
        shutil.rmtree(directory)
        assert leaked == []

    @pytest.fixture
    def new_driver(self, data_dir: Path) -> Iterator[Callable[[], Driver]]:
        """Makes an instance of the driver on the directory; a second one is the daemon's next start."""
        made: list[Driver] = []

        def make() -> Driver:
            handler = Handler(
                name="h", driver="d", options=self.driver_class.Options(), data_dir=data_dir, run_dir=data_dir
            )
            driver: Driver = self.driver_class(handler)
            made.append(driver)
            return driver

        yield make
        for each in made:
            assert each._store.trash.wait(10)

    @pytest.fixture
    def driver(self, new_driver: Callable[[], Driver]) -> Driver:
        """An instance of the driver."""
        return new_driver()

    @pytest.fixture
    def base(self, driver: Driver) -> str:
        """The chain id of BASE, applied."""
        return apply(driver, BASE)

    def mounted(self, driver: Driver, parent: str, key: str = KEY) -> Path:
        """A new snapshot's root."""
        driver.storage_prepare(key=key, parent=parent)
        return driver.storage_mount(key=key)

    def test_mapped_owners(self, driver: Driver, base: str) -> None:
        """A mapped mount shows the mapped root's files; what that root writes is root's for diff, commit, next time."""
        assert driver.storage_features().idmapped_mounts
        driver.storage_prepare(key=KEY, parent=base)
        extent = (IdMapping(container_id=0, host_id=300_000, size=1000),)
        root = driver.storage_mount_mapped(key=KEY, id_mappings=IdMappings(uids=extent, gids=extent))
        hosts = (root / "etc/hosts").stat()
        acting_as(300_000, 300_000, lambda: (root / "etc/new").write_text("x"))
        assert (hosts.st_uid, hosts.st_gid, (root / "etc/new").stat().st_uid) == (300_003, 300_004, 300_000)
        added = [change.path for change in driver.storage_diff(key=KEY) if change.kind is ChangeKind.ADDED]
        assert added == ["/etc/new"]
        with tarfile.open(fileobj=io.BytesIO(commit(driver, KEY))) as archive:
            assert archive.getmember("etc/new").uid == 0
        driver.storage_unmount(key=KEY)
        assert (driver.storage_mount(key=KEY) / "etc/new").stat().st_uid == 0

    def test_check_finds_no_error_here(self, driver: Driver) -> None:
        """A disk's file system is good enough for every driver."""
        assert all(finding.level is not Level.ERROR for finding in driver.check())

    def test_check_finds_a_directory_that_can_not_be_written(
        self, new_driver: Callable[[], Driver], data_dir: Path
    ) -> None:
        """An error with a remedy, and nothing raised."""
        mounts.mount("tmpfs", data_dir, "tmpfs", mounts.MountFlag.RDONLY)
        try:
            (finding,) = new_driver().check()
            assert finding.level is Level.ERROR
            assert "Read-only file system" in finding.why
            assert finding.remedy
        finally:
            mounts.unmount_tree(data_dir)

    def test_layer_has_what_its_archive_says(self, driver: Driver, base: str) -> None:
        """Content, owner and mode come from the archive."""
        root = self.mounted(driver, base)
        status = os.lstat(root / "etc/hosts")
        assert (root / "etc/hosts").read_bytes() == b"127.0.0.1 localhost\n"
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (3, 4, 0o640)
        assert status.st_mtime == 1_000_000_000

    def test_parents_that_are_not_listed_come_from_below(self, driver: Driver, base: str) -> None:
        """A layer with only tmp/x and lib/y keeps /tmp's mode and owner, and goes through /lib's link."""
        top = apply(driver, tar([member("tmp/x", b"x"), member("lib/y", b"y")]), base)
        root = self.mounted(driver, top)
        status = os.lstat(root / "tmp")
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (5, 6, 0o1777)
        assert os.readlink(root / "lib") == "usr/lib"
        assert (root / "usr/lib/y").read_bytes() == b"y"

    def test_whiteout_removes_what_is_below(self, driver: Driver, base: str) -> None:
        """`.wh.NAME` takes a file and a directory away, and is itself not seen."""
        top = apply(driver, tar([member("etc/.wh.passwd", b""), member("etc/.wh.conf.d", b"")]), base)
        assert os.listdir(self.mounted(driver, top) / "etc") == ["hosts"]

    def test_opaque_directory_keeps_only_its_own(self, driver: Driver, base: str) -> None:
        """`.wh..wh..opq` hides the directory's content in the layers below."""
        archive = tar([member("etc/conf.d/three", b"3"), member("etc/conf.d/.wh..wh..opq", b"")])
        root = self.mounted(driver, apply(driver, archive, base))
        assert os.listdir(root / "etc/conf.d") == ["three"]

    def test_lower_layer_is_not_changed_by_a_higher(self, driver: Driver, base: str) -> None:
        """Whoever stands on the base still sees all of it."""
        apply(driver, tar([member("etc/.wh.passwd", b""), member("etc/hosts", b"new")]), base)
        root = self.mounted(driver, base)
        assert (root / "etc/passwd").exists()
        assert (root / "etc/hosts").read_bytes() == b"127.0.0.1 localhost\n"

    def test_root_directory_is_as_the_image_says(self, driver: Driver) -> None:
        """Mode and owner of `/` in the archive are those of the container's `/`."""
        bottom = apply(driver, tar([member("./", mode=0o750, uid=7, gid=8), member("f", b"")]))
        top = apply(driver, tar([member("g", b"")]), bottom)
        status = os.lstat(self.mounted(driver, top))
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (7, 8, 0o750)

    def test_root_directory_is_0755_where_nothing_says_otherwise(self, driver: Driver) -> None:
        """Also under a umask that would take it from others."""
        old = os.umask(0o077)
        try:
            root = self.mounted(driver, apply(driver, tar([member("f", b"")])))
        finally:
            os.umask(old)
        assert stat.S_IMODE(os.lstat(root).st_mode) == 0o755

    def test_snapshot_of_nothing_is_empty_and_can_be_written(self, driver: Driver) -> None:
        """Without a parent, the root is there, empty."""
        root = self.mounted(driver, "")
        assert os.listdir(root) == []
        (root / "f").write_text("x")
        assert driver.storage_diff(key=KEY) == (Change(path="/f", kind=ChangeKind.ADDED),)

    def test_quota_dir_is_empty_after_prepare_and_above_all_that_is_written(self, driver: Driver, base: str) -> None:
        """A project id that is set on it then is inherited by everything."""
        quota_dir = driver.storage_prepare(key=KEY, parent=base).quota_dir
        assert quota_dir is not None
        assert os.listdir(quota_dir) == []
        (driver.storage_mount(key=KEY) / "written").write_text("x")
        assert any(path.name == "written" for path in quota_dir.rglob("written"))

    def test_snapshots_do_not_see_each_other(self, driver: Driver, base: str) -> None:
        """What one writes, the other has not."""
        one, other = self.mounted(driver, base), self.mounted(driver, base, OTHER)
        (one / "etc/passwd").write_text("mine")
        assert (other / "etc/passwd").read_text() != "mine"

    def test_mount_twice_gives_the_same(self, driver: Driver, base: str) -> None:
        """What is mounted stays mounted, once."""
        root = self.mounted(driver, base)
        assert driver.storage_mount(key=KEY) == root
        assert len(mounts.mounts_below(root)) <= 1

    def test_data_survives_unmount(self, driver: Driver, base: str) -> None:
        """A stopped container can be started again."""
        (self.mounted(driver, base) / "etc/new").write_text("kept")
        driver.storage_unmount(key=KEY)
        assert (driver.storage_mount(key=KEY) / "etc/new").read_text() == "kept"

    def test_unmount_twice_and_of_nothing_succeeds(self, driver: Driver, base: str) -> None:
        """Taking away is idempotent."""
        self.mounted(driver, base)
        driver.storage_unmount(key=KEY)
        driver.storage_unmount(key=KEY)
        driver.storage_unmount(key=OTHER)

    def test_diff_of_a_fresh_snapshot_is_empty(self, driver: Driver, base: str) -> None:
        """Before and after the mount."""
        driver.storage_prepare(key=KEY, parent=base)
        assert driver.storage_diff(key=KEY) == ()
        driver.storage_mount(key=KEY)
        assert driver.storage_diff(key=KEY) == ()

    def change(self, root: Path) -> None:
        """Every kind of change."""
        (root / "new").mkdir()
        (root / "new/file").write_text("n")
        (root / "etc/passwd").write_text("changed")
        os.chmod(root / "etc/hosts", 0o600)
        (root / "usr/lib").rmdir()
        (root / "lib").unlink()
        (root / "lib").mkdir()
        (root / "lib/inside").write_text("i")
        shutil.rmtree(root / "etc/conf.d")
        (root / "etc/conf.d").mkdir()
        (root / "etc/conf.d/two").write_text("22")

    def test_diff_names_every_kind_of_change(self, driver: Driver, base: str) -> None:
        """A, C and D as docker has them; a link that became a directory is never followed."""
        self.change(self.mounted(driver, base))
        assert [(each.kind.name[0], each.path) for each in driver.storage_diff(key=KEY)] == [
            ("M", "/etc"),
            ("M", "/etc/conf.d"),
            ("D", "/etc/conf.d/one"),
            ("M", "/etc/conf.d/two"),
            ("M", "/etc/hosts"),
            ("M", "/etc/passwd"),
            ("M", "/lib"),
            ("A", "/lib/inside"),
            ("A", "/new"),
            ("A", "/new/file"),
            ("M", "/usr"),
            ("D", "/usr/lib"),
        ]

    def test_commit_applied_on_the_parent_is_the_snapshot_again(self, driver: Driver, base: str) -> None:
        """The archive has all changes and whiteouts, and nothing of overlayfs."""
        root = self.mounted(driver, base)
        self.change(root)
        top = apply(driver, commit(driver, KEY), base)
        again = self.mounted(driver, top, OTHER)
        assert names(again) == names(root)
        assert (again / "etc/passwd").read_text() == "changed"
        assert stat.S_IMODE(os.lstat(again / "etc/hosts").st_mode) == 0o600

    def test_commit_has_only_what_differs(self, driver: Driver, base: str) -> None:
        """A file that was not touched is not in the archive."""
        (self.mounted(driver, base) / "etc/new").write_text("n")
        with tarfile.open(fileobj=io.BytesIO(commit(driver, KEY))) as archive:
            assert set(archive.getnames()) <= {".", "etc", "etc/new"}

    def test_usage_of_a_snapshot_grows_with_what_is_written(self, driver: Driver, base: str) -> None:
        """A megabyte more is a megabyte more, a file one inode."""
        root = self.mounted(driver, base)
        before = driver.storage_usage(key=KEY)
        (root / "big").write_bytes(os.urandom(1 << 20))
        os.sync()
        after = driver.storage_usage(key=KEY)
        assert (1 << 20) <= after.size_bytes - before.size_bytes < (1 << 20) + 65536
        assert after.inodes - before.inodes == 1

    def test_layer_that_is_there_stays_and_its_stream_is_read(self, driver: Driver, base: str) -> None:
        """The engine computes the digest of what is read, so all of it must be."""
        with tempfile.TemporaryFile() as file:
            file.write(BASE)
            file.seek(0)
            usage = driver.storage_apply_layer(layer=chain(BASE), parent="", tar_fd=file.fileno())
            assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == len(BASE)
        assert usage == driver.storage_usage(key=base)

    def test_same_layer_by_two_threads_is_made_once(self, driver: Driver) -> None:
        """Both succeed, both streams are read, nothing is left over."""
        archive = tar([member(f"d{number}/f", b"x" * 100) for number in range(50)])
        failures = []

        def one() -> None:
            try:
                apply(driver, archive)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert [each.key for each in driver.storage_list()] == [chain(archive).chain_id]

    def test_damaged_archive_leaves_nothing(self, driver: Driver, base: str) -> None:
        """A truncated stream is DataDamaged, and the layer does not exist."""
        archive = tar([member("f", b"x" * 100_000)])[:50_000]
        with pytest.raises(DataDamaged):
            apply(driver, archive, base)
        assert [each.key for each in driver.storage_list()] == [base]

    def test_archive_that_escapes_is_refused_with_its_entry(self, driver: Driver, base: str) -> None:
        """The message names the entry."""
        with pytest.raises(DataDamaged, match=r"\.\./out"):
            apply(driver, tar([member("../out", b"x")]), base)

    def test_absolute_link_leads_into_the_layer_not_to_the_host(
        self, driver: Driver, base: str, tmp_path: Path
    ) -> None:
        """A file written through an absolute link stays inside the root."""
        bottom = apply(driver, tar([link("away", str(tmp_path)), member(str(tmp_path)[1:])]), base)
        root = self.mounted(driver, apply(driver, tar([member("away/f", b"x")]), bottom))
        assert list(tmp_path.iterdir()) == []
        assert (root / str(tmp_path)[1:] / "f").read_bytes() == b"x"

    def test_parent_that_is_missing_is_not_found(self, driver: Driver) -> None:
        """Neither a layer nor a snapshot can stand on nothing that is there."""
        with pytest.raises(NotFound):
            apply(driver, BASE, "sha256:" + "0" * 64)
        with pytest.raises(NotFound):
            driver.storage_prepare(key=KEY, parent="sha256:" + "0" * 64)

    @pytest.mark.parametrize("key", ["", ".", "..", "../x", "a/b", "/etc", "a\0b", "-a", "x" * 300, "a\n"])
    def test_hostile_key_is_refused(self, driver: Driver, key: str) -> None:
        """No key is ever a path."""
        for hook in (driver.storage_mount, driver.storage_unmount, driver.storage_remove, driver.storage_usage):
            with pytest.raises(InvalidArgument):
                hook(key=key)
        with pytest.raises(InvalidArgument):
            driver.storage_prepare(key=key, parent="")

    @pytest.mark.parametrize("chain_id", ["sha256:..", "sha256:" + "A" * 64, "md5:" + "0" * 32, "x"])
    def test_hostile_chain_id_is_refused(self, driver: Driver, chain_id: str) -> None:
        """A layer's key must be a digest."""
        with pytest.raises(InvalidArgument):
            driver.storage_prepare(key=KEY, parent=chain_id)

    def test_snapshot_that_is_there_is_a_conflict(self, driver: Driver, base: str) -> None:
        """A key is used once."""
        driver.storage_prepare(key=KEY, parent=base)
        with pytest.raises(Conflict):
            driver.storage_prepare(key=KEY, parent=base)

    def test_layer_in_use_is_not_removed(self, driver: Driver, base: str) -> None:
        """Conflict while a layer or a snapshot stands on it; afterwards it goes."""
        top = apply(driver, tar([member("f", b"")]), base)
        driver.storage_prepare(key=KEY, parent=top)
        with pytest.raises(Conflict, match=KEY):
            driver.storage_remove(key=top)
        with pytest.raises(Conflict, match=top):
            driver.storage_remove(key=base)
        for key in (KEY, top, base):
            driver.storage_remove(key=key)
        assert driver.storage_list() == ()

    def test_remove_of_a_mounted_snapshot_leaves_no_mount(self, driver: Driver, base: str, data_dir: Path) -> None:
        """Also with a mount inside its root, and stacked ones."""
        root = self.mounted(driver, base)
        mounts.mount("tmpfs", root / "tmp", "tmpfs")
        mounts.mount("tmpfs", root / "tmp", "tmpfs")
        driver.storage_remove(key=KEY)
        assert mounts.mounts_below(data_dir) == []

    def test_remove_twice_and_of_nothing_succeeds(self, driver: Driver, base: str) -> None:
        """Taking away is idempotent."""
        self.mounted(driver, base)
        for _ in range(2):
            driver.storage_remove(key=KEY)
            driver.storage_remove(key=base)
        driver.storage_remove(key=OTHER)

    def test_removed_data_is_gone_from_the_disk(self, driver: Driver, base: str, data_dir: Path) -> None:
        """Also a tree deeper than a path can be."""
        at = os.open(self.mounted(driver, base), os.O_RDONLY)
        for _ in range(600):
            os.mkdir("d" * 200, dir_fd=at)
            below = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)
        driver.storage_remove(key=KEY)
        assert driver._store.trash.wait(30)
        assert os.listdir(data_dir / "trash") == []

    def test_list_tells_parents_and_kinds(self, driver: Driver, base: str) -> None:
        """Layers and snapshots, with what they stand on."""
        top = apply(driver, tar([member("f", b"")]), base)
        driver.storage_prepare(key=KEY, parent=top)
        driver.storage_prepare(key=OTHER, parent="")
        assert {(each.key, each.kind, each.parent) for each in driver.storage_list()} == {
            (base, StoredKind.LAYER, ""),
            (top, StoredKind.LAYER, base),
            (KEY, StoredKind.SNAPSHOT, top),
            (OTHER, StoredKind.SNAPSHOT, ""),
        }

    def test_next_start_finds_everything(self, driver: Driver, base: str, new_driver: Callable[[], Driver]) -> None:
        """State is in the directory: a new instance lists, mounts and removes what another has made."""
        (self.mounted(driver, base) / "etc/new").write_text("kept")
        again = new_driver()
        assert again.storage_list() == driver.storage_list()
        assert (again.storage_mount(key=KEY) / "etc/new").read_text() == "kept"
        again.storage_remove(key=KEY)
        again.storage_remove(key=base)
        assert again.storage_list() == ()

    def test_next_start_clears_what_a_crash_has_left(self, new_driver: Callable[[], Driver], data_dir: Path) -> None:
        """A half made layer and a half deleted tree go; neither is ever listed."""
        (data_dir / "tmp/half/tree/etc").mkdir(parents=True)
        (data_dir / "trash/dead/etc").mkdir(parents=True)
        (data_dir / "tmp/half/mounted").mkdir()
        mounts.mount("tmpfs", data_dir / "tmp/half/mounted", "tmpfs")
        driver = new_driver()
        assert driver.storage_list() == ()
        assert driver._store.trash.wait(10)
        assert (os.listdir(data_dir / "tmp"), os.listdir(data_dir / "trash")) == ([], [])
        assert mounts.mounts_below(data_dir) == []

    def test_layer_below_one_that_is_being_unpacked_is_not_removed(self, driver: Driver, base: str) -> None:
        """Conflict from the first byte on, before the upper one is listed."""
        archive = tar([member("f", b"x" * (1 << 20))])
        read_end, write_end = os.pipe()
        layer = chain(archive, base)
        thread = threading.Thread(target=driver.storage_apply_layer, args=(layer, base, read_end))
        thread.start()
        try:
            with os.fdopen(write_end, "wb") as pipe:
                pipe.write(archive[: 1 << 19])  # more than a pipe holds: the child reads
                pipe.flush()
                with pytest.raises(Conflict, match="being unpacked"):
                    driver.storage_remove(key=base)
                pipe.write(archive[1 << 19 :])
        finally:
            thread.join()
            os.close(read_end)
        assert {each.key for each in driver.storage_list()} == {base, layer.chain_id}

    def test_killed_while_unpacking_the_next_start_has_no_half_layer(
        self, new_driver: Callable[[], Driver], data_dir: Path
    ) -> None:
        """`kill -9` of the daemon: the layer is not listed, its files go, and it can be applied again."""
        archive = tar([member("f", b"x" * (1 << 20))])
        read_end, write_end = os.pipe()
        program = (
            "import pouch_overlay as p, pathlib, sys; from pouch_hookspecs import Handler, Layer;"
            "d = getattr(p, sys.argv[1]); at = pathlib.Path(sys.argv[2]);"
            "h = Handler(name='h', driver='d', options=d.Options(), data_dir=at, run_dir=at);"
            "d(h).storage_apply_layer(Layer.model_validate_json(sys.argv[3]), '', 0)"
        )
        arguments = [self.driver_class.__name__, str(data_dir), chain(archive).model_dump_json()]
        daemon = subprocess.Popen([sys.executable, "-c", program, *arguments], stdin=read_end)
        os.close(read_end)
        try:
            os.write(write_end, archive[: 1 << 19])  # more than a pipe holds: it is being unpacked
            daemon.kill()
            daemon.wait()
            with suppress(BrokenPipeError):
                while True:  # until the unpacking process has found the stream damaged, and ended
                    os.write(write_end, b"x" * 65536)
        finally:
            daemon.kill()
            daemon.wait()
            os.close(write_end)
        driver = new_driver()
        assert driver.storage_list() == ()
        assert driver._store.trash.wait(10)
        assert (os.listdir(data_dir / "tmp"), os.listdir(data_dir / "trash")) == ([], [])
        assert apply(driver, archive) == chain(archive).chain_id

    def test_full_disk_is_resource_exhausted_and_leaves_nothing(
        self, new_driver: Callable[[], Driver], data_dir: Path
    ) -> None:
        """A layer that does not fit is not there, and what does fit can be made afterwards."""
        mounts.mount("tmpfs", data_dir, "tmpfs", data="size=2m")
        try:
            driver = new_driver()
            with pytest.raises(ResourceExhausted):
                apply(driver, tar([member("f", b"x" * (4 << 20))]))
            assert driver._store.trash.wait(10)
            assert driver.storage_list() == ()
            apply(driver, tar([member("f", b"x" * (1 << 20))]))
        finally:
            mounts.unmount_tree(data_dir)

    def test_file_system_without_project_quota_gives_the_reason(
        self, new_driver: Callable[[], Driver], data_dir: Path
    ) -> None:
        """No quota_dir, but words; the rest works."""
        mounts.mount("tmpfs", data_dir, "tmpfs")
        try:
            driver = new_driver()
            snapshot = driver.storage_prepare(key=KEY, parent="")
            assert snapshot.quota_dir is None
            assert "tmpfs has no project quota" in snapshot.quota_reason
            assert os.listdir(driver.storage_mount(key=KEY)) == []
        finally:
            mounts.unmount_tree(data_dir)

    def test_many_snapshots_by_many_threads_leave_nothing(self, driver: Driver, base: str, data_dir: Path) -> None:
        """Made, mounted, written and removed side by side, none disturbs another."""
        failures = []

        def churn(number: int) -> None:
            try:
                for turn in range(5):
                    key = f"{number:02}{turn:02}" * 16
                    (self.mounted(driver, base, key) / "etc/passwd").write_text(key)
                    assert (driver.storage_mount(key=key) / "etc/passwd").read_text() == key
                    driver.storage_remove(key=key)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=churn, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert driver._store.trash.wait(30)
        assert [each.key for each in driver.storage_list()] == [base]
        assert [os.listdir(data_dir / name) for name in ("snapshots", "tmp", "trash")] == [[], [], []]
        assert mounts.mounts_below(data_dir) == []


class TestOverlay(StorageConformance):
    """By overlayfs."""

    driver_class = OverlayStorage

    def test_list_says_which_snapshot_is_mounted(self, driver: Driver, base: str) -> None:
        """From the mount table, for the reconciler."""
        self.mounted(driver, base)
        driver.storage_prepare(key=OTHER, parent=base)
        assert {each.key: each.mounted for each in driver.storage_list()} == {
            base: False,
            KEY: True,
            OTHER: False,
        }

    def test_127_layers_are_mounted_and_unpacked_upon(self, new_driver: Callable[[], Driver], data_dir: Path) -> None:
        """As many as docker allows; their paths do not fit into a page of mount options."""
        store, parent = Store(data_dir), ""
        for number in range(127):
            chain_id = f"sha256:{number:064x}"
            with store.new_layer(chain_id, parent) as new:
                assert new is not None
                (new / "tree").mkdir()
                (new / "tree" / f"f{number}").write_text(str(number))
            parent = chain_id
        driver = new_driver()
        top = apply(driver, tar([member(".wh.f0", b""), member("f126", b"new")]), parent)
        root = self.mounted(driver, top)
        assert names(root) == {f"f{number}" for number in range(1, 127)}
        assert (root / "f126").read_text() == "new"
        (root / "f1").unlink()
        assert driver.storage_diff(key=KEY) == (Change(path="/f1", kind=ChangeKind.DELETED),)
        with pytest.raises(Unsupported, match="128 layers below"):
            apply(driver, tar([member("f128", b"")]), top)

    def test_directory_from_below_is_moved_by_copy(self, driver: Driver, base: str) -> None:
        """No redirect, which a layer could not tell: the kernel says EXDEV, and mv copies."""
        root = self.mounted(driver, base)
        with pytest.raises(OSError, match="cross-device"):
            os.rename(root / "etc", root / "moved")
        shutil.move(root / "etc", root / "moved")
        again = self.mounted(driver, apply(driver, commit(driver, KEY), base), OTHER)
        assert names(again) == names(root)

    def test_check_names_the_file_system_that_can_not_be_written_by_overlayfs(
        self, new_driver: Callable[[], Driver], data_dir: Path
    ) -> None:
        """An overlay on an overlay: an error with what to do, as in a container of another engine."""
        for name in ("lower", "upper", "work", "merged"):
            (data_dir / name).mkdir()
        merged = data_dir / "merged"
        mounts.mount_overlay(merged, lower=[data_dir / "lower"], upper=data_dir / "upper", work=data_dir / "work")
        handler = Handler(name="h", driver="d", options=OverlayStorage.Options(), data_dir=merged, run_dir=merged)
        driver = OverlayStorage(handler)
        try:
            (finding,) = driver.check()
            assert finding.level is Level.ERROR
            assert "on overlay" in finding.why
            assert "ext4" in finding.remedy
            assert driver._store.trash.wait(10)
            assert os.listdir(merged / "tmp") == []
        finally:
            mounts.unmount_tree(merged)


class TestCopy(StorageConformance):
    """By whole copies."""

    driver_class = CopyStorage

    def test_interrupted_copy_is_made_again(self, driver: Driver, base: str) -> None:
        """What a crash has left of it is thrown away, whole copies only are containers' roots."""
        quota_dir = driver.storage_prepare(key=KEY, parent=base).quota_dir
        assert quota_dir is not None
        (quota_dir / "partial/rubbish").mkdir(parents=True)
        root = driver.storage_mount(key=KEY)
        assert "etc/passwd" in names(root)
        assert "rubbish" not in names(root)
        assert not (quota_dir / "partial").exists()

    def test_works_on_overlayfs(self, data_dir: Path) -> None:
        """Where overlayfs itself can not be: layers, whiteouts, changes and commit."""
        for name in ("lower", "upper", "work", "merged"):
            (data_dir / name).mkdir()
        merged = data_dir / "merged"
        mounts.mount_overlay(merged, lower=[data_dir / "lower"], upper=data_dir / "upper", work=data_dir / "work")
        handler = Handler(name="h", driver="d", options=CopyStorage.Options(), data_dir=merged, run_dir=merged)
        driver = CopyStorage(handler)
        try:
            base = apply(driver, BASE)
            root = self.mounted(driver, base)
            self.change(root)
            top = apply(driver, commit(driver, KEY), base)
            assert names(self.mounted(driver, top, OTHER)) == names(root)
            assert driver._store.trash.wait(10)
        finally:
            mounts.unmount_tree(merged)
