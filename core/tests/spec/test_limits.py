"""Limits: what can not be is refused with the range that can; what can be is told to the runtime in its words."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.spec.limits import MINIMUM_MEMORY, oci_resources, validate_resources
from pouch_hookspecs import DeviceRule, DeviceThrottle, Resources
from pouch_hookspecs.errors import InvalidArgument

from .conftest import ALL_GRANTED, Runc

MIB = 2**20


def judge(**limits: Any) -> None:
    """Judge limits on a host with four processors."""
    validate_resources(Resources(**limits), ALL_GRANTED)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"memory_limit_bytes": MINIMUM_MEMORY - 1}, "below the minimum of 6291456 bytes (6m)"),
        ({"memory_limit_bytes": 0}, "below the minimum"),
        ({"memory_limit_bytes": -1}, "below the minimum"),
        ({"memory_swap_limit_bytes": 64 * MIB}, "needs a memory limit"),
        ({"memory_limit_bytes": 64 * MIB, "memory_swap_limit_bytes": 32 * MIB}, "must not be lower"),
        ({"memory_limit_bytes": 64 * MIB, "memory_swap_limit_bytes": -2}, "memory-swap limit -2"),
        ({"memory_limit_bytes": 64 * MIB, "memory_reservation_bytes": 65 * MIB}, "above the memory limit"),
        ({"memory_swappiness": 101}, "not within 0 to 100"),
        ({"memory_swappiness": -2}, "not within 0 to 100"),
        ({"cpu_quota_us": 999}, "below 1000 microseconds"),
        ({"cpu_quota_us": 400_001}, "only 4"),
        ({"cpu_period_us": 999}, "not within 1000 to 1000000"),
        ({"cpu_period_us": 1_000_001}, "not within 1000 to 1000000"),
        ({"cpu_quota_us": 40_001, "cpu_period_us": 10_000}, "only 4"),
        ({"cpu_shares": 1}, "not within 2 to 262144"),
        ({"cpu_shares": 262145}, "not within 2 to 262144"),
        ({"cpuset_cpus": "0-4"}, "processors 0 to 3 only"),
        ({"cpuset_cpus": "2-1"}, "not a list such as 0-2,4"),
        ({"cpuset_cpus": "0,"}, "not a list"),
        ({"cpuset_cpus": "٠"}, "not a list"),
        ({"cpuset_cpus": "0\n"}, "not a list"),
        ({"cpuset_cpus": "9" * 5000}, "not a list"),
        ({"cpuset_mems": "a"}, "cpuset-mems 'a'"),
        ({"pids_limit": -2}, "not -1 (unlimited) or more"),
        ({"io_weight": 9}, "not within 10 to 1000"),
        ({"io_weight": 1001}, "not within 10 to 1000"),
        ({"io_weight_devices": (DeviceThrottle(path="/dev/null", rate=5),)}, "not within 10 to 1000"),
        ({"unified": {"../memory.max": "1"}}, "not a file of a cgroup"),
        ({"unified": {"memory.max/../../x": "1"}}, "not a file of a cgroup"),
        ({"unified": {"memory": "1"}}, "not a file of a cgroup"),
    ],
)
def test_limit_that_can_not_be(limits: dict[str, Any], words: str) -> None:
    """The range or the rule is told."""
    with pytest.raises(InvalidArgument) as caught:
        judge(**limits)
    assert words in caught.value.message


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"memory_limit_bytes": MINIMUM_MEMORY},
        {"memory_limit_bytes": 64 * MIB, "memory_swap_limit_bytes": 64 * MIB},
        {"memory_limit_bytes": 64 * MIB, "memory_swap_limit_bytes": -1},
        {"memory_swap_limit_bytes": -1},
        {"memory_limit_bytes": 64 * MIB, "memory_reservation_bytes": 64 * MIB},
        {"memory_swappiness": -1},
        {"cpu_quota_us": 1000},
        {"cpu_quota_us": 400_000},
        {"cpu_quota_us": 4_000_000, "cpu_period_us": 1_000_000},
        {"cpu_shares": 2},
        {"cpuset_cpus": "0-1,3", "cpuset_mems": "0"},
        {"cpuset_cpus": ""},
        {"pids_limit": -1},
        {"pids_limit": 0},
        {"io_weight": 10},
        {"unified": {"memory.high": "1M", "hugetlb.2MB.max": "0"}},
    ],
)
def test_limit_that_can_be(limits: dict[str, Any]) -> None:
    """At the edges, too."""
    judge(**limits)


@given(st.text(alphabet="0123456789,- \n٣x"))
def test_any_cpu_list_is_judged(text: str) -> None:
    """Never another error than the vocabulary's."""
    try:
        judge(cpuset_cpus=text)
    except InvalidArgument:
        return
    assert set(text) <= set("0123,-")


