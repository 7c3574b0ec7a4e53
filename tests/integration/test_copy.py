"""`pouch cp`, both ways, by docker's rules, with containers that run, are stopped, or mean harm."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon


@pytest.fixture(params=["created", "running"])
def box(request: pytest.FixtureRequest, pouchd: Daemon) -> Iterator[Daemon]:
    """The daemon with a container `box`, which has a volume at /data."""
    options = ["--name", "box", "-v", "boxdata:/data"]
    if request.param == "running":
        pouchd.pouch("run", "-d", *options, "busybox", "sleep", "1000")
    else:
        pouchd.pouch("create", *options, "busybox", "sleep", "1000")
    yield pouchd
    pouchd.pouch("rm", "-f", "box")
    pouchd.pouch("volume", "rm", "boxdata")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory with a file, a link, a hard link, a subdirectory and an extended attribute."""
    top = tmp_path / "tree"
    (top / "sub").mkdir(parents=True)
    (top / "file").write_text("content")
    (top / "file").chmod(0o640)
    os.link(top / "file", top / "hard")
    (top / "link").symlink_to("file")
    (top / "sub" / "deep").write_text("deep")
    os.setxattr(top / "file", "user.pouch", b"\x00\xff")
    os.utime(top / "sub", (1_000_000, 1_000_000))
    return top


def names(pouchd: Daemon, place: str) -> list[str]:
    """What the archive of a place in a container lists."""
    archive = pouchd.pouch("cp", place, "-").stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getnames()


