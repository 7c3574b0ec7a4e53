"""Cgroups of both versions on this host's real hierarchies."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_linux.cgroups import Cgroup, CgroupV1, CgroupV2, Layout, Mode, detect_layout, open_cgroup
from pouch_linux.mounts import MountPoint

LAYOUT = detect_layout()
KINDS = {
    **({"v1": CgroupV1} if LAYOUT.controllers else {}),
    **({"v2": CgroupV2} if LAYOUT.unified else {}),
}


@pytest.fixture(params=KINDS)
def cgroup(request: pytest.FixtureRequest) -> Iterator[Cgroup]:
    """A cgroup that does not exist yet; afterwards it and its processes are gone."""
    parent = KINDS[request.param](f"/pouch-test-{os.getpid()}", LAYOUT)
    yield KINDS[request.param](f"{parent.path}/child", LAYOUT)
    parent.kill()
    parent.remove()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child, which says so."""
    with subprocess.Popen(["sh", "-c", "read -r _; sleep 60 & sleep 60"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_life_of_a_cgroup(cgroup: Cgroup, sleeper: subprocess.Popen[bytes]) -> None:
    """Made, filled, emptied, removed; making and removing it twice is no error."""
    cgroup.create()
    cgroup.create()
    cgroup.add(sleeper.pid)
    assert cgroup.processes() == [sleeper.pid]
    cgroup.kill()
    cgroup.remove()
    cgroup.remove()
    assert not cgroup.exists()


def test_kill_takes_children_and_cgroups_below(cgroup: Cgroup, sleeper: subprocess.Popen[bytes]) -> None:
    """Everything that was started from there ends, also in a cgroup that a container made for itself."""
    below = type(cgroup)(cgroup.path + "/made/by/itself", LAYOUT)  # type: ignore[arg-type]
    below.create()
    below.add(sleeper.pid)
    assert sleeper.stdin is not None
    sleeper.stdin.write(b"\n")
    sleeper.stdin.flush()
    cgroup.kill()
    sleeper.wait(10)  # by the signal, or because its child got it first
    cgroup.remove()
    assert not below.exists()


def test_remove_waits_no_longer_than_told(cgroup: Cgroup, sleeper: subprocess.Popen[bytes]) -> None:
    """With a living process inside it fails, and says who it is."""
    cgroup.create()
    cgroup.add(sleeper.pid)
    with pytest.raises(OSError, match=str(sleeper.pid)):
        cgroup.remove(timeout=0.1)
    assert cgroup.processes() == [sleeper.pid]


def test_cgroup_that_does_not_exist(cgroup: Cgroup) -> None:
    """It has no processes and no usage, and ending it is no error."""
    cgroup.kill()
    cgroup.remove()
    usage = cgroup.usage()
    assert cgroup.processes() == []
    assert {getattr(usage, field) for field in usage.__slots__} == {None}


def test_cpu_usage_grows(cgroup: Cgroup) -> None:
    """Work inside is counted, in nanoseconds."""
    cgroup.create()
    burn = "read -r _; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"
    with subprocess.Popen(["sh", "-c", burn], stdin=subprocess.PIPE) as process:
        cgroup.add(process.pid)
        process.communicate(b"\n")
    usage = cgroup.usage().cpu_usage_ns
    assert usage is not None
    assert 10**6 < usage < 10**11


@pytest.mark.skipif("memory" not in LAYOUT.controllers, reason="the memory controller is not on version 1 here")
def test_memory_limit_usage_and_oom_kill(sleeper: subprocess.Popen[bytes]) -> None:
    """The limit is what was set, the usage below it, and a process killed for memory is counted."""
    cgroup = open_cgroup(f"/pouch-test-{os.getpid()}-memory", LAYOUT)
    cgroup.create()
    try:
        assert cgroup.usage().memory_limit_bytes is None
        limit = 16 << 20
        Path(f"{LAYOUT.controllers['memory']}{cgroup.path}/memory.limit_in_bytes").write_text(str(limit))
        hog = "import sys; sys.stdin.read(1); x = b'x' * (64 << 20)"
        with subprocess.Popen(["python3", "-c", hog], stdin=subprocess.PIPE) as process:
            cgroup.add(process.pid)
            process.communicate(b"\n")
        usage = cgroup.usage()
        assert process.returncode == -9
        assert (usage.memory_limit_bytes, usage.oom_kills) == (limit, 1)
        assert usage.memory_usage_bytes is not None
        assert usage.memory_usage_bytes <= limit
    finally:
        cgroup.kill()
        cgroup.remove()


@pytest.mark.parametrize("path", ["relative", "/", "", "/a/../b", "/a\0b"])
def test_paths_that_are_refused(path: str) -> None:
    """A cgroup path can't lead out, nor be the root itself."""
    with pytest.raises(ValueError, match="absolute"):
        open_cgroup(path, LAYOUT)


def mount_point(target: str, fstype: str, *options: str) -> MountPoint:
    """A line of a mount table."""
    return MountPoint(1, 0, "0:1", "/", target, ("rw",), (), fstype, fstype, ("rw", *options))


V1 = mount_point("/c/cpu,cpuacct", "cgroup", "cpu", "cpuacct")
NAMED = mount_point("/c/systemd", "cgroup", "xattr", "release_agent=/x", "name=systemd")
V2 = mount_point("/c/unified", "cgroup2", "nsdelegate")
CPU = {"cpu": V1.target, "cpuacct": V1.target}


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            [V1, NAMED, V2],
            Layout(Mode.HYBRID, CPU | {"name=systemd": NAMED.target}, V2.target),
        ),
        ([V1], Layout(Mode.V1, CPU, None)),
        ([V2], Layout(Mode.V2, {}, V2.target)),
    ],
    ids=["hybrid", "v1", "v2"],
)
def test_layout(table: list[MountPoint], expected: Layout) -> None:
    """Controllers that share a mount, named hierarchies and the unified tree are found by the mount table."""
    assert detect_layout(table) == expected


def test_hierarchies_are_listed_once() -> None:
    """Two controllers on one mount point make one directory."""
    assert detect_layout([V1, V2]).hierarchies == (V1.target, V2.target)


def test_host_without_cgroups() -> None:
    """A clear error instead of an empty layout."""
    with pytest.raises(FileNotFoundError, match="no cgroup file system"):
        detect_layout([])
