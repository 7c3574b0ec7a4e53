"""Paths inside a hostile root, by openat2(2) and by the walk for older kernels."""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pouch_linux import confined_open, mounts
from pouch_linux.confined_open import by_openat2, by_walk
from pouch_linux.paths import Root


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """What must not be reached: a directory of the host beside the root."""
    path = tmp_path / "host"
    path.mkdir()
    (path / "secret").write_bytes(b"secret")
    return path


@pytest.fixture
def tree(tmp_path: Path, host: Path) -> Path:
    """A root with links that lead everywhere."""
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "usr" / "lib").mkdir(parents=True)
    (top / "etc" / "passwd").write_bytes(b"inside")
    (top / "usr" / "lib" / "file").write_bytes(b"library")
    links = {
        "lib": "usr/lib",
        "lib64": "/usr/lib",
        "up": "../../../../../../etc/passwd",
        "abs": "/etc/passwd",
        "chain1": "chain2",
        "chain2": "/chain3",
        "chain3": "etc/../chain4",
        "chain4": "/../etc/passwd",
        "loop1": "loop2",
        "loop2": "loop1",
        "self": "self",
        "dangling": "/nowhere/file",
        "out-abs": str(host / "secret"),
        "out-rel": "../host/secret",
        "out-dir": str(host),
        "slash": "/",
        "dots": "..",
        "usr/lib/deep": "../../../../../etc",
    }
    for name, target in links.items():
        os.symlink(target, top / name)
    os.mkfifo(top / "fifo")
    os.mknod(top / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return top


@pytest.fixture(params=[by_openat2, by_walk], ids=["openat2", "walk"])
def root(request: pytest.FixtureRequest, tree: Path) -> Iterator[Root]:
    """The tree, by each of the two implementations."""
    with Root(tree, opener=request.param) as opened:
        yield opened


INSIDE = ["/etc/passwd", "etc/passwd", "up", "abs", "chain1", "../../etc/passwd", "slash/etc/passwd", "dots/abs"]
INSIDE += ["usr/lib/deep/passwd", "lib64/deep/passwd", "lib/../../etc/passwd", "etc/./passwd", "//etc//passwd"]


@pytest.mark.parametrize("path", INSIDE)
def test_paths_that_stay_inside(path: str, root: Root) -> None:
    """Links and dot dot resolve as they would for a process whose root this is."""
    assert root.read(path, 100) == b"inside"
    assert root.resolve(path) == "etc/passwd"


FAILURES = {
    "out-abs": errno.ENOENT,
    "out-rel": errno.ENOENT,
    "out-dir/secret": errno.ENOENT,
    "../host/secret": errno.ENOENT,
    "dangling": errno.ENOENT,
    "missing/x": errno.ENOENT,
    "": errno.ENOENT,
    "loop1": errno.ELOOP,
    "self/x": errno.ELOOP,
    "etc/passwd/": errno.ENOTDIR,
    "etc/passwd/..": errno.ENOTDIR,
    "etc/passwd/x": errno.ENOTDIR,
    "abs/": errno.ENOTDIR,
    "a" * 300: errno.ENAMETOOLONG,
    "etc/../" * 600 + "etc": errno.ENAMETOOLONG,
}


@pytest.mark.parametrize("path", FAILURES)
def test_paths_that_fail(path: str, root: Root) -> None:
    """With the error that the kernel has for it; nothing of the host is found."""
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the number is compared below
        root.stat(path)
    assert caught.value.errno == FAILURES[path]


def test_forty_links_are_followed_and_no_more(root: Root, tree: Path) -> None:
    """The limit of path_resolution(7)."""
    for number in range(41):
        os.symlink(f"n{number + 1}" if number < 40 else "etc/passwd", tree / f"n{number}")
    assert root.read("n1", 100) == b"inside"
    with pytest.raises(OSError, match="Too many levels"):
        root.stat("n0")


def test_both_agree_on_open_flags(tree: Path) -> None:
    """Whatever is asked of whatever is there: both implementations give the same kind of thing or the same
    error.
    """
    names = ["etc", "etc/", "etc/passwd", "lib", "lib/", "abs", "dangling", "loop1", "new", "/", "..", "dots", "up/.."]
    names += ["out-dir", "etc/new", "dangling/x", "zero"]
    asked = [os.O_RDONLY, os.O_PATH, os.O_PATH | os.O_NOFOLLOW, os.O_RDONLY | os.O_NOFOLLOW]
    asked += [os.O_RDONLY | os.O_DIRECTORY, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW]
    asked += [os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL, os.O_RDWR]

    def outcome(opener: confined_open.ConfinedOpen, name: str, flags: int) -> Any:
        top = os.open(tree, os.O_PATH)
        try:
            descriptor = opener(top, name, flags, 0o600)
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        finally:
            os.close(top)
        try:
            path = os.readlink(f"/proc/self/fd/{descriptor}")
            if flags & os.O_CREAT and path.endswith("new"):
                os.unlink(path)
            return path, os.get_inheritable(descriptor)
        finally:
            os.close(descriptor)

    differing = {
        (name, flags): (outcome(by_openat2, name, flags), outcome(by_walk, name, flags))
        for name in names
        for flags in asked
        if outcome(by_openat2, name, flags) != outcome(by_walk, name, flags)
    }
    assert differing == {}


@pytest.mark.parametrize("link", ["self/root", "self/cwd", "self/exe", "self/fd/0"])
def test_magic_links_of_proc_are_refused(link: str, root: Root, tree: Path) -> None:
    """A proc file system inside the root is no door to the host."""
    (tree / "proc").mkdir()
    mounts.bind("/proc", tree / "proc")
    try:
        pid_link = link.replace("self", str(os.getpid()))
        with pytest.raises(OSError, match="Too many levels"):
            root.stat(f"proc/{pid_link}")
    finally:
        mounts.unmount(tree / "proc")


@pytest.mark.parametrize("path", ["fifo", "zero", "etc"])
def test_only_regular_files_are_read(path: str, root: Root) -> None:
    """A fifo would block for ever and /dev/zero never end: refused without being opened."""
    with pytest.raises(OSError, match="not a regular file"):
        root.read(path, 100)


def test_read_limit(root: Root) -> None:
    """A file just within the limit is read; one byte more is an error, not a cut."""
    assert root.read("etc/passwd", 6) == b"inside"
    with pytest.raises(OSError, match="more than 5 bytes"):
        root.read("etc/passwd", 5)


def test_stat_follows_unless_told(root: Root) -> None:
    """stat(2) and lstat(2)."""
    assert stat.S_ISREG(root.stat("abs").st_mode)
    assert stat.S_ISLNK(root.stat("abs", follow=False).st_mode)


def test_what_exists(root: Root) -> None:
    """Links that lead nowhere, in circles or out do not exist."""
    names = ("abs", "lib", "dangling", "loop1", "out-abs", "etc/passwd/x")
    assert [root.exists(name) for name in names] == [True, True, False, False, False, False]
    assert [root.is_dir(name) for name in names] == [False, True, False, False, False, False]


def test_listdir_through_a_link(root: Root) -> None:
    """A directory's names, in the directory that the link means inside."""
    assert sorted(root.listdir("lib64")) == ["deep", "file"]


def test_resolve_the_root_itself(root: Root) -> None:
    """However it is named."""
    assert [root.resolve(path) for path in ("/", "..", "slash", "dots")] == ["."] * 4


def test_mkdirs_gives_mode_and_owner_to_what_it_makes(root: Root, tree: Path) -> None:
    """Whatever the umask; what existed stays as it was."""
    root.mkdirs("lib/a/b", 0o1777, 5, 6)
    root.mkdirs("lib/a/b", 0o700)
    made = [(tree / "usr" / "lib" / each).stat() for each in ("a", "a/b")]
    assert [(each.st_mode & 0o7777, each.st_uid, each.st_gid) for each in made] == [(0o1777, 5, 6)] * 2
    assert (tree / "usr" / "lib").stat().st_uid == 0


def test_mkdirs_through_links_that_lead_nowhere(root: Root, tree: Path, host: Path) -> None:
    """A dangling link means a directory inside that is still to be made, as for mkdir -p in a chroot."""
    os.symlink("/var/run", tree / "run")
    root.mkdirs("run/x")
    root.mkdirs("out-dir/y")
    assert (tree / "var" / "run" / "x").is_dir()
    assert (tree / str(host).lstrip("/") / "y").is_dir()
    assert os.listdir(host) == ["secret"]


@pytest.mark.parametrize("path", ["etc/passwd", "etc/passwd/x", "loop1/x"])
def test_mkdirs_where_it_cannot(path: str, root: Root) -> None:
    """A file or a circle in the way is an error."""
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        root.mkdirs(path)


def test_create_file_as_a_mount_target(root: Root, tree: Path, host: Path) -> None:
    """Through links, with missing parents; an existing file keeps its content, the host gets nothing."""
    for path in ("new/dir/file", "dangling", "out-abs", "etc/passwd"):
        root.create_file(path, 0o600, 3, 4)
    for path in ("new/dir/file", "nowhere/file", str(host / "secret").lstrip("/")):
        status = (tree / path).stat()
        assert (status.st_size, status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0, 0o600, 3, 4)
    assert (tree / "etc" / "passwd").read_bytes() == b"inside"
    assert (host / "secret").read_bytes() == b"secret"


def test_create_file_where_a_directory_is(root: Root) -> None:
    """A file can't be mounted on a directory: told at once."""
    with pytest.raises(IsADirectoryError):
        root.create_file("etc")


def test_create_file_on_a_fifo_does_not_block(root: Root) -> None:
    """What is there is left, and not opened."""
    root.create_file("fifo")


def test_write_replaces_what_is_there(root: Root, tree: Path, host: Path) -> None:
    """A link is followed inside and stays a link; another hard link of the file keeps the old content."""
    os.link(tree / "etc" / "passwd", tree / "backup")
    root.write("abs", b"new", 0o4755, 3, 4)
    status = (tree / "etc" / "passwd").stat()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o4755, 3, 4)
    assert (tree / "etc" / "passwd").read_bytes() == b"new"
    assert (tree / "backup").read_bytes() == b"inside"
    assert (tree / "abs").is_symlink()
    with pytest.raises(FileNotFoundError):
        root.write("out-abs", b"pwned")
    assert (host / "secret").read_bytes() == b"secret"


