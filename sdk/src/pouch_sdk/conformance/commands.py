"""Commands that can't be run: each has its own error, and leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pytest

from pouch_hookspecs.errors import CommandNotExecutable, CommandNotFound, RuntimeFailed
from pouch_sdk.testing import Container, RuntimeHarness

from .suite import Suite


def _create_and_start(container: Container) -> None:
    container.create()
    container.start()


class Commands(Suite):
    """The runtime may notice at create or at start."""

    @pytest.mark.parametrize("command", ["no-such-command", "/no/such/command"])
    def test_command_not_found(self, harness: RuntimeHarness, command: str) -> None:
        """It raises CommandNotFound, which names the command."""
        with pytest.raises(CommandNotFound, match=command):
            _create_and_start(harness.container([command]))

    @pytest.mark.parametrize("command", ["/etc/passwd", "/etc"])
    def test_command_not_executable(self, harness: RuntimeHarness, command: str) -> None:
        """A file without the x bit, or a directory, raises CommandNotExecutable."""
        with pytest.raises(CommandNotExecutable, match=command):
            _create_and_start(harness.container([command]))

    def test_failed_create_leaves_nothing(self, harness: RuntimeHarness) -> None:
        """After it there is no such task, and the same one can be created with a right command."""
        container = harness.container(["no-such-command"])
        with pytest.raises(CommandNotFound):
            _create_and_start(container)
        container.delete(force=True)
        assert container.state() is None
        assert not (container.task.io.attach_dir / "attach").exists()

    def test_error_is_in_the_runtimes_own_words(self, harness: RuntimeHarness) -> None:
        """Another failure (a mount whose source is missing) raises RuntimeFailed that names the cause in one line."""

        def add_mount(config: dict[str, Any]) -> None:
            config["mounts"].append(
                {"destination": "/mnt", "type": "bind", "source": "/no/such/source", "options": ["bind"]}
            )

        with pytest.raises(RuntimeFailed, match="/no/such/source") as raised:
            _create_and_start(harness.container(["true"], change=add_mount))
        assert "\n" not in raised.value.message
