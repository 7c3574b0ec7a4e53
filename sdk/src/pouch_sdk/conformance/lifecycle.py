"""Create, start, kill, delete, and the state between them."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from pouch_hookspecs import TaskStatus
from pouch_hookspecs.errors import Conflict
from pouch_sdk.testing import RuntimeHarness

from .suite import Suite

_AT_ONCE = 10


class Lifecycle(Suite):
    """The way of a container."""

    def test_check_finds_what_it_needs(self, harness: RuntimeHarness) -> None:
        """On a host where the suite runs, check() has findings, and none of level error."""
        findings = harness.hooks.check()
        assert findings
        assert [each for each in findings if each.level == "error"] == []

    def test_create_does_not_run_the_first_instruction(self, harness: RuntimeHarness) -> None:
        """After create the process exists and has done nothing; after start it does."""
        container = harness.container(["echo", "ran"])
        state = container.create()
        assert state.status is TaskStatus.CREATED
        assert state.supervised_pid
        assert container.stdout == b""
        container.start()
        assert container.wait() == 0
        assert container.stdout == b"ran\n"

    @pytest.mark.parametrize("code", [0, 1, 42, 255])
    def test_exit_code(self, harness: RuntimeHarness, code: int) -> None:
        """The exit file holds the process's exit code."""
        assert harness.container(["sh", "-c", f"exit {code}"]).run() == code

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
    def test_death_by_signal(self, harness: RuntimeHarness, number: signal.Signals) -> None:
        """A process ended by signal n has the exit code 128+n."""
        # The first process of a pid namespace gets only signals that it has a handler for; its child gets all.
        container = harness.container(["sh", "-c", "sleep 100 & echo $!; wait $!; exit $?"])
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"\n")
            if number is signal.SIGKILL:
                container.kill(number)
            else:
                child = attachment.stdout.decode().strip()
                container.exec(["kill", f"-{int(number)}", child]).wait()
        assert container.wait() == 128 + number

    def test_kill_reaches_the_process(self, harness: RuntimeHarness) -> None:
        """A signal that the process handles arrives."""
        container = harness.container(["sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done"])
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"ready")
        container.kill(signal.SIGTERM)
        assert container.wait() == 9

    def test_kill_of_a_created_container(self, harness: RuntimeHarness) -> None:
        """A container that was never started can be killed, and its exit is told."""
        container = harness.container(["true"])
        container.create()
        container.kill(signal.SIGKILL)
        assert container.wait() == 137

    def test_kill_after_the_end(self, harness: RuntimeHarness) -> None:
        """Killing what has ended, or was deleted, is not an error."""
        container = harness.container(["true"])
        container.run()
        container.kill(signal.SIGTERM)
        container.kill(signal.SIGKILL, everyone=True)
        container.delete()
        container.kill(signal.SIGKILL)
        assert container.state() is None

    def test_kill_everyone(self, harness: RuntimeHarness) -> None:
        """With everyone, processes that ignore their parent's end are signalled, too."""
        container = harness.container(["sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"])
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"ready")
        container.kill(signal.SIGKILL, everyone=True)
        assert container.wait() == 137

    def test_state_in_each_phase(self, harness: RuntimeHarness) -> None:
        """Unknown, created, running, stopped with the exit code, unknown again."""
        container = harness.container(["sh", "-c", "read x; exit 3"], stdin=True, stdin_once=True)
        assert container.state() is None
        created = container.create()
        assert container.state() == created
        with container.attach() as attachment:
            container.start()
            running = container.state()
            assert running is not None
            assert running.status is TaskStatus.RUNNING
            assert running.supervised_pid == created.supervised_pid
            attachment.half_close()
            container.wait()
        stopped = container.state()
        assert stopped is not None
        assert (stopped.status, stopped.exit_code) == (TaskStatus.STOPPED, 3)
        assert stopped.supervised_pid is None
        container.delete()
        assert container.state() is None

    def test_delete_twice(self, harness: RuntimeHarness) -> None:
        """Deleting what is gone succeeds, with and without force; log and exit file stay."""
        container = harness.container(["echo", "kept"])
        container.run()
        container.delete()
        container.delete()
        container.delete(force=True)
        assert container.stdout == b"kept\n"
        assert container.exit_file.read_text() == "0"

    def test_delete_of_what_was_never_created(self, harness: RuntimeHarness) -> None:
        """Deleting a task that this runtime has never seen succeeds."""
        container = harness.container(["true"])
        container.delete()
        container.delete(force=True)
        assert container.state() is None

    def test_delete_of_a_running_container_is_refused(self, harness: RuntimeHarness) -> None:
        """Without force it raises Conflict, and the container runs on."""
        container = harness.container(["sleep", "100"])
        container.create()
        container.start()
        with pytest.raises(Conflict):
            container.delete()
        state = container.state()
        assert state is not None
        assert state.status is TaskStatus.RUNNING

    def test_delete_by_force(self, harness: RuntimeHarness) -> None:
        """With force a running container is ended, its exit is told, and it is gone."""
        container = harness.container(["sleep", "100"])
        container.create()
        container.start()
        container.delete(force=True)
        assert container.wait() == 137
        assert container.state() is None

    def test_the_same_task_again(self, harness: RuntimeHarness) -> None:
        """After delete the same task can be created once more."""
        container = harness.container(["sh", "-c", "echo again"])
        assert container.run() == 0
        container.delete()
        container.exit_file.unlink()
        assert container.run() == 0
        assert container.stdout == b"again\n" * 2

    def test_many_at_once(self, harness: RuntimeHarness) -> None:
        """Containers made, run and deleted by ten threads do not disturb each other."""
        containers = [harness.container(["sh", "-c", f"echo {n}; exit {n}"]) for n in range(_AT_ONCE)]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            codes = list(threads.map(lambda each: each.run(), containers))
            list(threads.map(lambda each: each.delete(), containers))
        assert codes == list(range(_AT_ONCE))
        assert [each.stdout for each in containers] == [b"%d\n" % n for n in range(_AT_ONCE)]
