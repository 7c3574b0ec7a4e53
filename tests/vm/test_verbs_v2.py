"""Pause, update, figures and restart policies of the engine on a machine with cgroup v2 only."""

from __future__ import annotations

import pytest

from tests.vm.borrowed import borrow

pytestmark = pytest.mark.vm(cgroup="v2")

# What is about load, about clients, or about files alone, has nothing to do with cgroups.
ELSEWHERE = ["test_stats_and_exec_while_it_dies", "test_a_hundred_streams_that_go_away", "test_pause_and_kill_at_once"]

globals().update(
    borrow(
        "tests.integration.test_pause",
        "tests.integration.test_update",
        "tests.integration.test_stats",
        "tests.integration.test_restart_policies",
        without=ELSEWHERE,
    )
)
