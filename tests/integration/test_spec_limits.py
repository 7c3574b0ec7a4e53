"""Limits: what a flag asks for is what the kernel's own files say, on either version of cgroups."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pouch_linux.cgroups.control_files import control_files
from tests.cgroup_files import V2, Kernel
from tests.pouchd import Daemon

flag = pytest.mark.flag
offered_files = cache(control_files)
MEMORY = "memory"


def kernel_of(pouchd: Daemon, *flags: str) -> Kernel:
    """The cgroup files of a new container with these flags."""
    id_ = pouchd.text("run", "-d", *flags, "busybox", "sleep", "1000")
    return Kernel(pouchd.inspect(id_)["State"]["Pid"])


def skip_without(*names: str) -> None:
    """For a limit that not every kernel has: one of these files."""
    if not offered_files() & set(names):
        pytest.skip(f"this kernel's cgroups have no {' or '.join(names)}")


@pytest.mark.parametrize(
    ("flags", "controller", "v1", "v2", "value"),
    [
        pytest.param(["-m", "64m"], MEMORY, "memory.limit_in_bytes", "memory.max", 64 << 20, marks=flag("--memory")),
        pytest.param(
            ["-m", "64m", "--memory-reservation", "32m"], MEMORY, "memory.soft_limit_in_bytes", "memory.low", 32 << 20,
            marks=flag("--memory-reservation"),
        ),
        pytest.param(
            ["--memory-swappiness", "7"], MEMORY, "memory.swappiness", "", 7,
            marks=flag("--memory-swappiness", versions=(1,)),
        ),
        pytest.param(["-c", "512"], "cpu", "cpu.shares", "cpu.weight", 20 if V2 else 512, marks=flag("--cpu-shares")),
        pytest.param(["--pids-limit", "50"], "pids", "pids.max", "pids.max", 50, marks=flag("--pids-limit")),
        pytest.param(["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "cpuset.cpus", 0, marks=flag("--cpuset-cpus")),
        pytest.param(["--cpuset-mems", "0"], "cpuset", "cpuset.mems", "cpuset.mems", 0, marks=flag("--cpuset-mems")),
    ],
    ids=["memory", "reservation", "swappiness", "shares", "pids", "cpus", "mems"],  # the same in a machine of version 2
)  # fmt: skip
def test_one_number(pouchd: Daemon, flags: list[str], controller: str, v1: str, v2: str, value: int) -> None:
    """The container's cgroup has the number."""
    assert kernel_of(pouchd, *flags).number(controller, v2 if V2 else v1) == value


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(["--cpus", "0.5"], (50_000, 100_000), marks=flag("--cpus")),
        pytest.param(["--cpu-quota", "20000"], (20_000, 100_000), marks=flag("--cpu-quota")),
        pytest.param(
            ["--cpu-period", "50000", "--cpu-quota", "10000"],
            (10_000, 50_000),
            marks=flag("--cpu-period", "--cpu-quota"),
        ),
    ],
)
def test_processor_time(pouchd: Daemon, flags: list[str], expected: tuple[int, int]) -> None:
    """Quota and period in microseconds."""
    assert kernel_of(pouchd, *flags).cpu_quota == expected


@pytest.mark.parametrize(
    ("flags", "together"),
    [
        pytest.param(["-m", "64m"], 128 << 20, marks=flag("--memory", "--memory-swap")),
        pytest.param(["-m", "64m", "--memory-swap", "96m"], 96 << 20, marks=flag("--memory-swap")),
        pytest.param(["-m", "64m", "--memory-swap", "64m"], 64 << 20, marks=flag("--memory-swap")),
        pytest.param(["-m", "64m", "--memory-swap", "-1"], None, marks=flag("--memory-swap")),
    ],
)
def test_memory_and_swap(pouchd: Daemon, flags: list[str], together: int | None) -> None:
    """docker's rule: both together; twice the memory where nothing is said; -1 is without end."""
    skip_without("memory.memsw.limit_in_bytes", "memory.swap.max")
    assert kernel_of(pouchd, *flags).memory_and_swap_limit == together


@flag("--oom-kill-disable", versions=(1,))
def test_no_oom_kill(pouchd: Daemon) -> None:
    """Processes wait instead of being killed."""
    kernel = kernel_of(pouchd, "-m", "64m", "--oom-kill-disable")
    assert kernel.table(MEMORY, "memory.oom_control")["oom_kill_disable"] == 1


@flag("--blkio-weight")
def test_io_weight(pouchd: Daemon) -> None:
    """The weight is in the file of the policy that this kernel has."""
    skip_without("blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight")
    kernel = kernel_of(pouchd, "--blkio-weight", "500")
    names = ("io.bfq.weight", "io.weight") if V2 else ("blkio.bfq.weight", "blkio.weight")
    files = [kernel.file("blkio", name) for name in names]
    (text, *_) = [file.read_text() for file in files if file.exists()]
    weight = int(re.findall("[0-9]+", text)[0])
    assert weight == (500 if files[0].exists() else 1 + (500 - 10) * 9999 // 990)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A block device: a loop device of a small file."""
    file = tmp_path / "disk"
    file.write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "--find", "--show", file], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"this host gives no loop device: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


@pytest.fixture
def weighing_disk(disk: str) -> str:
    """One whose scheduler is bfq, the only one that takes weights of single devices."""
    try:
        Path(f"/sys/block/{Path(disk).name}/queue/scheduler").write_text("bfq")
    except OSError as error:
        pytest.skip(f"this kernel has no bfq: {error}")
    return disk


