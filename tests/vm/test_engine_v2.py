"""The engine's integration tests on a machine with cgroup v2 only."""

from __future__ import annotations

import pytest

from tests.vm.borrowed import borrow

pytestmark = pytest.mark.vm(cgroup="v2")

# What is about load is not about cgroups, and takes an emulated processor minutes.
LOAD = ["test_fifty_containers_by_eight_clients", "test_large_binary_streams_are_unharmed"]

globals().update(borrow("tests.integration.test_run", without=LOAD))
