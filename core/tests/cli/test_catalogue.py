"""The catalogue: every command that it declares works, and its help is complete."""

from __future__ import annotations

import os
import shlex
from importlib import import_module

import pytest
from click.testing import CliRunner

from pouch_engine.cli.app import application
from pouch_engine.cli.catalogue import COMMANDS, find
from pouch_engine.cli.flags import Command
from pouch_engine.cli.parse import parse

from .conftest import outside_environment

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


@each_command
def test_function_exists(command: Command) -> None:
    """The function that a command names is there."""
    module, _, function = command.run.partition(":")
    assert callable(getattr(import_module(f"pouch_engine.cli.commands.{module}"), function or "execute"))


@each_command
def test_example_is_right(command: Command) -> None:
    """The example of a command is one of this command and parses."""
    program, *words = shlex.split(command.example)
    found, rest = find(words)
    assert program == "pouch"
    assert found is command
    assert parse(command, rest)


@each_command
def test_help_is_complete(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """--help shows usage, meaning, every flag, every name and an example, also where no daemon answers."""
    monkeypatch.setattr(os, "environ", {**outside_environment(), "POUCH_HOST": "unix:///nonexistent/pouch.sock"})
    result = CliRunner().invoke(application(), [*command.name.split(" "), "--help"], prog_name="pouch")
    text = " ".join(result.output.split())
    assert result.exit_code == 0
    assert text.startswith(f"Usage: pouch {command.name} [OPTIONS]")
    for part in (command.usage, command.help, command.example, *(flag.name for flag in command.flags)):
        assert " ".join(part.split()) in text
    assert all(f"pouch {name}" in text for name in command.names)


def test_every_command_is_listed() -> None:
    """`pouch --help` and the help of groups list every command with its summary."""
    runner, app = CliRunner(), application()
    listings = {
        group: " ".join(runner.invoke(app, [*group, "--help"]).output.split())
        for group in {tuple(name.split(" ")[:-1]) for command in COMMANDS for name in command.names}
    }
    for command in COMMANDS:
        *group, name = command.name.split(" ")
        assert f"{name} {command.summary}" in listings[tuple(group)]
