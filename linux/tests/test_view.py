"""A container's file system, looked at, read and written from outside of it by a confined child."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pouch_linux import mounts
from pouch_linux.view import JailMount, PathStatus, View, ViewError, export_root, read_path, stat_path, write_path

NewArchive = Callable[[], Any]
AsFile = Callable[[bytes], int]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root file system with a few files and links."""
    path = tmp_path / "root"
    (path / "etc").mkdir(parents=True)
    (path / "etc" / "passwd").write_text("root")
    (path / "link").symlink_to("/etc/passwd")
    (path / "directory-link").symlink_to("etc")
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of the host."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_text("secret")
    return path


IN_NAMESPACES = """
import os, sys
from pouch_linux import _libc, mounts
root = sys.argv[1]
mounts.bind(root, root)
for directory, kind in (("t", "tmpfs"), ("proc", "proc")):
    os.mkdir(f"{root}/{directory}")
    mounts.mount("none", f"{root}/{directory}", kind)
open(f"{root}/t/file", "w").close()
os.chdir(root)
_libc.pivot_root(b".", b".")
_libc.umount2(b".", _libc.MNT_DETACH)
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def alive(root: Path) -> Iterator[View]:
    """The view of a process in mount and pid namespaces of its own, with `root` as root, a tmpfs at /t, and proc."""
    unshare = ["unshare", "--mount", "--pid", "--fork", "--propagation", "private"]
    command = [*unshare, sys.executable, "-c", IN_NAMESPACES, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        child = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        namespace = os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        yield View(namespace=namespace)
        os.close(namespace)
        process.stdin.close()


def read(view: View, path: str) -> dict[str, tarfile.TarInfo]:
    """What the archive of a path has."""
    with open(os.memfd_create("archive"), "w+b") as file:
        read_path(view, path, file.fileno(), lambda _: None)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            return {entry.name: entry for entry in archive}


def test_status_of_a_link(root: Path) -> None:
    """A link is not followed; where it leads is told as a path inside."""
    status = stat_path(View(root=str(root)), "/link")
    assert isinstance(status, PathStatus)
    assert (status.name, os.path.stat.S_ISLNK(status.mode), status.link_target) == ("link", True, "/etc/passwd")


@pytest.mark.parametrize(
    ("path", "number"),
    [("/nothing", errno.ENOENT), ("/link/", errno.ENOTDIR), ("/etc/passwd/x", errno.ENOTDIR)],
)
def test_what_is_not_there(root: Path, path: str, number: int) -> None:
    """The error has the kernel's number."""
    with pytest.raises(ViewError) as caught:
        stat_path(View(root=str(root)), path)
    assert caught.value.errno == number


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/etc", {"etc", "etc/passwd"}),
        ("/etc/.", {".", "./passwd"}),
        ("/directory-link/", {"directory-link", "directory-link/passwd"}),
        ("/directory-link", {"directory-link"}),
        ("/../etc/passwd", {"passwd"}),
        ("/", {"", "/etc", "/etc/passwd", "/link", "/directory-link"}),
    ],
)
def test_names_in_an_archive(root: Path, path: str, names: set[str]) -> None:
    """They begin with the last component that was asked for, as docker's do."""
    assert set(read(View(root=str(root)), path)) == names


def test_mounts_are_seen_and_written(root: Path, outside: Path, archive: NewArchive, as_file: AsFile) -> None:
    """What is mounted inside is in its place; its target is made, and nothing stays mounted."""
    view = View(root=str(root), mounts=(JailMount(str(outside), "/a/b"),))
    assert "a/b/secret" in read(view, "/a")
    write_path(view, "/a/b", as_file(archive().file("new", b"x").bytes()))
    assert (outside / "new").read_bytes() == b"x"
    assert mounts.mounts_below(root) == []


def test_a_target_that_is_a_link_stays_inside(root: Path, outside: Path) -> None:
    """A mount's target is resolved in the root, whatever links the image has."""
    (root / "evil").symlink_to(outside)
    view = View(root=str(root), mounts=(JailMount(str(root / "etc"), "/evil"),))
    assert "evil" in read(view, "/evil")
    assert sorted(os.listdir(outside)) == ["secret"]


