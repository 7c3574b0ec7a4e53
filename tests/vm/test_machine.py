"""What a machine has, for tests that need it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.vm(cgroup="v2")
def test_a() -> None:
    print("out")
    assert Path("/sys/fs/cgroup/cgroup.controllers").exists()


@pytest.mark.vm(cgroup="v2")
def test_b() -> None:
    print("hello out")
    assert Path("/sys/fs/cgroup/cgroup.controllers").read_text() == "x"


def test_here() -> None:
    pass