def test_write_leaves_no_temporary_file(root: Root, tree: Path) -> None:
    """Neither after success nor after failure."""
    root.write("etc/passwd", b"x")
    with pytest.raises(IsADirectoryError):
        root.write("etc", b"x")
    assert os.listdir(tree / "etc") == ["passwd"]
    assert not [name for name in os.listdir(tree) if name.endswith(".new")]


def test_write_where_a_file_is_mounted(root: Root, tree: Path, tmp_path: Path) -> None:
    """A mount point can't be replaced, so the mounted file's content is."""
    (tmp_path / "hosts").write_bytes(b"a long old content")
    mounts.bind(tmp_path / "hosts", tree / "etc" / "passwd")
    try:
        root.write("etc/passwd", b"new")
    finally:
        mounts.unmount(tree / "etc" / "passwd")
    assert (tmp_path / "hosts").read_bytes() == b"new"


def test_unlink_takes_the_link(root: Root, tree: Path) -> None:
    """What it leads to stays; a second time, or a missing directory, is no error; a directory is one."""
    root.unlink("abs")
    root.unlink("abs")
    root.unlink("missing/x")
    assert not (tree / "abs").is_symlink()
    assert (tree / "etc" / "passwd").exists()
    with pytest.raises(IsADirectoryError):
        root.unlink("etc")


