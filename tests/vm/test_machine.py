"""What machines have, and what they keep from the host."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

CGROUPS = Path("/sys/fs/cgroup")
MIB = 1 << 20

with_disks = pytest.mark.vm(disks=["ext4:prjquota", "xfs:pquota"])


def _types(place: Path) -> set[tuple[str, str]]:
    """Mount points at and below a place, relative to it, with the type of their file system."""
    mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {
        (os.path.relpath(fields[4], place), fields[fields.index("-") + 1])
        for fields in mounts
        if Path(fields[4]).is_relative_to(place)
    }


@pytest.mark.vm(cgroup="v2")
def test_v2_is_the_only_hierarchy() -> None:
    """One mount, and it has the controllers."""
    assert _types(CGROUPS) == {(".", "cgroup2")}
    controllers = (CGROUPS / "cgroup.controllers").read_text().split()
    assert {"cpuset", "cpu", "io", "memory", "pids", "hugetlb"} <= set(controllers)


@pytest.mark.vm(cgroup="v1")
def test_v1_has_a_hierarchy_for_each_controller() -> None:
    """No version 2 anywhere; cpu and cpuacct are one hierarchy under three names."""
    types = _types(CGROUPS)
    assert {kind for _, kind in types} == {"tmpfs", "cgroup"}
    assert {("memory", "cgroup"), ("cpu,cpuacct", "cgroup"), ("systemd", "cgroup")} <= types
    assert (CGROUPS / "cpu").samefile(CGROUPS / "cpu,cpuacct")


@pytest.mark.vm(cgroup="hybrid")
def test_hybrid_has_an_empty_v2_beside_v1() -> None:
    """As systemd lays it out: the controllers are in version 1."""
    types = _types(CGROUPS)
    assert {("memory", "cgroup"), ("pids", "cgroup"), ("unified", "cgroup2")} <= types
    assert "memory" not in (CGROUPS / "unified/cgroup.controllers").read_text()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """An OCI bundle with limits on memory, processor and processes, in a root file system of busybox."""
    for directory in ("bin", "proc", "dev", "sys"):
        (tmp_path / "rootfs" / directory).mkdir(parents=True)
    busybox = tmp_path / "rootfs/bin/busybox"
    busybox.write_bytes(Path("/bin/busybox").read_bytes())
    busybox.chmod(0o755)
    subprocess.run(["runc", "spec"], cwd=tmp_path, check=True)
    config: dict[str, Any] = json.loads((tmp_path / "config.json").read_text())
    config["process"] |= {"args": ["/bin/busybox", "cat"], "terminal": False}
    config["linux"]["cgroupsPath"] = "/vm-test/limited"
    config["linux"]["resources"] |= {
        "memory": {"limit": 64 * MIB},
        "cpu": {"quota": 50_000, "period": 100_000},
        "pids": {"limit": 17},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def _limits(version: str) -> list[str]:
    if version == "v2":
        paths = ["memory.max", "cpu.max", "pids.max"]
        return [(CGROUPS / "vm-test/limited" / path).read_text().strip() for path in paths]
    paths = ["memory/{}/memory.limit_in_bytes", "cpu/{}/cpu.cfs_quota_us", "pids/{}/pids.max"]
    return [(CGROUPS / path.format("vm-test/limited")).read_text().strip() for path in paths]


# crun is not asked on hybrid: it drops the controllers there when the version 2 beside version 1 has none (1.8).
@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        pytest.param("runc", "v2", marks=pytest.mark.vm(cgroup="v2")),
        pytest.param("crun", "v2", marks=pytest.mark.vm(cgroup="v2")),
        pytest.param("runc", "v1", marks=pytest.mark.vm(cgroup="v1")),
        pytest.param("crun", "v1", marks=pytest.mark.vm(cgroup="v1")),
        pytest.param("runc", "hybrid", marks=pytest.mark.vm(cgroup="hybrid")),
    ],
)
def test_limits_of_a_container(runtime: str, version: str, bundle: Path) -> None:
    """The kernel's own files have the limits while the container runs, and the cgroup goes with it."""
    container = subprocess.Popen(
        [runtime, "run", "--bundle", bundle, "limited"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with container:
        assert container.stdin is not None
        assert container.stdout is not None
        try:
            container.stdin.write(b"x\n")
            container.stdin.flush()
            assert container.stdout.readline() == b"x\n"
            cpu = "50000 100000" if version == "v2" else "50000"
            assert _limits(version) == [str(64 * MIB), cpu, "17"]
        finally:
            container.stdin.close()
    assert container.wait() == 0
    assert not list(CGROUPS.glob("**/vm-test/limited"))


@with_disks
def test_disks_are_mounted_with_their_quotas(disks: dict[str, Path]) -> None:
    """Each has the type and the options that its name says."""
    mounts = {fields[1]: fields for fields in map(str.split, Path("/proc/self/mounts").read_text().splitlines())}
    ext4, xfs = (mounts[str(place)] for place in disks.values())
    assert (ext4[2], xfs[2]) == ("ext4", "xfs")
    assert "prjquota" in ext4[3].split(",")
    assert "prjquota" in xfs[3].split(",")  # XFS's other name of pquota


@with_disks
@pytest.mark.parametrize("disk", ["/var/tmp", "ext4:prjquota", "xfs:pquota"])
def test_overlayfs_can_be_mounted(disk: str, disks: dict[str, Path]) -> None:
    """With its upper layer in memory and on every disk."""
    place = disks.get(disk, Path(disk)) / "overlay"
    layers = {name: place / name for name in ("lower", "upper", "work", "merged")}
    for layer in layers.values():
        layer.mkdir(parents=True)
    (layers["lower"] / "below").write_text("below")
    options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**layers)
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", layers["merged"]], check=True)
    try:
        (layers["merged"] / "below").write_text("above")
        assert (layers["lower"] / "below").read_text() == "below"
        assert (layers["upper"] / "below").read_text() == "above"
    finally:
        subprocess.run(["umount", layers["merged"]], check=True)


@with_disks
def test_modules_are_loaded_on_demand(tmp_path: Path) -> None:
    """What engines use of the kernel comes when it is first used: loop devices, bridges, pairs of interfaces."""
    image = tmp_path / "image"
    image.write_bytes(bytes(4 * MIB))
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, "/mnt"], check=True)
    subprocess.run(["umount", "/mnt"], check=True)
    subprocess.run(["ip", "link", "add", "bridge0", "type", "bridge"], check=True)
    subprocess.run(["ip", "link", "add", "left", "type", "veth", "peer", "name", "right"], check=True)
    subprocess.run(["ip", "link", "del", "left"], check=True)
    subprocess.run(["ip", "link", "del", "bridge0"], check=True)
    os.close(os.open("/dev/fuse", os.O_RDWR))


