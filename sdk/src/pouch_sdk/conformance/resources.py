"""Limits, figures, pause: as far as the runtime says that it has them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pouch_hookspecs import Resources, TaskStatus
from pouch_hookspecs.errors import Conflict, PouchError
from pouch_sdk.testing import TIMEOUT, Container, RuntimeHarness

from .suite import Suite, needs, shares_kernel

_MEMORY = 64 << 20
_MEMORY_AFTER = 96 << 20


def _limited(config: dict[str, Any]) -> None:
    config["linux"]["resources"] |= {"memory": {"limit": _MEMORY}, "pids": {"limit": 50}}


def _running(harness: RuntimeHarness, *, limited: bool = False) -> Container:
    """A container whose command runs: a start may return a moment before the runtime's init has become it."""
    container = harness.container(
        ["sh", "-c", "echo up; exec sleep 1000"],
        change=_limited if limited else None,
        resources=Resources(memory_limit_bytes=_MEMORY, pids_limit=50) if limited else None,
    )
    container.create()
    with container.attach() as attachment:
        container.start()
        attachment.read_until(b"up")
    return container


class Limits(Suite):
    """Of a running container."""

    def test_pause_and_resume(self, harness: RuntimeHarness) -> None:
        """A paused container says so and does nothing; resumed it goes on."""
        needs(harness, "pause")
        container = harness.container(["sh", "-c", "while read x; do echo $x; done"], stdin=True)
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.send(b"one\n")
            attachment.read_until(b"one")
            harness.hooks.runtime_pause(task=container.task)
            state = container.state()
            assert state is not None
            assert state.status is TaskStatus.PAUSED
            attachment.send(b"two\n")
            with pytest.raises(TimeoutError):
                attachment.read_until(b"two", timeout=0.3)
            harness.hooks.runtime_resume(task=container.task)
            attachment.read_until(b"two")

    def test_a_paused_container_can_be_deleted_by_force(self, harness: RuntimeHarness) -> None:
        """Being paused does not keep it."""
        needs(harness, "pause")
        container = _running(harness)
        harness.hooks.runtime_pause(task=container.task)
        container.delete(force=True)
        assert container.state() is None

    def test_stats(self, harness: RuntimeHarness) -> None:
        """Figures of memory, processor time and processes are those of the container, with its limits."""
        stats = harness.hooks.runtime_stats(task=_running(harness, limited=True).task)
        assert stats.memory.limit_bytes == _MEMORY
        assert 0 < stats.memory.usage_bytes <= _MEMORY
        assert stats.cpu.usage_ns > 0
        assert (stats.pids.current, stats.pids.limit) == (1, 50)

    def test_stats_of_an_ended_container(self, harness: RuntimeHarness) -> None:
        """It raises Conflict."""
        container = harness.container(["true"])
        container.run()
        with pytest.raises(Conflict):
            harness.hooks.runtime_stats(task=container.task)

    def test_processes(self, harness: RuntimeHarness) -> None:
        """All processes of the container are listed, with their arguments."""
        shares_kernel(harness)
        container = harness.container(["sh", "-c", "sleep 1001 & sleep 1002 & wait"])
        container.create()
        container.start()
        ends_at = time.monotonic() + TIMEOUT
        children: list[str] = []
        while children != ["sleep 1001", "sleep 1002"] and time.monotonic() < ends_at:
            time.sleep(0.02)  # nothing tells when a shell's child has become another command
            listed = harness.hooks.runtime_processes(task=container.task)
            first = container.state()
            assert first is not None
            children = sorted(each.args for each in listed if each.ppid == first.init_pid)
        assert children == ["sleep 1001", "sleep 1002"]
        assert len(listed) == 3

    def test_update(self, harness: RuntimeHarness) -> None:
        """New limits are in force at once."""
        needs(harness, "update")
        container = _running(harness, limited=True)
        wanted = Resources(memory_limit_bytes=_MEMORY_AFTER, pids_limit=70)
        harness.hooks.runtime_update(task=container.task, resources=wanted)
        stats = harness.hooks.runtime_stats(task=container.task)
        assert (stats.memory.limit_bytes, stats.pids.limit) == (_MEMORY_AFTER, 70)

    def test_update_to_unlimited(self, harness: RuntimeHarness) -> None:
        """What is None in the new limits is not limited any more."""
        needs(harness, "update")
        container = _running(harness, limited=True)
        harness.hooks.runtime_update(task=container.task, resources=Resources())
        stats = harness.hooks.runtime_stats(task=container.task)
        assert (stats.memory.limit_bytes, stats.pids.limit) == (None, None)

    def test_an_update_is_all_or_nothing(self, harness: RuntimeHarness) -> None:
        """A memory limit below what is in use is refused; the command lives, and the other limits are as they were."""
        needs(harness, "update")
        container = harness.container(
            ["sh", "-c", "x=$(head -c 20000000 /dev/zero | tr '\\0' x); echo up; sleep 1000 & wait"],
            change=_limited,
            resources=Resources(memory_limit_bytes=_MEMORY, pids_limit=50),
        )
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"up")
        before = harness.hooks.runtime_stats(task=container.task)
        assert before.memory.working_set_bytes > 20_000_000
        with pytest.raises(PouchError):
            harness.hooks.runtime_update(
                task=container.task, resources=Resources(memory_limit_bytes=10 << 20, pids_limit=70)
            )
        after = harness.hooks.runtime_stats(task=container.task)
        assert (after.memory.limit_bytes, after.pids.limit) == (_MEMORY, 50)
        state = container.state()
        assert state is not None
        assert state.status is TaskStatus.RUNNING

    def test_out_of_memory_is_noted(self, harness: RuntimeHarness) -> None:
        """A container killed for want of memory has 137 and the file `oom` in its bundle."""
        container = harness.container(
            ["sh", "-c", "exec tail /dev/zero"],
            change=_limited,
            resources=Resources(memory_limit_bytes=_MEMORY, pids_limit=50),
        )
        assert container.run() == 137
        state = container.state()
        assert state is not None
        assert state.oom
