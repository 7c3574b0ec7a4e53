"""Adjustments of all enhancements, merged: two that want the same thing are refused, naming both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pouch_engine.spec.adjustments import merge
from pouch_hookspecs import (
    Adjustment,
    ContainerConfig,
    DeniedSyscall,
    Device,
    DeviceRequest,
    DeviceRule,
    Hook,
    MergedAdjustment,
    Mount,
    NamespaceKind,
    Resources,
    Rlimit,
)
from pouch_hookspecs.errors import Conflict


def merged(*adjustments: Adjustment, mounts: tuple[Mount, ...] = (), **config: Any) -> MergedAdjustment:
    """The enhancements `first`, `second` … on a request."""
    names = ("first", "second", "third")
    return merge(ContainerConfig(**config), mounts, zip(names, adjustments, strict=False))


NULL = Device(path="/dev/x", type="c", major=1, minor=3)
CLAIMS = [
    ("env:A", {"env": {"A": "1"}}, {"env": {"A": "1"}}),
    (
        "mounts:/data",
        {"mounts": (Mount(target="/data", source="/a"),)},
        {"mounts": (Mount(target="/data/", source="/b"),)},
    ),
    ("devices:/dev/x", {"devices": (NULL,)}, {"devices": (NULL,)}),
    (
        "rlimits:RLIMIT_CORE",
        {"rlimits": (Rlimit(type="RLIMIT_CORE", soft=0, hard=0),)},
        {"rlimits": (Rlimit(type="RLIMIT_CORE", soft=1, hard=1),)},
    ),
    ("sysctls:net.x", {"sysctls": {"net.x": "1"}}, {"sysctls": {"net.x": "2"}}),
    ("annotations:a", {"annotations": {"a": "1"}}, {"annotations": {"a": "2"}}),
    ("resources:pids_limit", {"resources": Resources(pids_limit=1)}, {"resources": Resources(pids_limit=2)}),
    ("namespaces:user", {"namespaces": {NamespaceKind.USER: None}}, {"namespaces": {NamespaceKind.USER: Path("/x")}}),
    ("oom_score_adj", {"oom_score_adj": 0}, {"oom_score_adj": 5}),
    ("no_new_privileges", {"no_new_privileges": True}, {"no_new_privileges": False}),
    ("args_prefix", {"args_prefix": ("a",)}, {"args_prefix": ("b",)}),
]


@pytest.mark.parametrize(("claim", "one", "other"), CLAIMS, ids=[row[0] for row in CLAIMS])
def test_two_enhancements_that_want_the_same(claim: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """The thing and both enhancements are named."""
    with pytest.raises(Conflict, match=f"^{claim} is claimed by first and by second"):
        merged(Adjustment(**one), Adjustment(**other))


@pytest.mark.parametrize(("claim", "one", "other"), CLAIMS, ids=[row[0] for row in CLAIMS])
def test_owner_is_recorded(claim: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    """`inspect` shows who added what."""
    assert merged(Adjustment(), Adjustment(**one)).owners == {claim: "second"}


REQUESTS = [
    ("env:A", {"env": ("A=0",)}, {"env": {"A": "1"}}),
    ("sysctls:net.x", {"sysctls": {"net.x": "0"}}, {"sysctls": {"net.x": "1"}}),
    ("annotations:a", {"annotations": {"a": "0"}}, {"annotations": {"a": "1"}}),
    (
        "devices:/dev/x",
        {"devices": (DeviceRequest(host_path="/dev/null", container_path="/dev/x"),)},
        {"devices": (NULL,)},
    ),
    (
        "rlimits:RLIMIT_CORE",
        {"rlimits": (Rlimit(type="RLIMIT_CORE", soft=0, hard=0),)},
        {"rlimits": (Rlimit(type="RLIMIT_CORE", soft=1, hard=1),)},
    ),
    ("resources:pids_limit", {"resources": Resources(pids_limit=1)}, {"resources": Resources(pids_limit=2)}),
    ("namespaces:network", {"network_mode": "host"}, {"namespaces": {NamespaceKind.NETWORK: None}}),
    ("oom_score_adj", {"oom_score_adj": 0}, {"oom_score_adj": 5}),
]


@pytest.mark.parametrize(("claim", "config", "wanted"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_enhancement_that_wants_what_the_request_has_set(
    claim: str, config: dict[str, Any], wanted: dict[str, Any]
) -> None:
    """The user's word counts."""
    with pytest.raises(Conflict, match=f"^{claim} is claimed by the request and by first"):
        merged(Adjustment(**wanted), **config)


@pytest.mark.parametrize(("claim", "config", "wanted"), REQUESTS, ids=[row[0] for row in REQUESTS])
def test_enhancement_that_takes_it_openly(claim: str, config: dict[str, Any], wanted: dict[str, Any]) -> None:
    """`replaces` names what is taken, and it is recorded."""
    assert merged(Adjustment(**wanted, replaces=frozenset({claim})), **config).owners == {claim: "first"}


def test_mount_of_the_request() -> None:
    """It is claimed by its target, however it is written."""
    own = (Mount(target="/data", source="/a"),)
    with pytest.raises(Conflict, match=r"^mounts:/data is claimed by the request and by first"):
        merged(Adjustment(mounts=(Mount(target="//data/.", source="/b"),)), mounts=own)


def test_replaces_takes_nothing_from_another_enhancement() -> None:
    """Only from the request."""
    one = Adjustment(env={"A": "1"})
    with pytest.raises(Conflict, match="first and by second"):
        merged(one, one.model_copy(update={"replaces": frozenset({"env:A"})}))


def test_name_without_a_value_is_the_requests_too() -> None:
    """`-e NAME` takes a variable away: an enhancement must not bring it back unasked."""
    with pytest.raises(Conflict):
        merged(Adjustment(env={"A": "1"}), env=("A",))


def test_different_things_are_put_together() -> None:
    """Maps, lists and resources of all; the order is the enhancements'."""
    hook = Hook(path="/bin/hook")
    result = merged(
        Adjustment(
            env={"A": "1"}, resources=Resources(pids_limit=5), masked_paths=("/proc/a",), prestart_hooks=(hook,)
        ),
        Adjustment(
            env={"B": "2"},
            resources=Resources(cpu_shares=7),
            masked_paths=("/proc/b",),
            capabilities_drop=("CAP_KILL",),
        ),
        Adjustment(oom_score_adj=0, no_new_privileges=False, denied_syscalls=(DeniedSyscall(name="ioctl"),)),
    ).adjustment
    assert result == Adjustment(
        env={"A": "1", "B": "2"},
        resources=Resources(pids_limit=5, cpu_shares=7),
        masked_paths=("/proc/a", "/proc/b"),
        prestart_hooks=(hook,),
        capabilities_drop=("CAP_KILL",),
        oom_score_adj=0,
        no_new_privileges=False,
        denied_syscalls=(DeniedSyscall(name="ioctl"),),
    )


def test_device_rules_of_resources_are_one_thing() -> None:
    """A list within the resources is claimed as a whole."""
    rules = Resources(devices=(DeviceRule(allow=True, type="c", major=10),))
    with pytest.raises(Conflict, match=r"^resources:devices"):
        merged(Adjustment(resources=rules), Adjustment(resources=rules))


def test_nothing_from_nobody() -> None:
    """An empty adjustment, no owners."""
    assert merged(env=("A=1",)) == MergedAdjustment(adjustment=Adjustment(), owners={})