@pytest.mark.parametrize("path", ["/", "/m", "/empty"])
def test_read_only_places(root: Path, outside: Path, path: str, archive: NewArchive, as_file: AsFile) -> None:
    """A read-only root, a read-only mount and a tmpfs that stands for one to come are not written."""
    inside = (JailMount(str(outside), "/m", read_only=True), JailMount("", "/empty"))
    with pytest.raises(ViewError) as caught:
        write_path(View(root=str(root), mounts=inside, read_only=True), path, as_file(archive().file("x").bytes()))
    assert caught.value.errno == errno.EROFS
    assert sorted(os.listdir(outside)) == ["secret"]


def test_a_volumes_subpath_is_resolved_inside_of_it(root: Path, outside: Path) -> None:
    """A link in a volume leads nowhere outside."""
    volume = root.parent / "volume"
    (volume / "real").mkdir(parents=True)
    (volume / "way").symlink_to(outside)
    view = View(root=str(root), mounts=(JailMount(str(volume), "/v", subpath="real"),))
    assert set(read(view, "/v")) == {"v"}
    with pytest.raises(ViewError):
        read(View(root=str(root), mounts=(JailMount(str(volume), "/v", subpath="way"),)), "/v")


def test_a_running_process_s_view(alive: View, archive: NewArchive, as_file: AsFile) -> None:
    """Its mounts are seen and written as it sees them."""
    assert "t/file" in read(alive, "/t")
    write_path(alive, "/t", as_file(archive().file("new", b"x").bytes()))
    assert read(alive, "/t/new")["new"].size == 1


def test_the_kernel_s_file_systems_are_hidden(alive: View, archive: NewArchive, as_file: AsFile) -> None:
    """proc is an empty directory that can't be written: nothing leads from it into other roots."""
    assert set(read(alive, "/proc")) == {"proc"}
    with pytest.raises(ViewError) as caught:
        write_path(alive, "/proc", as_file(archive().file("x").bytes()))
    assert caught.value.errno == errno.EROFS


def test_export_has_no_mounts(alive: View, root: Path) -> None:
    """Only the root file system's own files are exported."""
    with open(os.memfd_create("archive"), "w+b") as file:
        export_root(alive, file.fileno())
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            names = archive.getnames()
    assert {"etc/passwd", "t", "proc"} <= set(names)
    assert "t/file" not in names


ESCAPES: dict[str, Callable[[Any, str], Any]] = {
    "symlink, then a file through it": lambda a, out: a.symlink("l", out).file("l/evil", b"x"),
    "directory, then a link in its place": lambda a, out: a.directory("d").symlink("d", out).file("d/evil", b"x"),
    "dot dot": lambda a, out: a.file("../outside/evil", b"x"),
    "absolute": lambda a, out: a.file(f"{out}/evil", b"x"),
    "file over a symlink": lambda a, out: a.symlink("l", f"{out}/secret").file("l", b"pwned"),
    "hard link outside": lambda a, out: a.link("h", f"{out}/secret").file("h", b"pwned"),
    "hard link through a symlink": lambda a, out: a.symlink("l", out).link("h", "l/secret").file("h", b"pwned"),
    "proc": lambda a, out: a.symlink("l", "/proc/self/root").file(f"l{out}/evil", b"x"),
    "descriptor": lambda a, out: a.symlink("l", "/proc/self/fd/1").file("l", b"x"),
}


@pytest.mark.parametrize("attack", ESCAPES)
def test_archives_that_try_to_escape(
    attack: str, root: Path, outside: Path, archive: NewArchive, as_file: AsFile, describe: Any
) -> None:
    """Refused or not: the host stays as it was."""
    before = describe(outside)
    stream = ESCAPES[attack](archive(), str(outside)).bytes()
    refused = False
    try:
        write_path(View(root=str(root)), "/etc", as_file(stream))
    except ViewError:
        refused = True
    assert describe(outside) == before
    assert refused or sorted(os.listdir(root.parent)) == ["outside", "root"]