@pytest.mark.parametrize("path", ["/", "..", "a/..", "."])
def test_paths_without_a_name(path: str, root: Root) -> None:
    """A file can't be made where no name is given."""
    with pytest.raises(OSError, match="end in a name"):
        root.write(path, b"x")


def test_swapping_thread_never_leads_outside(root: Root, tree: Path, host: Path) -> None:
    """A directory that is swapped with a link to the host, thousands of times: reads, writes and mkdirs
    stay inside.
    """
    (tree / "swap").mkdir()
    (tree / "swap" / "secret").write_bytes(b"inside")
    os.symlink(host, tree / "other")
    stop = threading.Event()
    exchange = ctypes.CDLL(None).renameat2
    at_fdcwd, rename_exchange = -100, 2

    def swap() -> None:
        names = os.fsencode(tree / "swap"), os.fsencode(tree / "other")
        while not stop.is_set():
            exchange(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange)

    thread = threading.Thread(target=swap)
    thread.start()
    seen: set[bytes] = set()
    numbers = itertools.cycle(range(7))
    acts: tuple[Callable[[], object], ...] = (
        lambda: seen.update([root.read("swap/secret", 100)]),
        lambda: root.write("swap/written", b"x"),
        lambda: root.mkdirs(f"swap/{next(numbers)}/x"),
        lambda: root.create_file(f"swap/f{next(numbers)}"),
    )
    try:
        for _ in range(1000):
            for act in acts:
                try:
                    act()
                except OSError as error:
                    assert error.errno in (errno.ENOENT, errno.EAGAIN, errno.ENOTDIR, errno.EXDEV)  # noqa: PT017
    finally:
        stop.set()
        thread.join()
    assert seen == {b"inside"}
    assert os.listdir(host) == ["secret"]


def test_closed_twice(tree: Path) -> None:
    """The second close does not close somebody else's descriptor."""
    root = Root(tree)
    root.close()
    with open(tree / "etc" / "passwd") as file:
        root.close()
        assert file.read() == "inside"


def test_descriptors_are_not_leaked(root: Root) -> None:
    """Neither by what succeeds nor by what fails."""
    before = sorted(os.listdir("/proc/self/fd"))
    for path in (*INSIDE, *FAILURES):
        with suppress(OSError):
            root.read(path, 100)
    assert sorted(os.listdir("/proc/self/fd")) == before
