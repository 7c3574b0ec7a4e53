"""Mounts in all forms, as the container's own mount table and files show them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon

flag = pytest.mark.flag


@pytest.fixture
def source(pouchd: Daemon) -> Iterator[Path]:
    """A directory of the host with a file in it, and another file system mounted below."""
    directory = pouchd.root_dir / "source"
    (directory / "below").mkdir(parents=True)
    (directory / "file").write_text("of the host\n")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "below", directory / "below"], check=True)
    (directory / "below/deep").write_text("deep\n")
    yield directory
    subprocess.run(["umount", directory / "below"], check=True)
    subprocess.run(["rm", "-r", directory], check=True)


@pytest.fixture
def volumes(pouchd: Daemon) -> Iterator[None]:
    """Named volumes of a test are gone afterwards."""
    yield
    for container in pouchd.text("ps", "-aq").split():
        pouchd.pouch("rm", "-fv", container)
    for volume in pouchd.text("volume", "ls", "-q").split():
        pouchd.pouch("volume", "rm", volume)


def mount_line(pouchd: Daemon, target: str, *flags: str) -> list[str]:
    """The fields of a mount in the container's /proc/self/mountinfo."""
    table = pouchd.text("run", "--rm", *flags, "busybox", "cat", "/proc/self/mountinfo")
    (line,) = [fields for fields in map(str.split, table.splitlines()) if fields[4] == target]
    return line


def shell(pouchd: Daemon, script: str, *flags: str, check: bool = True) -> str:
    """Run a script in a container; gives its output."""
    return pouchd.text("run", "--rm", *flags, "busybox", "sh", "-c", script, check=check)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(["-v", "{}:/mnt"], "rw", marks=flag("--volume")),
        pytest.param(["-v", "{}:/mnt:rw"], "rw", marks=flag("--volume")),
        pytest.param(["-v", "{}:/mnt:ro"], "ro", marks=flag("--volume")),
        pytest.param(["-v", "{}:/mnt:z"], "rw", marks=flag("--volume")),
        pytest.param(["-v", "{}:/mnt:ro,Z"], "ro", marks=flag("--volume")),
        pytest.param(["--mount", "type=bind,src={},dst=/mnt"], "rw", marks=flag("--mount")),
        pytest.param(["--mount", "type=bind,source={},target=/mnt,readonly"], "ro", marks=flag("--mount")),
        pytest.param(["--mount", "type=bind,source={},destination=/mnt,ro=true"], "ro", marks=flag("--mount")),
        pytest.param(["--mount", "type=bind,src={},dst=/mnt,readonly=false"], "rw", marks=flag("--mount")),
    ],
)
def test_bind(pouchd: Daemon, source: Path, flags: list[str], expected: str) -> None:
    """The host's directory is there, writable or not."""
    line = mount_line(pouchd, "/mnt", *(text.format(source) for text in flags))
    assert expected in line[5].split(",")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-v", "{}:/mnt"], "deep, rw"),
        (["-v", "{}:/mnt:ro"], "deep, ro"),
        (["--mount", "type=bind,src={},dst=/mnt,bind-nonrecursive"], "absent"),
        (["--mount", "type=bind,src={},dst=/mnt,bind-recursive=disabled"], "absent"),
        (["--mount", "type=bind,src={},dst=/mnt,readonly,bind-recursive=writable"], "deep, rw"),
        (["--mount", "type=bind,src={},dst=/mnt,readonly,bind-recursive=readonly"], "deep, ro"),
    ],
)
@flag("--mount", "--volume")
def test_what_is_mounted_below_a_bind(pouchd: Daemon, source: Path, flags: list[str], expected: str) -> None:
    """It comes along, read-only as the bind is, unless something else was asked for."""
    script = (
        "cd /mnt/below; cat deep 2>/dev/null || { echo absent; exit; }; touch new 2>/dev/null && echo rw || echo ro"
    )
    told = shell(pouchd, script, *(text.format(source) for text in flags))
    assert ", ".join(told.splitlines()) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-v", "{}:/mnt"], ""),
        (["-v", "{}:/mnt:rshared"], "shared:"),
        (["-v", "{}:/mnt:rslave"], "master:"),
        (["--mount", "type=bind,src={},dst=/mnt,bind-propagation=rshared"], "shared:"),
        (["--mount", "type=bind,src={},dst=/mnt,bind-propagation=rprivate"], ""),
    ],
)
@flag("--mount", "--volume")
def test_propagation(pouchd: Daemon, source: Path, flags: list[str], expected: str) -> None:
    """mountinfo's optional fields tell of a mount that is shared, or follows another."""
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        line = mount_line(pouchd, "/mnt", *(text.format(source) for text in flags))
        assert line[6].startswith(expected) if expected else line[6] == "-"
    finally:
        subprocess.run(["umount", "-l", source], check=True)