def test_everything_is_kept(root: Path, archive: NewArchive, as_file: AsFile) -> None:
    """Owner, mode with setuid, time, extended attributes, hard links; security labels of the host are not."""
    pax = {"SCHILY.xattr.user.a": "b", "SCHILY.xattr.trusted.overlay.opaque": "y"}
    stream = (
        archive().directory("d", mode=0o1751, uid=3).file("d/f", b"data", mode=0o4755, uid=5, gid=6, pax_headers=pax)
    )
    write_path(View(root=str(root)), "/", as_file(stream.link("d/h", "d/f").bytes()))
    status = (root / "d/f").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_mtime) == (5, 6, 0o4755, 1_000_000)
    assert os.listxattr(root / "d/f") == ["user.a"]
    assert (root / "d/h").samefile(root / "d/f")
    assert ((root / "d").stat().st_mode & 0o7777, (root / "d").stat().st_mtime) == (0o1751, 1_000_000)


def test_one_owner_for_all(root: Path, archive: NewArchive, as_file: AsFile) -> None:
    """An owner that is given takes the place of the archive's, also for directories that are made on the way."""
    write_path(View(root=str(root)), "/", as_file(archive().file("new/f", uid=9).bytes()), owner=(7, 8))
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (root / "new", root / "new/f")} == {(7, 8)}


def test_kinds_are_kept_when_asked(root: Path, archive: NewArchive, as_file: AsFile) -> None:
    """With keep_kinds a directory and a file do not take each other's place; without, they do."""
    view = View(root=str(root))
    for stream in (archive().file("etc").bytes(), archive().directory("link").bytes()):
        with pytest.raises(ViewError, match="cannot overwrite"):
            write_path(view, "/", as_file(stream), keep_kinds=True)
    write_path(view, "/", as_file(archive().file("etc", b"file").bytes()))
    assert (root / "etc").read_bytes() == b"file"


def test_links_on_the_way_are_followed_inside(root: Path, archive: NewArchive, as_file: AsFile) -> None:
    """A directory that the archive does not list may be a link of the image's (/lib → /usr/lib)."""
    write_path(View(root=str(root)), "/", as_file(archive().file("directory-link/new", b"x").bytes()))
    assert (root / "etc/new").read_bytes() == b"x"


@pytest.mark.parametrize("data", [b"garbage" * 1000, b""])
def test_no_archive(root: Path, as_file: AsFile, data: bytes) -> None:
    """What is no tar is refused by name."""
    with pytest.raises(ViewError, match="archive"):
        write_path(View(root=str(root)), "/", as_file(data))


def test_special_files_do_not_block(root: Path) -> None:
    """A fifo, a device and a socket are told of or left out, and never opened."""
    os.mkfifo(root / "fifo")
    os.mknod(root / "device", 0o20600, os.makedev(1, 5))
    subprocess.run(
        [sys.executable, "-c", f"import socket; socket.socket(socket.AF_UNIX).bind({str(root / 's')!r})"], check=True
    )
    found = read(View(root=str(root)), "/")
    assert (found["/fifo"].isfifo(), found["/device"].ischr(), "/s" in found) == (True, True, False)


def test_a_very_deep_tree(root: Path) -> None:
    """Deeper than any path may be long: it is read to its bottom."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d" * 100, dir_fd=here)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert max(name.count("/") for name in read(View(root=str(root)), "/")) == 100


def test_a_reader_that_goes_ends_it(root: Path) -> None:
    """Nobody reads any more: EPIPE, and the child is gone."""
    (root / "big").write_bytes(bytes(10 << 20))
    reading, writing = os.pipe()
    os.close(reading)
    try:
        with pytest.raises(ViewError) as caught:
            read_path(View(root=str(root)), "/big", writing, lambda _: None)
    finally:
        os.close(writing)
    assert caught.value.errno == errno.EPIPE


def test_empty_archive_changes_nothing(root: Path, as_file: AsFile) -> None:
    """An archive without entries is one."""
    stream = io.BytesIO()
    tarfile.open(fileobj=stream, mode="w").close()
    before = sorted(os.listdir(root))
    write_path(View(root=str(root)), "/", as_file(stream.getvalue()))
    assert sorted(os.listdir(root)) == before
