"""Nothing is left: mounts, cgroups, processes, descriptors, files are after as they were before."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from pouch_hookspecs.errors import CommandNotFound
from pouch_linux.mounts import mountinfo
from pouch_sdk.testing import Container, RuntimeHarness

from .suite import Suite, needs

_ROUNDS = 10


@dataclass(frozen=True)
class Footprint:
    """What a harness has on this host."""

    mounts: tuple[str, ...]
    cgroups: tuple[str, ...]
    processes: tuple[str, ...]
    descriptors: tuple[str, ...]
    files: tuple[str, ...]


def footprint(harness: RuntimeHarness) -> Footprint:
    """Look at what belongs to a harness's directory and cgroups, and at this process's descriptors."""
    place = str(harness.directory)
    hierarchies = [each.target for each in mountinfo() if each.fstype in ("cgroup", "cgroup2")]
    cgroups = [str(found) for each in hierarchies for found in Path(each + harness.cgroup_parent).glob("**")]
    run_dirs = [harness.handler.run_dir, *(each.task.run_dir for each in harness.containers)]
    return Footprint(
        mounts=tuple(sorted(each.target for each in mountinfo() if place in each.target)),
        cgroups=tuple(sorted(each for each in cgroups if not each.endswith(harness.cgroup_parent))),
        processes=tuple(sorted(_processes_in(place))),
        descriptors=tuple(sorted(_descriptors())),
        files=tuple(sorted(str(each) for directory in run_dirs for each in directory.rglob("*"))),
    )


def _processes_in(place: str) -> list[str]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    line = file.read().replace(b"\0", b" ").decode(errors="replace")
                directory = os.readlink(f"/proc/{name}/cwd")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if place in line or directory.startswith(place):
                found.append(line)
    return found


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the listing's own
            continue
    return found


class Leaks(Suite):
    """Compared with a first round, which makes what is made once (a supervisors' cgroup, the state directory)."""

    @pytest.fixture
    def warm(self, harness: RuntimeHarness) -> RuntimeHarness:
        """A harness that has run one container already."""
        container = harness.container(["true"])
        container.run()
        container.delete()
        return harness

    def test_containers_that_ended(self, warm: RuntimeHarness) -> None:
        """Ten containers run and deleted leave nothing."""
        before = footprint(warm)
        for _ in range(_ROUNDS):
            container = warm.container(["true"])
            container.run()
            container.delete()
        assert footprint(warm) == before

    def test_containers_deleted_by_force(self, warm: RuntimeHarness) -> None:
        """Running ones, with a terminal and an exec, deleted by force, leave nothing."""
        needs(warm, "exec")
        before = footprint(warm)
        for _ in range(3):
            container = warm.container(["sleep", "1000"], terminal=True, stdin=True)
            container.create()
            container.start()
            process = container.exec(["sleep", "1000"])
            container.delete(force=True)
            process.wait()
        assert footprint(warm) == before

    def test_failed_creates(self, warm: RuntimeHarness) -> None:
        """Creates that failed leave nothing."""
        before = footprint(warm)
        for _ in range(3):
            container = warm.container(["no-such-command"])
            with pytest.raises(CommandNotFound):
                _create_and_start(container)
            container.delete(force=True)
        assert footprint(warm) == before

    def test_execs_and_attachments_that_are_left_alone(self, warm: RuntimeHarness) -> None:
        """Failed execs, and clients that go without a word, leave nothing after the container's end."""
        needs(warm, "exec")
        before = footprint(warm)
        container = warm.container(["sleep", "1000"])
        container.create()
        container.start()
        for _ in range(_ROUNDS):
            container.attach().close()
            container.exec(["sleep", "1000"]).attachment.close()
            with pytest.raises(CommandNotFound):
                container.exec(["no-such-command"])
        container.delete(force=True)
        assert footprint(warm) == before

    def test_client_that_does_not_read(self, warm: RuntimeHarness) -> None:
        """A container whose output is stuck behind a client that never reads can be deleted by force."""
        before = footprint(warm)
        container = warm.container(["cat", "/dev/zero"], log=False)
        container.create()
        with container.attach():
            container.start()
            container.kill(9)
            container.delete(force=True)
        assert container.state() is None
        assert footprint(warm) == before


def _create_and_start(container: Container) -> None:
    container.create()
    container.start()