def test_words_of_the_runtime() -> None:
    """Each limit under its name in the OCI runtime spec."""
    document = oci_resources(
        Resources(
            memory_limit_bytes=64 * MIB,
            memory_swap_limit_bytes=-1,
            memory_reservation_bytes=32 * MIB,
            memory_swappiness=0,
            oom_kill_disable=True,
            cpu_shares=512,
            cpu_quota_us=50_000,
            cpuset_cpus="0",
            cpuset_mems="0",
            pids_limit=100,
            io_weight=500,
            hugepage_limits_bytes={"2MB": 4 * MIB},
            unified={"memory.high": "1M"},
        )
    )
    assert document["memory"] == {
        "limit": 64 * MIB,
        "swap": -1,
        "reservation": 32 * MIB,
        "swappiness": 0,
        "disableOOMKiller": True,
    }
    assert document["cpu"] == {"shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0", "mems": "0"}
    assert document["pids"] == {"limit": 100}
    assert document["blockIO"] == {"weight": 500}
    assert document["hugepageLimits"] == [{"pageSize": "2MB", "limit": 4 * MIB}]
    assert document["unified"] == {"memory.high": "1M"}


def test_what_is_not_limited_is_not_mentioned() -> None:
    """A runtime would touch a controller that may not be there."""
    assert set(oci_resources(Resources(pids_limit=-1, memory_swappiness=-1))) == {"devices"}


def test_default_devices_of_docker() -> None:
    """Deny all, allow to make any node, and use null, zero, full, random, urandom, tty, ptmx, pts."""
    rules = oci_resources(Resources())["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert {(rule["type"], rule["access"]) for rule in rules[1:3]} == {("c", "m"), ("b", "m")}
    usable = {(rule["major"], rule.get("minor")) for rule in rules[3:]}
    assert usable == {(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, None)}


def test_device_rules_come_last() -> None:
    """So that they win."""
    rules = oci_resources(Resources(devices=(DeviceRule(allow=True, type="c", major=10, minor=200),)))["devices"]
    assert rules[-1] == {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rwm"}


def test_privileged_has_all_devices() -> None:
    """One rule that allows everything."""
    assert oci_resources(Resources(), all_devices=True)["devices"] == [{"allow": True, "access": "rwm"}]


def test_throttle_is_by_number(tmp_path: Path) -> None:
    """The runtime wants major and minor."""
    node = tmp_path / "disk"
    os.mknod(node, 0o60600, os.makedev(7, 3))
    limits = Resources(io_read_bytes_per_second=(DeviceThrottle(path=str(node), rate=MIB),))
    assert oci_resources(limits)["blockIO"] == {"throttleReadBpsDevice": [{"major": 7, "minor": 3, "rate": MIB}]}


@pytest.mark.parametrize(
    ("path", "words"),
    [("/dev/nosuch", "No such file"), ("/dev/null", "not a block device"), ("/etc/hosts", "not a block device")],
)
def test_throttle_of_what_is_no_disk(path: str, words: str) -> None:
    """The path is named; a limit on nothing would limit nothing."""
    with pytest.raises(InvalidArgument, match=f"device {path}.*{words}"):
        oci_resources(Resources(io_read_bytes_per_second=(DeviceThrottle(path=path, rate=1),)))


def test_limits_are_in_force_in_a_real_container(runc: Runc) -> None:
    """As the container itself sees them, through the controllers of this host."""
    v1 = "/sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max"
    script = f"cat {v1} || cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max"
    result = runc.run("sh", "-c", script, resources=Resources(memory_limit_bytes=64 * MIB, pids_limit=77))
    assert result.stdout.split() == [str(64 * MIB), "77"], result.stderr
