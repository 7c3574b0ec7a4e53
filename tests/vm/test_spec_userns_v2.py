"""User namespaces on a machine with cgroup v2 only; apart, for its own `pouchd`."""

from __future__ import annotations

import pytest

from tests.vm.borrowed import borrow

pytestmark = pytest.mark.vm(cgroup="v2")
globals().update(borrow("tests.integration.test_spec_userns"))
