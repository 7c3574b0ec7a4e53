"""What is particular to the crun driver."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pouch_hookspecs import Level, TaskStatus
from pouch_linux import mounts
from pouch_linux.cgroups import detect_layout
from pouch_runc import CrunRuntime
from pouch_sdk.testing import RuntimeHarness


@pytest.fixture
def harness(busybox_root: Path) -> Iterator[RuntimeHarness]:
    """crun, as it is without any configuration."""
    with RuntimeHarness(CrunRuntime, root=busybox_root) as harness:
        yield harness


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_features_are_what_it_was_built_with(harness: RuntimeHarness) -> None:
    """crun before 1.10 does not tell its features: they are assumed, by its version and what it was built with."""
    features = harness.hooks.runtime_features()
    assert features.assumed == (tuple(map(int, features.version.split("."))) < (1, 10))
    assert features.cgroup_drivers == {"cgroupfs", "systemd"}
    assert features.seccomp
    assert features.proc_binds is None


def test_missing_command_has_a_remedy(busybox_root: Path) -> None:
    """Where crun is not installed, the check says so and how to get it."""
    with RuntimeHarness(CrunRuntime, root=busybox_root, options={"command": "no-such-crun"}) as harness:
        finding = harness.hooks.check()[0]
    assert (finding.level, finding.remedy) == (Level.ERROR, "apt-get install crun")


def test_the_host_keeps_its_cgroup_trees(harness: RuntimeHarness) -> None:
    """What is hidden from crun on a hybrid host is hidden from nobody else."""
    before = detect_layout()
    assert harness.container(["true"]).run() == 0
    assert detect_layout() == before


def test_calls_leave_no_descriptors(harness: RuntimeHarness) -> None:
    """The namespaces that crun is called in end with the call."""
    container = harness.container(["sleep", "1000"])
    container.create()
    container.start()
    before = _descriptors()
    for _ in range(3):
        assert container.state() is not None
    assert _descriptors() == before


def test_mounts_of_the_moment_are_seen(harness: RuntimeHarness, tmp_path: Path) -> None:
    """What was mounted after the driver was made is in the container: its root file system is."""
    place = tmp_path / "late"
    place.mkdir()
    mounts.mount("late", place, "tmpfs")
    try:
        (place / "file").write_text("seen")

        def bind(config: dict[str, Any]) -> None:
            config["mounts"].append({"destination": "/mnt", "type": "bind", "source": str(place), "options": ["bind"]})

        container = harness.container(["cat", "/mnt/file"], change=bind)
        assert container.run() == 0
        assert container.stdout == b"seen"
        container.delete(force=True)
    finally:
        mounts.unmount(place)


def test_poststart_hooks_run(harness: RuntimeHarness, tmp_path: Path) -> None:
    """A container with such hooks is started by crun itself, which runs them."""
    mark = tmp_path / "mark"

    def hook(config: dict[str, Any]) -> None:
        config["hooks"] = {"poststart": [{"path": "/bin/touch", "args": ["touch", str(mark)]}]}

    container = harness.container(["true"], change=hook)
    container.create()
    assert not mark.exists()
    container.start()
    assert mark.exists()
    container.wait()


def test_started_by_fifo_it_is_running_for_crun_too(harness: RuntimeHarness) -> None:
    """By crun's own word, a container that we have started is running."""
    container = harness.container(["sleep", "1000"])
    container.create()
    states = [container.state()]
    container.start()
    states.append(container.state())
    assert [state and state.status for state in states] == [TaskStatus.CREATED, TaskStatus.RUNNING]
