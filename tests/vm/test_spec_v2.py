"""What a container can be asked to be, on a machine with cgroup v2 only."""

from __future__ import annotations

import pytest

from tests.vm.borrowed import borrow

pytestmark = pytest.mark.vm(cgroup="v2")
globals().update(
    borrow(
        "tests.integration.test_spec_namespaces",
        "tests.integration.test_spec_limits",
        "tests.integration.test_spec_mounts",
        "tests.integration.test_spec_process",
    )
)
