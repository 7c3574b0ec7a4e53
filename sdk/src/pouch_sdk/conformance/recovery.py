"""A daemon that starts again: a new instance of the plugin takes up what runs."""

from __future__ import annotations

from pouch_hookspecs import TaskStatus
from pouch_sdk.testing import RuntimeHarness

from .suite import Suite, needs


class Recovery(Suite):
    """The harness makes a new instance of the plugin with the same directories, as a new daemon does."""

    def test_running_container_is_found(self, harness: RuntimeHarness) -> None:
        """runtime_recover says that it runs, and every call works as before."""
        container = harness.container(["sh", "-c", "while read x; do echo $x; done"], stdin=True)
        before = container.create()
        container.start()
        harness.restart()
        recovered = container.hooks.runtime_recover(task=container.task)
        assert recovered is not None
        assert recovered.status is TaskStatus.RUNNING
        assert recovered.supervised_pid == before.supervised_pid
        with container.attach() as attachment:
            attachment.send(b"still here\n")
            attachment.read_until(b"still here")
        container.kill(9)
        assert container.wait() == 137
        container.delete()
        assert container.state() is None

    def test_exec_after_the_restart(self, harness: RuntimeHarness) -> None:
        """Further processes can be started in a container of the instance before."""
        needs(harness, "exec")
        container = harness.container(["sleep", "1000"])
        container.create()
        container.start()
        harness.restart()
        assert container.exec(["sh", "-c", "exit 4"]).wait() == 4

    def test_created_container_can_be_started(self, harness: RuntimeHarness) -> None:
        """A container created before the restart can be started after it."""
        container = harness.container(["sh", "-c", "exit 6"])
        container.create()
        harness.restart()
        recovered = container.hooks.runtime_recover(task=container.task)
        assert recovered is not None
        assert recovered.status is TaskStatus.CREATED
        container.start()
        assert container.wait() == 6

    def test_end_in_between(self, harness: RuntimeHarness) -> None:
        """What ended while there was no daemon has its exit code."""
        container = harness.container(["sh", "-c", "exit 8"])
        container.run()
        harness.restart()
        recovered = container.hooks.runtime_recover(task=container.task)
        assert recovered is not None
        assert (recovered.status, recovered.exit_code) == (TaskStatus.STOPPED, 8)
        container.delete()

    def test_task_that_is_gone(self, harness: RuntimeHarness) -> None:
        """A task that this runtime has never had, or has deleted, is None."""
        container = harness.container(["true"])
        assert container.hooks.runtime_recover(task=container.task) is None
        container.run()
        container.delete()
        harness.restart()
        assert container.hooks.runtime_recover(task=container.task) is None