def test_there_and_back(box: Daemon, tree: Path, tmp_path: Path) -> None:
    """A tree comes back as it went: content, modes, times, links, hard links, extended attributes."""
    box.pouch("cp", tree, "box:/")
    box.pouch("cp", "box:/tree", tmp_path / "back")
    back = tmp_path / "back"
    assert (back / "file").read_text() == "content"
    assert (back / "file").stat().st_mode & 0o7777 == 0o640
    assert (back / "file").stat().st_ino == (back / "hard").stat().st_ino
    assert os.readlink(back / "link") == "file"
    assert (back / "sub").stat().st_mtime == 1_000_000
    assert os.getxattr(back / "file", "user.pouch") == b"\x00\xff"


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("tree", "box:/tmp", ["tmp/tree", "tmp/tree/file"]),
        ("tree", "box:/tmp/", ["tmp/tree", "tmp/tree/file"]),
        ("tree/.", "box:/tmp", ["tmp/file", "tmp/link"]),
        ("tree", "box:/tmp/new", ["tmp/new", "tmp/new/file"]),
        ("tree/.", "box:/tmp/new", ["tmp/new", "tmp/new/file"]),
        ("tree", "box:/tmp/new/", ["tmp/new", "tmp/new/file"]),
        ("tree/file", "box:/tmp", ["tmp/file"]),
        ("tree/file", "box:/tmp/other", ["tmp/other"]),
        ("tree/link", "box:/tmp/other", ["tmp/other"]),
        ("tree/file", "box:tmp/relative", ["tmp/relative"]),
    ],
)
def test_where_it_goes(
    box: Daemon, tree: Path, source: str, target: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker's table: into a directory that is there, to a name that is not, and SRC/. for what is in it."""
    monkeypatch.chdir(tree.parent)
    box.pouch("cp", source, target)
    assert set(found) <= set(names(box, "box:/tmp"))


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("tree/file", "box:/tmp/no/", "no such directory"),
        ("tree/file", "box:/no/way", "could not find the file /no"),
        ("tree", "box:/etc/passwd", "cannot copy a directory over the file"),
        ("nothing", "box:/tmp", "nothing: No such file"),
        ("box:/nothing", ".", "could not find the file /nothing in container box"),
        ("box:/etc/passwd/", ".", "Not a directory"),
        ("box:/etc", "tree/file", "cannot copy a directory over the file"),
        ("box:/etc", "no/way", "does not exist"),
        ("nobody:/etc", ".", "no such container: nobody"),
        ("box:/etc", "box:/tmp", "between containers"),
        ("tree", "tmp", "CONTAINER:PATH"),
    ],
)
def test_what_can_not_be_says_so(
    box: Daemon, tree: Path, source: str, target: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the thing at fault, and exit code 1."""
    monkeypatch.chdir(tree.parent)
    done = box.pouch("cp", source, target, check=False)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_a_link_is_a_link_unless_it_is_to_be_followed(box: Daemon, tmp_path: Path) -> None:
    """-L copies what the link leads to inside the container, under the link's name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    box.pouch("cp", "-", "box:/tmp", stdin=archive.getvalue())
    box.pouch("cp", "box:/tmp/link", tmp_path)
    assert os.readlink(tmp_path / "link") == "/etc/passwd"
    box.pouch("cp", "-L", "box:/tmp/link", tmp_path / "followed")
    assert "nobody" in (tmp_path / "followed").read_text()


def test_volumes_are_where_the_container_sees_them(box: Daemon, tree: Path) -> None:
    """What is copied to a volume's place is in the volume, not under it."""
    box.pouch("cp", tree, "box:/data")
    assert box.text("run", "--name", "look", "-v", "boxdata:/v", "busybox", "cat", "/v/tree/file") == "content"
    box.pouch("rm", "look")


def test_owners(box: Daemon, tree: Path, tmp_path: Path) -> None:
    """Without -a files are root's in there and the caller's here; with -a they keep uid and gid."""
    os.chown(tree / "sub/deep", 1234, 4321)
    box.pouch("cp", tree, "box:/tmp/plain")
    box.pouch("cp", "-a", tree, "box:/tmp/kept")
    found = {}
    for name in ("plain", "kept"):
        with tarfile.open(fileobj=io.BytesIO(box.pouch("cp", f"box:/tmp/{name}/sub/deep", "-").stdout)) as tar:
            entry = tar.getmembers()[0]
            found[name] = (entry.uid, entry.gid)
    assert found == {"plain": (0, 0), "kept": (1234, 4321)}
    for flag, owner in (("-q", (os.getuid(), os.getgid())), ("-a", (1234, 4321))):
        box.pouch("cp", flag, "box:/tmp/kept", tmp_path / flag[1:])
        status = (tmp_path / flag[1:] / "sub/deep").stat()
        assert (status.st_uid, status.st_gid) == owner


def test_quiet(box: Daemon, tree: Path) -> None:
    """What was copied is told on stderr, and with -q nothing is."""
    assert b"Successfully copied" in box.pouch("cp", tree, "box:/tmp").stderr
    assert box.pouch("cp", "-q", tree, "box:/tmp").stderr == b""


def test_compressed_archives_are_unpacked(box: Daemon) -> None:
    """A gzip stream is recognised; it is decompressed outside of the container."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("from-gzip"))
    box.pouch("cp", "-", "box:/tmp", stdin=gzip.compress(archive.getvalue()))
    assert "tmp/from-gzip" in names(box, "box:/tmp")


def test_what_is_no_archive_is_refused(box: Daemon) -> None:
    """Garbage is an error, not an empty copy."""
    done = box.pouch("cp", "-", "box:/tmp", stdin=b"garbage" * 1000, check=False)
    assert done.returncode == 1
    assert b"archive" in done.stderr


def test_a_directory_is_not_replaced_by_a_file(box: Daemon, tree: Path) -> None:
    """Nor a file by a directory: the container's files stay as they are."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("etc"))
    done = box.pouch("cp", "-", "box:/", stdin=archive.getvalue(), check=False)
    assert done.returncode == 1
    assert b"cannot overwrite directory with non-directory" in done.stderr
    assert "etc/passwd" in names(box, "box:/etc")


def test_read_only_is_respected(pouchd: Daemon, tree: Path) -> None:
    """A read-only root and a read-only volume are not written, whether it runs or not; a tmpfs is, when it runs."""
    options = ["--read-only", "-v", "rodata:/data:ro", "--tmpfs", "/run", "busybox", "sleep", "1000"]
    try:
        pouchd.pouch("run", "-d", "--name", "runs", *options)
        pouchd.pouch("create", "--name", "waits", *options)
        for place in ("runs:/etc", "runs:/data", "waits:/etc", "waits:/data", "waits:/run"):
            done = pouchd.pouch("cp", tree, place, check=False)
            assert (done.returncode, b"read-only" in done.stderr) == (1, True), (place, done.stderr)
        pouchd.pouch("cp", tree / "file", "runs:/run/x")
        assert pouchd.text("exec", "runs", "cat", "/run/x") == "content"
    finally:
        pouchd.pouch("rm", "-f", "runs", "waits")
        pouchd.pouch("volume", "rm", "-f", "rodata")


@pytest.mark.parametrize("place", ["/proc", "/sys", "/dev/pts"])
def test_the_kernels_file_systems_are_no_targets(pouchd: Daemon, tree: Path, place: str) -> None:
    """A file can't be put into proc or sysfs, nor seemingly so under them."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    done = pouchd.pouch("cp", tree / "file", f"box:{place}/new", check=False)
    assert (done.returncode, b"Read-only" in done.stderr) == (1, True)


def test_files_of_the_engine_are_overwritten_in_place(pouchd: Daemon, tmp_path: Path) -> None:
    """/etc/hosts is a mount: it can't be replaced, and takes the new content."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    (tmp_path / "hosts").write_text("127.0.0.9 mine\n")
    pouchd.pouch("cp", tmp_path / "hosts", "box:/etc/hosts")
    assert pouchd.text("exec", "box", "cat", "/etc/hosts") == "127.0.0.9 mine"


def daemon_peak(pouchd: Daemon) -> int:
    """The daemon's largest resident size so far, in KiB."""
    assert pouchd.process is not None
    status = Path(f"/proc/{pouchd.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_large_files_are_unharmed_and_take_no_memory(own_pouchd: Daemon, tmp_path: Path) -> None:
    """200 MB of random bytes come back the same; the daemon's memory does not grow with them."""
    block = os.urandom(1 << 20)
    with (tmp_path / "large").open("wb") as file:
        for number in range(200):
            file.write(number.to_bytes(8, "big") + block[8:])
    own_pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    own_pouchd.pouch("cp", __file__, "box:/small")
    before = daemon_peak(own_pouchd)
    own_pouchd.pouch("cp", tmp_path / "large", "box:/large")
    own_pouchd.pouch("cp", "box:/large", tmp_path / "back")
    with (tmp_path / "large").open("rb") as first, (tmp_path / "back").open("rb") as second:
        assert hashlib.file_digest(first, "sha256").digest() == hashlib.file_digest(second, "sha256").digest()
    assert daemon_peak(own_pouchd) - before < 40 << 10


def test_sparse_files_stay_sparse(pouchd: Daemon, tmp_path: Path) -> None:
    """Holes are holes at the other end, both ways."""
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(100 << 20)
        file.write(b"end")
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pouchd.pouch("cp", tmp_path / "sparse", "box:/sparse")
    assert int(pouchd.text("exec", "box", "du", "-k", "/sparse").split()[0]) < 1024
    pouchd.pouch("cp", "box:/sparse", tmp_path / "back")
    back = (tmp_path / "back").stat()
    assert (back.st_size, back.st_blocks < 2048) == ((100 << 20) + 3, True)


def test_a_file_that_grows_and_shrinks_does_not_break_a_copy(pouchd: Daemon) -> None:
    """The archive of a tree in use is always a whole archive."""
    script = "while :; do seq 1 20000 > /tmp/f; : > /tmp/f; mkdir -p /tmp/d/e; rm -rf /tmp/d; done"
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", script)
    for _ in range(20):
        assert "tmp" in names(pouchd, "box:/tmp")


SWAP = """
mkdir -p /w/real/sub /w/outside; echo inside > /w/real/sub/file; cd /w; mkdir -p spare/sub
while :; do
    mv real moved; ln -s /../../../../../../../../HOST real; rm real
    ln -s /proc/1/root/HOST real; rm real; ln -s /proc/self/root/HOST real; rm real; mv moved real
    mv real/sub real/moved; ln -s ../../../../../../../HOST real/sub; rm real/sub; mv real/moved real/sub
done
"""


def attack(pouchd: Daemon, copies: int, host: Path, *options: str) -> tuple[int, int]:
    """Copy in and out while a container swaps directories for links; gives how many went well, in and out."""
    script = SWAP.replace("HOST", str(host))
    pouchd.pouch("run", "-d", "--name", "evil", *options, "busybox", "sh", "-c", script)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in ("sub/pwned", "secret"):
            entry = tarfile.TarInfo(name)
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"pwned"))
    body = archive.getvalue()
    until = time.monotonic() + 10
    while pouchd.pouch("cp", "evil:/w/spare/.", "-", check=False).returncode != 0:
        assert time.monotonic() < until
    done = {"in": 0, "out": 0}
    leaks: list[bytes] = []

    def worker(number: int) -> None:
        for turn in range(copies // 4):
            if (turn + number) % 2:
                status, _ = request(pouchd, "PUT", "/containers/evil/archive?path=/w/real", body)
                done["in"] += status == 200
            else:
                status, data = request(pouchd, "GET", "/containers/evil/archive?path=/w/real/sub/.")
                done["out"] += status == 200
                if b"host's secret" in data:
                    leaks.append(data)

    threads = [threading.Thread(target=worker, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leaks == []
    return done["in"], done["out"]


def request(pouchd: Daemon, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """One raw request: the commands' own start would take most of the time."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(pouchd.socket))
        head = f"{method} /v1.43{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = b""
        while data := connection.recv(1 << 16):
            answer += data
    return int(answer.split(b" ", 2)[1]), answer


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that a container would like to reach."""
    path = tmp_path / "host"
    (path / "sub").mkdir(parents=True)
    (path / "secret").write_text("host's secret")
    (path / "sub" / "file").write_text("host's secret")
    return path


def state(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that a write would change."""
    return {
        str(path): (path.lstat().st_mtime_ns, path.lstat().st_ctime_ns, path.read_bytes() if path.is_file() else b"")
        for path in (directory, *directory.rglob("*"))
    }


@pytest.mark.parametrize(("copies", "options"), [(1000, ()), (200, ("--pid", "host", "--privileged"))])
def test_a_thousand_copies_against_swapped_links(
    pouchd: Daemon, host: Path, copies: int, options: tuple[str, ...]
) -> None:
    """CVE-2018-15664: whatever the container swaps in meanwhile, nothing of the host is read or written."""
    before = state(host)
    went_in, came_out = attack(pouchd, copies, host, *options)
    assert state(host) == before
    assert went_in > 0
    assert came_out > 0


def test_nothing_of_the_container_is_run(pouchd: Daemon, tmp_path: Path) -> None:
    """CVE-2019-14271: libraries, Python modules and programs of the container that would tell are never used."""
    names_in_there = ["bin/xz", "bin/gzip", "bin/tar", "usr/bin/python3"]
    for name in names_in_there:
        path = tmp_path / "evil" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho ran > /ran\n")
        path.chmod(0o755)
    lib = tmp_path / "evil" / "lib/x86_64-linux-gnu"
    lib.mkdir(parents=True)
    for library in ("libnss_files.so.2", "libc.so.6", "libarchive.so.13"):
        (lib / library).write_bytes(b"not a library")
    pouchd.pouch("run", "-d", "--name", "evil", "busybox", "sleep", "1000")
    pouchd.pouch("cp", f"{tmp_path}/evil/.", "evil:/")
    pouchd.pouch("cp", tmp_path / "evil", "evil:/again")
    assert "again/usr/bin/python3" in names(pouchd, "evil:/again")
    assert pouchd.pouch("exec", "evil", "ls", "/ran", check=False).returncode != 0


def test_a_hostile_archive_stays_in_its_directory(tmp_path: Path, host: Path, pouchd: Daemon) -> None:
    """What a container's archive brings to this host never follows a link, neither its own nor one that is there."""
    script = f"mkdir -p /out; ln -s {host} /out/way; ln -s {host}/secret /out/secret"
    pouchd.pouch("run", "--name", "evil", "busybox", "sh", "-c", script)
    target = tmp_path / "target"
    target.mkdir()
    (target / "secret").symlink_to(host / "secret")
    before = state(host)
    pouchd.pouch("cp", "evil:/out/.", target)
    assert os.readlink(target / "way") == str(host)
    assert state(host) == before
    pouchd.pouch("rm", "evil")
    pouchd.pouch("run", "--name", "evil", "busybox", "sh", "-c", "mkdir -p /out/way; echo pwned > /out/way/secret")
    done = pouchd.pouch("cp", "evil:/out/.", target, check=False)
    assert done.returncode == 1
    assert state(host) == before


def test_a_client_that_goes_leaves_nothing(pouchd: Daemon) -> None:
    """Aborted downloads and uploads: no process, no descriptor, and the container can be removed."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", "head -c 50000000 /dev/zero > /big; sleep 1000")
    until = time.monotonic() + 20
    while b"50000000" not in pouchd.pouch("exec", "box", "stat", "-c", "%s", "/big", check=False).stdout:
        assert time.monotonic() < until
    before = pouchd.descriptors()
    for _ in range(10):
        for head in (
            "GET /v1.43/containers/box/archive?path=/big HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /v1.43/containers/box/export HTTP/1.1\r\nHost: x\r\n\r\n",
            "PUT /v1.43/containers/box/archive?path=/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc",
        ):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(pouchd.socket))
                connection.sendall(head.encode())
                if head.startswith("GET"):
                    assert connection.recv(100)
    pouchd.pouch("rm", "-f", "box")
    until = time.monotonic() + 20
    while pouchd.descriptors() > before or _children(pouchd):
        assert time.monotonic() < until, (before, pouchd.descriptors(), _children(pouchd))


def _children(pouchd: Daemon) -> list[str]:
    """Copying processes of this daemon."""
    assert pouchd.process is not None
    done = subprocess.run(["pgrep", "-P", str(pouchd.process.pid), "-f", "view_child"], capture_output=True, text=True)
    return done.stdout.split()


def test_dockers_client_agrees(box: Daemon, tree: Path, tmp_path: Path) -> None:
    """docker's own `cp` copies both ways, with a stat header that it understands."""
    environment = {**box.environment(), "DOCKER_HOST": f"unix://{box.socket}", "DOCKER_API_VERSION": "1.43"}
    for source, target in ((str(tree), "box:/tmp/new"), ("box:/tmp/new/.", str(tmp_path / "back"))):
        subprocess.run(["docker", "cp", source, target], env=environment, check=True, capture_output=True)
    assert (tmp_path / "back" / "sub" / "deep").read_text() == "deep"