@flag("--mount", "--volume")
def test_missing_source(pouchd: Daemon) -> None:
    """-v makes a missing directory, --mount refuses it unless it is told to make it."""
    missing = pouchd.root_dir / "missing"
    done = pouchd.pouch("run", "--rm", "--mount", f"type=bind,src={missing},dst=/mnt", "busybox", "true", check=False)
    assert b"bind source path does not exist" in done.stderr
    for flags in (["-v", f"{missing}:/mnt"], ["--mount", f"type=bind,src={missing},dst=/mnt,bind-create-src"]):
        assert shell(pouchd, "test -d /mnt && echo made", *flags) == "made"
        missing.rmdir()


@flag("--mount", "--volume")
@pytest.mark.usefixtures("volumes")
def test_volume_and_its_options(pouchd: Daemon) -> None:
    """A volume is made with labels, keeps data, and can be mounted read-only."""
    shell(
        pouchd, "echo kept >/data/file", "--mount", "type=volume,src=vol,dst=/data,volume-label=a=b,volume-driver=local"
    )
    assert pouchd.api("GET", "/volumes/vol")[1]["Labels"] == {"a": "b"}
    assert shell(pouchd, "cat /data/file; touch /data/x || true", "-v", "vol:/data:ro") == "kept"


@flag("--mount", "--volume")
@pytest.mark.usefixtures("volumes")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["-v", "vol:/etc"], "copied"),
        (["-v", "vol:/etc:nocopy"], "empty"),
        (["--mount", "src=vol,dst=/etc"], "copied"),
        (["--mount", "type=volume,src=vol,dst=/etc,volume-nocopy"], "empty"),
    ],
)
def test_copy_up(pouchd: Daemon, flags: list[str], expected: str) -> None:
    """A fresh volume takes what the image has there, unless that is not wanted."""
    assert shell(pouchd, "test -e /etc/passwd && echo copied || echo empty", *flags) == expected


@flag("--volume")
@pytest.mark.usefixtures("volumes")
def test_a_used_volume_takes_nothing(pouchd: Daemon) -> None:
    """A volume that a container has had, even empty, is not filled by the next one."""
    shell(pouchd, "true", "-v", "vol:/somewhere")
    assert shell(pouchd, "ls /etc | grep -c passwd || true", "-v", "vol:/etc") == "0"


@flag("--mount")
@pytest.mark.usefixtures("volumes")
def test_subpath(pouchd: Daemon) -> None:
    """Only a directory of the volume is there; a link in the volume leads nowhere outside of it."""
    shell(
        pouchd, "mkdir -p /data/a/b && echo in >/data/a/b/file && ln -s /../../../../etc /data/out", "-v", "vol:/data"
    )
    assert shell(pouchd, "cat /d/file", "--mount", "src=vol,dst=/d,volume-subpath=a/b") == "in"
    done = pouchd.pouch(
        "run", "--rm", "--mount", "src=vol,dst=/d,volume-subpath=out", "busybox", "ls", "/d", check=False
    )
    assert b"volume vol has no directory 'out'" in done.stderr