@with_disks
def test_the_basics_of_a_machine() -> None:
    """Two processors, memory, a name, the loopback interface, places to write to, and the host's time."""
    assert os.cpu_count() == 2
    assert os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 2 << 30
    assert os.uname().nodename == "machine"
    assert "inet 127.0.0.1/8" in subprocess.check_output(["ip", "address", "show", "lo"], text=True)
    for place in ("/tmp", "/var/tmp", "/run", "/var/lib", "/dev/shm", "/usr", "/etc"):
        assert os.access(place, os.W_OK)
    for end in os.openpty():
        os.close(end)


@pytest.mark.vm(cgroup="v2", init="systemd")
def test_systemd_runs_all_it_should() -> None:
    """Process 1 is systemd, and no unit has failed."""
    assert Path("/proc/1/comm").read_text() == "systemd\n"
    state = subprocess.run(["systemctl", "is-system-running", "--wait"], capture_output=True, text=True)
    failed = subprocess.check_output(["systemctl", "--failed", "--no-legend"], text=True)
    assert (state.stdout, failed) == ("running\n", "")


@pytest.mark.vm(cgroup="v2", init="systemd")
def test_systemd_delegates_a_cgroup(tmp_path: Path) -> None:
    """A unit may have a subtree of version 2 for itself, with the controllers that it asked for."""
    script = tmp_path / "script"  # systemd would expand the dollar signs of an argument
    script.write_text(
        "own=/sys/fs/cgroup$(cut -d : -f 3 /proc/self/cgroup)\n"
        "mkdir $own/leaf\n"
        "echo $$ > $own/leaf/cgroup.procs\n"
        "echo +memory +pids > $own/cgroup.subtree_control\n"
        "cat $own/leaf/cgroup.controllers\n"
    )
    command = ["systemd-run", "--quiet", "--wait", "--pipe", "-p", "Delegate=memory pids", "sh", "-e", str(script)]
    assert subprocess.check_output(command, text=True).split() == ["memory", "pids"]
