"""Images made by an enemy: the host stays as it is, and the engine does not obey them (security.md)."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon


def _image(tmp_path: Path, base: Path, name: str, replaced: dict[str, str]) -> Path:
    """Busybox's tar with some paths replaced by symbolic links."""
    path = tmp_path / f"{name}.tar"
    with tarfile.open(base) as source, tarfile.open(path, "w") as target:
        for member in source:
            clean = member.name.removeprefix("./").rstrip("/")
            if any(clean == place or clean.startswith(f"{place}/") for place in replaced):
                continue
            target.addfile(member, source.extractfile(member) if member.isreg() else None)
        for place, link in replaced.items():
            member = tarfile.TarInfo(place)
            member.type, member.linkname = tarfile.SYMTYPE, link
            target.addfile(member)
    return path


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A directory of the host that nothing may touch."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "passwd").write_text("enemy:x:0:0::/:/bin/sh\n")
    before = _described(directory)
    yield directory
    assert _described(directory) == before


def _described(directory: Path) -> list[tuple[str, int, int, bytes]]:
    paths = [directory, *sorted(directory.rglob("*"))]
    return [(str(p), p.stat().st_mode, p.stat().st_mtime_ns, p.read_bytes() if p.is_file() else b"") for p in paths]


@pytest.mark.parametrize("place", ["etc", "tmp", "root", "dev", "proc", "sys", "work"])
@pytest.mark.parametrize("form", ["absolute", "upwards", "magic"])
def test_directories_that_are_links(
    pouchd: Daemon, tmp_path: Path, busybox_tar: Path, outside: Path, place: str, form: str
) -> None:
    """The engine's files, mount targets, working directory and volumes never follow a link out of the image."""
    link = {"absolute": str(outside), "upwards": "../" * 20 + str(outside), "magic": "/proc/1/root" + str(outside)}[
        form
    ]
    tar = _image(tmp_path, busybox_tar, place, {place: link})
    pouchd.pouch("import", tar, "enemy:latest")
    try:
        mounts = ["-v", f"/{place}/volume", "--tmpfs", f"/{place}/memory", "-w", f"/{place}/dir"]
        done = pouchd.pouch("run", "--rm", *mounts, "enemy", "/bin/busybox", "true", check=False)
        assert b"Traceback" not in done.stderr
    finally:
        pouchd.pouch("rmi", "-f", "enemy:latest")


@pytest.mark.parametrize("target", ["/etc/passwd", "/etc/group"])
def test_user_files_that_are_links(
    pouchd: Daemon, tmp_path: Path, busybox_tar: Path, outside: Path, target: str
) -> None:
    """Users are looked up inside the image, whatever its passwd points to."""
    tar = _image(tmp_path, busybox_tar, "users", {target.lstrip("/"): str(outside / "passwd")})
    pouchd.pouch("import", tar, "enemy:latest")
    try:
        done = pouchd.pouch("run", "--rm", "-u", "enemy", "enemy", "/bin/busybox", "true", check=False)
        assert done.returncode != 0
        assert b"enemy" in done.stderr
    finally:
        pouchd.pouch("rmi", "-f", "enemy:latest")


def test_labels_mean_nothing(pouchd: Daemon, busybox_tar: Path) -> None:
    """No label of an image chooses a runtime, a logger, a mount, a hook or an option of a plugin."""
    keys = [
        "io.kubernetes.runtime",
        "pouch.io/example.env",
        "containerd.io/restart.logpath",
        "io.kubernetes.lxcfs.enabled",
    ]
    changes = [argument for key in keys for argument in ("--change", f"LABEL {key}=/tmp/enemy")]
    pouchd.pouch("import", *changes, busybox_tar, "labelled:latest")
    try:
        pouchd.pouch("run", "--name", "labelled", "labelled", "/bin/busybox", "true")
        document = pouchd.inspect("labelled")
        assert document["HostConfig"]["Runtime"] == "runc"
        assert document["HostConfig"]["LogConfig"]["Type"] == "json-file"
        assert document["Mounts"] == []
        pouchd.pouch("rm", "labelled")
    finally:
        pouchd.pouch("rmi", "-f", "labelled:latest")


@pytest.mark.parametrize("volume", ["/../../../../etc/enemy", "relative/path", "/", "/proc/self/root/enemy"])
def test_volumes_of_an_image(pouchd: Daemon, busybox_tar: Path, volume: str) -> None:
    """An image's VOLUME is a place inside the container or nothing."""
    pouchd.pouch("import", "--change", f'VOLUME ["{volume}"]', busybox_tar, "voluminous:latest", check=False)
    try:
        pouchd.pouch("run", "--rm", "voluminous", "/bin/busybox", "true", check=False)
        assert not Path("/etc/enemy").exists()
        assert not Path("/enemy").exists()
    finally:
        pouchd.pouch("rmi", "-f", "voluminous:latest", check=False)


def test_giant_passwd(pouchd: Daemon, tmp_path: Path, busybox_tar: Path) -> None:
    """A passwd file beyond 1 MiB is refused, not read into memory (CVE-2023-25153)."""
    path = tmp_path / "giant.tar"
    with tarfile.open(busybox_tar) as source, tarfile.open(path, "w") as target:
        for member in source:
            if member.name.removeprefix("./") != "etc/passwd":
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
        member = tarfile.TarInfo("etc/passwd")
        member.size = 3 << 20
        target.addfile(member, io.BytesIO(b"a" * member.size))
    pouchd.pouch("import", path, "giant:latest")
    try:
        done = pouchd.pouch("run", "--rm", "giant", "/bin/busybox", "true", check=False)
        assert done.returncode == 125
        assert b"/etc/passwd" in done.stderr
    finally:
        pouchd.pouch("rmi", "-f", "giant:latest")


def test_an_archive_that_escapes_is_refused(pouchd: Daemon, tmp_path: Path, outside: Path) -> None:
    """import names the entry, and nothing of the archive stays."""
    path = tmp_path / "escape.tar"
    with tarfile.open(path, "w") as target:
        link = tarfile.TarInfo("l")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        target.addfile(link)
        evil = tarfile.TarInfo("../evil")
        target.addfile(evil, io.BytesIO(b""))
    images = pouchd.text("images", "-q")
    done = pouchd.pouch("import", path, "escape:latest", check=False)
    assert done.returncode == 1
    assert b"../evil" in done.stderr
    assert pouchd.text("images", "-q") == images


@pytest.mark.parametrize("content", [b"", b"not an archive", b"\x1f\x8b" + b"\0" * 100])
def test_a_damaged_archive_is_refused(pouchd: Daemon, tmp_path: Path, content: bytes) -> None:
    """load says what was expected."""
    path = tmp_path / "damaged.tar"
    path.write_bytes(content)
    done = pouchd.pouch("load", "-i", path, check=False)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"archive" in done.stderr