@flag("--volume")
@pytest.mark.usefixtures("volumes")
def test_replace_modes(pouchd: Daemon) -> None:
    """PouchContainer's dr mounts the volume's directory named as the target, rr one of a random name."""
    shell(pouchd, "echo direct >/app/logs/file", "-v", "vol:/app/logs:dr")
    shell(pouchd, "echo random >/app/logs/file", "-v", "vol:/app/logs:rr")
    told = shell(pouchd, "cat /v/app/logs/file; cat /v/*/file", "-v", "vol:/v")
    assert told.splitlines() == ["direct", "random"]


@flag("--volumes-from")
@pytest.mark.usefixtures("volumes")
def test_volumes_from(pouchd: Daemon, source: Path) -> None:
    """Volumes and binds of another container, with its modes; `ro` makes all read-only; what is asked for wins."""
    pouchd.pouch(
        "create", "--name", "first", "-v", "vol:/data", "-v", "/anonymous", "-v", f"{source}:/host:ro", "busybox"
    )
    shell(pouchd, "echo x >/data/x; echo y >/anonymous/y", "--volumes-from", "first")
    told = shell(pouchd, "cat /data/x /anonymous/y /host/file; touch /host/new || echo ro", "--volumes-from", "first")
    assert told.splitlines() == ["x", "y", "of the host", "ro"]
    assert shell(pouchd, "touch /data/new || echo ro", "--volumes-from", "first:ro") == "ro"
    assert shell(pouchd, "ls /data", "--volumes-from", "first", "--tmpfs", "/data") == ""


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(["--tmpfs", "/t"], [], marks=flag("--tmpfs")),
        pytest.param(["--tmpfs", "/t:size=1m,mode=1770"], ["size=1024k", "mode=1770"], marks=flag("--tmpfs")),
        pytest.param(
            ["--mount", "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=700"],
            ["size=2048k", "mode=700"],
            marks=flag("--mount"),
        ),
    ],
)
def test_tmpfs(pouchd: Daemon, flags: list[str], expected: list[str]) -> None:
    """A tmpfs with these options; nosuid and nodev always."""
    line = mount_line(pouchd, "/t", *flags)
    assert line[line.index("-") + 1] == "tmpfs"
    assert {"nosuid", "nodev"} <= set(line[5].split(","))
    assert set(expected) <= set(line[-1].split(","))


@flag("--read-only")
def test_read_only_root(pouchd: Daemon) -> None:
    """Nothing can be written but what is mounted; what a tmpfs needs as its mount point is made all the same."""
    told = shell(pouchd, "touch /new || echo ro; touch /made/new && echo rw", "--read-only", "--tmpfs", "/made")
    assert told.splitlines() == ["ro", "rw"]


LOOP_CONTROL = Path("/dev/loop-control")
with_loop = pytest.mark.skipif(not LOOP_CONTROL.exists(), reason="this host has no /dev/loop-control")


@with_loop
@flag("--device")
def test_device(pouchd: Daemon) -> None:
    """The node is there, under its own or another name, and can be used as far as it was given."""
    script = (
        "ls -l /dev/loop-control | cut -c1; head -c0 /dev/other && echo read; true 2>/dev/null >/dev/other || echo no"
    )
    told = shell(
        pouchd,
        script,
        "--device",
        "/dev/loop-control:/dev/loop-control:m",
        "--device",
        "/dev/loop-control:/dev/other:r",
    )
    assert told.splitlines() == ["c", "read", "no"]


@with_loop
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], "denied"),
        (["--device-cgroup-rule", "c 10:237 rwm"], "allowed"),
        (["--device-cgroup-rule", "c 10:* r"], "allowed"),
        (["--device-cgroup-rule", "c 11:* rwm"], "denied"),
        (["--device-cgroup-rule", "b *:* rwm"], "denied"),
    ],
)
@flag("--device-cgroup-rule")
def test_device_rules(pouchd: Daemon, flags: list[str], expected: str) -> None:
    """A node that the container makes can be opened only where a rule allows its number."""
    script = "mknod /control c 10 237 && head -c0 /control 2>/dev/null && echo allowed || echo denied"
    assert shell(pouchd, script, *flags) == expected
