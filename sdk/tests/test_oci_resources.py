"""Limits in the form of `update`."""

from __future__ import annotations

import pytest

from pouch_hookspecs import DeviceThrottle, Resources
from pouch_hookspecs.errors import Unsupported
from pouch_sdk.oci_resources import update_json


def _update(wanted: Resources, now: Resources) -> dict[str, dict[str, object]]:
    return update_json(wanted, now, all_cpus="0-7", all_mems="0")


def test_what_is_none_becomes_unlimited() -> None:
    """Every limit that the update knows is written, as -1 or the normal value where there is none."""
    assert _update(Resources(), Resources(memory_limit_bytes=1 << 20, cpuset_cpus="1")) == {
        "cpu": {"shares": 1024, "quota": -1, "period": 100_000, "cpus": "0-7"},
        "memory": {"limit": -1, "swap": -1, "reservation": -1},
        "pids": {"limit": -1},
    }


def test_limits_are_passed_on() -> None:
    """Given limits arrive as they are."""
    wanted = Resources(memory_limit_bytes=5, cpu_quota_us=7, cpu_period_us=8, cpu_shares=9, pids_limit=3, io_weight=10)
    update = _update(wanted, Resources())
    assert update["memory"]["limit"] == 5
    assert update["cpu"] == {"shares": 9, "quota": 7, "period": 8}
    assert update["pids"] == {"limit": 3}
    assert update["blockIO"] == {"weight": 10}


def test_what_can_not_be_changed_is_refused() -> None:
    """A difference in a limit that `update` leaves alone raises Unsupported that names it."""
    wanted = Resources(io_read_bytes_per_second=(DeviceThrottle(path="/dev/sda", rate=1),))
    with pytest.raises(Unsupported, match="io_read_bytes_per_second"):
        _update(wanted, Resources())
    _update(wanted, wanted)
