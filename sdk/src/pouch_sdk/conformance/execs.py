"""Further processes in a running container."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pouch_hookspecs import Size, User
from pouch_hookspecs.errors import CommandNotExecutable, CommandNotFound, Conflict
from pouch_sdk.testing import Container, RuntimeHarness

from .suite import Suite, needs

_SHORT_ONES = 25


class Execs(Suite):
    """The same kind of files as for the first process."""

    @pytest.fixture
    def running(self, harness: RuntimeHarness) -> Iterator[Container]:
        """A container that does nothing for long."""
        needs(harness, "exec")
        container = harness.container(["sleep", "1000"])
        container.create()
        container.start()
        yield container
        container.delete(force=True)

    @pytest.mark.parametrize("code", [0, 3, 255])
    def test_exec_exit_code(self, running: Container, code: int) -> None:
        """The exit file in the exec's own directory bears the container's id and holds the code."""
        assert running.exec(["sh", "-c", f"exit {code}"]).wait() == code

    def test_exec_death_by_signal(self, running: Container) -> None:
        """A process killed by signal 15 has the exit code 143."""
        assert running.exec(["sh", "-c", "kill -15 $$"]).wait() == 143

    def test_exec_output_of_short_commands_is_complete(self, running: Container) -> None:
        """However short a command is, all of its output is in the handle's connection."""
        for n in range(_SHORT_ONES):
            process = running.exec(["echo", str(n)])
            process.wait()
            assert process.attachment.stdout == b"%d\n" % n

    def test_exec_output_of_short_commands_at_a_terminal_is_complete(self, running: Container) -> None:
        """The same with a terminal."""
        for n in range(_SHORT_ONES):
            process = running.exec(["echo", str(n)], terminal=True)
            process.wait()
            assert process.attachment.stdout == b"%d\r\n" % n

    def test_exec_streams_are_apart(self, running: Container) -> None:
        """stdout and stderr come apart."""
        process = running.exec(["sh", "-c", "echo out; echo err >&2"])
        process.wait()
        assert (process.attachment.stdout, process.attachment.stderr) == (b"out\n", b"err\n")

    def test_exec_environment_directory_and_user(self, running: Container) -> None:
        """They are those of the request, and nothing of ours or of the container's is added to the environment."""
        process = running.exec(
            ["sh", "-c", "env; pwd; id -u; id -g; id -G"],
            env=["PATH=/bin", "COLOUR=blue"],
            cwd="/tmp",
            user=User(uid=1234, gid=567, additional_gids=(89,)),
        )
        assert process.wait() == 0
        lines = process.attachment.stdout.decode().splitlines()
        assert "COLOUR=blue" in lines
        assert lines[-4:] == ["/tmp", "1234", "567", "567 89"]
        names = {line.partition("=")[0] for line in lines[:-4]}
        assert names <= {"PATH", "COLOUR", "PWD", "SHLVL", "OLDPWD", "HOME", "_"}

    def test_exec_input(self, running: Container) -> None:
        """Standard input reaches the process and ends with the client's half-close."""
        process = running.exec(["cat"], stdin=True)
        process.attachment.send(b"typed")
        process.attachment.half_close()
        assert process.wait() == 0
        assert process.attachment.stdout == b"typed"

    def test_exec_terminal_has_its_size(self, running: Container) -> None:
        """The size given with the process is the terminal's from its first instruction on."""
        process = running.exec(["stty", "size"], terminal=True, size=Size(width=100, height=30))
        process.wait()
        assert process.attachment.stdout == b"30 100\r\n"

    def test_exec_resize(self, running: Container) -> None:
        """The terminal of an exec can be resized while it runs."""
        process = running.exec(
            ["sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done"], terminal=True
        )
        process.attachment.read_until(b"ready")
        running.hooks.runtime_resize(task=running.task, process=process.process, size=Size(width=66, height=11))
        process.attachment.read_until(b"11 66")
        assert process.wait() == 0

    @pytest.mark.parametrize("command", ["no-such-command", "/no/such/command"])
    def test_exec_command_not_found(self, running: Container, command: str) -> None:
        """It raises CommandNotFound, which names the command."""
        with pytest.raises(CommandNotFound, match=command):
            running.exec([command])

    def test_exec_command_not_executable(self, running: Container) -> None:
        """It raises CommandNotExecutable."""
        with pytest.raises(CommandNotExecutable, match="/etc/passwd"):
            running.exec(["/etc/passwd"])

    def test_exec_in_an_ended_container(self, harness: RuntimeHarness) -> None:
        """It raises Conflict."""
        needs(harness, "exec")
        container = harness.container(["true"])
        container.run()
        with pytest.raises(Conflict):
            container.exec(["true"])

    def test_exec_in_a_paused_container(self, running: Container) -> None:
        """It raises Conflict, at once."""
        needs(running.harness, "pause")
        running.hooks.runtime_pause(task=running.task)
        with pytest.raises(Conflict):
            running.exec(["true"])
        running.hooks.runtime_resume(task=running.task)

    def test_exec_ends_with_its_container(self, running: Container) -> None:
        """When the container ends, its execs do, and their exit files appear."""
        process = running.exec(["sleep", "1000"])
        running.kill(9)
        running.wait()
        assert process.wait() == 137
