"""What is particular to the runc driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pouch_hookspecs import Level
from pouch_hookspecs.errors import RuntimeFailed
from pouch_runc import RuncRuntime
from pouch_sdk.testing import RuntimeHarness


@pytest.fixture
def harness(busybox_root: Path) -> Iterator[RuntimeHarness]:
    """runc, as it is without any configuration."""
    with RuntimeHarness(RuncRuntime, root=busybox_root) as harness:
        yield harness


def test_features_are_runcs_own_word(harness: RuntimeHarness) -> None:
    """runc tells its features; version, namespaces and cgroup versions are in them."""
    features = harness.hooks.runtime_features()
    assert not features.assumed
    assert {"pid", "mount", "network"} <= features.namespaces
    assert features.cgroup_versions == {1, 2}
    assert features.version[0].isdigit()


def test_proc_binds_are_what_runc_accepts(harness: RuntimeHarness) -> None:
    """A file of the list can be bound over in /proc; another one is refused by runc itself."""
    allowed = harness.hooks.runtime_features().proc_binds
    assert "/proc/meminfo" in allowed

    def container_with(place: str) -> Any:
        def bind(config: dict[str, Any]) -> None:
            config["mounts"].append(
                {"destination": place, "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro"]}
            )

        return harness.container(["true"], change=bind)

    for place in sorted(filter(os.path.exists, allowed)):  # not every kernel has all of them
        assert container_with(place).run() == 0, place
    with pytest.raises(RuntimeFailed, match="/proc/version"):
        container_with("/proc/version").create()


def test_old_version_is_found(busybox_root: Path, tmp_path: Path) -> None:
    """check() says which version is there, which is needed, and how to get it."""
    runtime = tmp_path / "runc"
    runtime.write_text("#!/bin/sh\necho runc version 0.1.1\n")
    runtime.chmod(0o755)
    with RuntimeHarness(RuncRuntime, root=busybox_root, options={"command": str(runtime)}) as harness:
        finding = harness.hooks.check()[0]
    assert finding.level is Level.ERROR
    assert "0.1.1" in finding.why
    assert "1.0" in finding.why
    assert finding.remedy == "apt-get install runc"
