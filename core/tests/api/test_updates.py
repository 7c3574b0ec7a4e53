"""What the body of POST /containers/{id}/update means."""

from __future__ import annotations

from typing import Any

import pytest

from pouch_engine.api.updates import read_update
from pouch_hookspecs import RestartPolicy
from pouch_hookspecs.errors import Conflict, InvalidArgument


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {}),
        ({"Memory": 0, "CpuShares": 0, "MemorySwap": 0, "PidsLimit": None, "CpusetCpus": "", "BlkioWeight": 0}, {}),
        ({"Memory": 2**26}, {"memory_limit_bytes": 2**26}),
        ({"Memory": -1, "MemorySwap": -1}, {"memory_limit_bytes": None, "memory_swap_limit_bytes": -1}),
        ({"MemoryReservation": -1}, {"memory_reservation_bytes": None}),
        ({"CpuQuota": -1}, {"cpu_quota_us": None}),
        ({"NanoCpus": 500_000_000}, {"cpu_quota_us": 50_000, "cpu_period_us": 100_000}),
        ({"PidsLimit": 0}, {"pids_limit": -1}),
        ({"PidsLimit": 7}, {"pids_limit": 7}),
    ],
)
def test_limits(body: dict[str, Any], expected: dict[str, Any]) -> None:
    """Docker's zeros change nothing, -1 is no limit, and no limit of swap is derived."""
    change, _ = read_update(body)
    assert change.resources == expected


def test_policy() -> None:
    """Absent, or without a name, it stays as it is."""
    assert read_update({"RestartPolicy": {}})[0].restart_policy is None
    change, _ = read_update({"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}})
    assert change.restart_policy == RestartPolicy(name="on-failure", maximum_retries=3)


def test_what_pouchcontainer_has_besides() -> None:
    """Labels in both forms, annotations by both names, options of plugins below HostConfig."""
    body = {
        "Env": ["A=1", "B"],
        "Label": ["x=1", "y"],
        "Labels": {"z": "2"},
        "SpecAnnotation": {"k": "v"},
        "HostConfig": {"Isolation": {"quota": {"size": "1g"}}, "Annotations": {"l": "w"}},
    }
    change, warnings = read_update(body)
    assert (change.env, change.labels) == (("A=1", "B"), {"x": "1", "y": "", "z": "2"})
    assert (change.annotations, change.options) == ({"k": "v", "l": "w"}, {"quota": {"size": "1g"}})
    assert warnings == ()


def test_what_is_ignored_is_told() -> None:
    """Fields that nothing here stands for."""
    _, warnings = read_update({"KernelMemory": 1, "DiskQuota": {"/": "1g"}})
    assert [warning.partition(" ")[0] for warning in warnings] == ["KernelMemory", "DiskQuota"]


@pytest.mark.parametrize(
    ("body", "error", "word"),
    [
        ({"Memory": -2}, InvalidArgument, "Memory"),
        ({"Memory": "much"}, InvalidArgument, "Memory"),
        ({"NanoCpus": 1, "CpuQuota": 1000}, Conflict, "NanoCpus"),
        ({"RestartPolicy": {"Name": "sometimes"}}, InvalidArgument, "sometimes"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 3}}, InvalidArgument, "MaximumRetryCount"),
        ({"Label": ["=x"]}, InvalidArgument, "=x"),
        ({"Labels": "x"}, InvalidArgument, "Labels"),
        ({"HostConfig": {"Isolation": "hyperv"}}, InvalidArgument, "Isolation"),
    ],
)
def test_wrong_bodies(body: dict[str, Any], error: type[Exception], word: str) -> None:
    """The field is named."""
    with pytest.raises(error, match=word):
        read_update(body)