@flag("--blkio-weight-device", versions=(1,))
def test_io_weight_of_a_device(pouchd: Daemon, weighing_disk: str) -> None:
    """The weight stands beside the device's number, where its scheduler takes weights."""
    skip_without("blkio.bfq.weight_device", "io.bfq.weight")
    kernel = kernel_of(pouchd, "--blkio-weight-device", f"{weighing_disk}:300")
    number = os.stat(weighing_disk).st_rdev
    text = kernel.file("blkio", "io.bfq.weight" if V2 else "blkio.bfq.weight_device").read_text()
    assert f"{os.major(number)}:{os.minor(number)} 300" in text


@pytest.mark.parametrize(
    ("name", "given", "v1", "v2", "rate"),
    [
        pytest.param("--device-read-bps", "2m", "read_bps", "rbps", 2 << 20, marks=flag("--device-read-bps")),
        pytest.param("--device-write-bps", "1m", "write_bps", "wbps", 1 << 20, marks=flag("--device-write-bps")),
        pytest.param("--device-read-iops", "70", "read_iops", "riops", 70, marks=flag("--device-read-iops")),
        pytest.param("--device-write-iops", "80", "write_iops", "wiops", 80, marks=flag("--device-write-iops")),
    ],
)
def test_io_limits(pouchd: Daemon, disk: str, name: str, given: str, v1: str, v2: str, rate: int) -> None:
    """The rate stands beside the device's number."""
    skip_without("blkio.throttle.read_bps_device", "io.max")
    kernel = kernel_of(pouchd, name, f"{disk}:{given}")
    number = f"{os.major(os.stat(disk).st_rdev)}:{os.minor(os.stat(disk).st_rdev)}"
    if V2:
        (line,) = [line for line in kernel.file("io", "io.max").read_text().splitlines() if line.startswith(number)]
        assert f"{v2}={rate}" in line.split()
    else:
        assert f"{number} {rate}" in kernel.file("blkio", f"blkio.throttle.{v1}_device").read_text().splitlines()


@flag("--hugepage-limit", versions=(2,))
def test_huge_pages(pouchd: Daemon) -> None:
    """The limit of pages of one size, in bytes."""
    skip_without("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max")
    assert kernel_of(pouchd, "--hugepage-limit", "2MB=64m").number("hugetlb", "hugetlb.2MB.max") == 64 << 20


@flag("--kernel-memory")
def test_kernel_memory_is_ignored(pouchd: Daemon) -> None:
    """Accepted for old clients, with a warning."""
    done = pouchd.pouch("run", "--rm", "--kernel-memory", "64m", "busybox", "true")
    assert b"KernelMemory is ignored" in done.stderr


@flag("--cgroup-parent")
def test_parent(pouchd: Daemon) -> None:
    """The container's cgroup is below the given one."""
    kernel = kernel_of(pouchd, "--cgroup-parent", f"{pouchd.cgroup}/batch")
    assert f"{pouchd.cgroup}/batch/" in str(kernel.file("memory", "cgroup.procs"))
    pouchd.pouch("rm", "-f", *pouchd.text("ps", "-q").split())
    for directory in Path("/sys/fs/cgroup").glob(f"**{pouchd.cgroup}/batch"):
        directory.rmdir()


@flag("--oom-score-adj")
def test_oom_score(pouchd: Daemon) -> None:
    """The process has the score."""
    assert pouchd.text("run", "--rm", "--oom-score-adj", "321", "busybox", "cat", "/proc/self/oom_score_adj") == "321"


@flag("--shm-size")
def test_shm_size(pouchd: Daemon) -> None:
    """/dev/shm has the size, 64 MiB where nothing is said."""
    for flags, blocks in ((["--shm-size", "8m"], "8192"), ([], "65536")):
        told = pouchd.text("run", "--rm", *flags, "busybox", "df", "-k", "/dev/shm")
        assert told.splitlines()[-1].split()[1] == blocks


# What this kernel lacks


def lacking() -> tuple[str, str]:
    """A limit that this host's cgroups can't have: its flag and a good value."""
    candidates = {
        ("--memory-swappiness", "5"): {"memory.swappiness"},
        ("--hugepage-limit", "2MB=64m"): {"hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max"},
        ("--blkio-weight", "500"): {"blkio.weight", "blkio.bfq.weight", "io.weight", "io.bfq.weight"},
    }
    for flag_and_value, files in candidates.items():
        if not files & offered_files():
            return flag_and_value
    pytest.skip("this kernel has every limit")


@flag("--allow-degraded")
def test_a_limit_that_can_not_be_is_refused(pouchd: Daemon) -> None:
    """Refused with the flag, the reason and the way out; nothing is left over."""
    name, value = lacking()
    done = pouchd.pouch("run", "--rm", name, value, "busybox", "true", check=False)
    assert done.returncode == 125
    assert name in done.stderr.decode()
    assert "--allow-degraded" in done.stderr.decode()
    assert pouchd.text("ps", "-aq") == ""


@flag("--allow-degraded")
def test_a_limit_that_can_not_be_is_left_out(pouchd: Daemon) -> None:
    """With --allow-degraded the container runs, with a warning that names the flag."""
    name, value = lacking()
    done = pouchd.pouch("run", "--rm", "--allow-degraded", name, value, "busybox", "echo", "ran")
    assert done.stdout == b"ran\n"
    assert f"{name} is not in force" in done.stderr.decode()


@flag("--allow-degraded", versions=(2,))
@pytest.mark.parametrize("flags", [["--memory-swappiness", "5"], ["-m", "64m", "--oom-kill-disable"]])
def test_limits_of_version_1_only(pouchd: Daemon, flags: list[str]) -> None:
    """Version 2 of cgroups lacks them: refused with that reason."""
    done = pouchd.pouch("run", "--rm", *flags, "busybox", "true", check=False)
    assert done.returncode == 125
    assert b"cgroup version 2 has no such limit" in done.stderr
