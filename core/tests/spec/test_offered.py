"""What is done about limits that a kernel lacks, for kernels that this host is not."""

from __future__ import annotations

import pytest

from pouch_engine.spec.offered import Offered, settled_limits
from pouch_hookspecs import DeviceThrottle, Resources
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux.cgroups import Mode

V1 = Offered(Mode.V1, frozenset({"memory.limit_in_bytes", "memory.swappiness", "memory.oom_control", "pids.max"}))
V2 = Offered(Mode.V2, frozenset({"memory.max", "memory.swap.max", "pids.max", "cpu.max"}))


def test_what_can_be_set_stays() -> None:
    """Nothing is said of limits that the kernel has."""
    asked = Resources(memory_limit_bytes=64 << 20, memory_swap_limit_bytes=64 << 20, pids_limit=5)
    assert settled_limits(asked, V2, degraded=False) == (asked, ())


def test_swap_as_docker_has_it() -> None:
    """A limit of memory alone limits swap, too, to the same again."""
    kept, warnings = settled_limits(Resources(memory_limit_bytes=64 << 20), V2, degraded=False)
    assert (kept.memory_swap_limit_bytes, warnings) == (128 << 20, ())


def test_swap_that_is_not_counted() -> None:
    """Where nobody has asked to limit swap, a kernel without swap accounting is a warning, not a refusal."""
    kept, warnings = settled_limits(Resources(memory_limit_bytes=64 << 20), V1, degraded=False)
    assert kept.memory_swap_limit_bytes is None
    assert "Swap is not limited" in warnings[0]


def test_unlimited_needs_no_file() -> None:
    """-1 asks for nothing."""
    asked = Resources(memory_limit_bytes=64 << 20, memory_swap_limit_bytes=-1)
    assert settled_limits(asked, V1, degraded=False) == (asked, ())


@pytest.mark.parametrize(
    ("asked", "offered", "words"),
    [
        (Resources(memory_swappiness=5), V2, "--memory-swappiness: cgroup version 2 has no such limit"),
        (Resources(oom_kill_disable=True), V2, "--oom-kill-disable: cgroup version 2 has no such limit"),
        (Resources(cpu_quota_us=1000), V1, "--cpu-quota: this kernel's cgroups have no cpu.cfs_quota_us"),
        (Resources(io_weight=100), V2, "--blkio-weight: this kernel's cgroups have no io.weight or io.bfq.weight"),
        (
            Resources(io_read_bytes_per_second=(DeviceThrottle(path="/dev/x", rate=1),)), V1,
            "--device-read-bps: this kernel's cgroups have no blkio.throttle.read_bps_device",
        ),
        (Resources(unified={"memory.high": "1"}), V1, "this host has no cgroup version 2"),
    ],
)  # fmt: skip
def test_refused_or_left_out(asked: Resources, offered: Offered, words: str) -> None:
    """By default refused with flag and reason; degraded, left out with the same words."""
    with pytest.raises(Unsupported, match=words) as refusal:
        settled_limits(asked, offered, degraded=False)
    assert "--allow-degraded" in (refusal.value.hint or "")
    kept, warnings = settled_limits(asked, offered, degraded=True)
    assert kept == Resources()
    assert words.split(": ")[-1] in warnings[0]


def test_huge_pages_of_a_size_that_is_not_there() -> None:
    """No kernel has pages of 3 MB: a mistake, degraded or not."""
    with pytest.raises(InvalidArgument, match="'3MB' is not a size of huge pages"):
        settled_limits(Resources(hugepage_limits_bytes={"3MB": 1}), V2, degraded=True)
