"""The command-line grammar, and that click's way gives what the short way gives."""

from __future__ import annotations

from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pouch_engine.cli.app import application
from pouch_engine.cli.catalogue import COMMANDS, find
from pouch_engine.cli.errors import CommandError, HelpRequested, UsageProblem
from pouch_engine.cli.flags import Flag
from pouch_engine.cli.parse import parse


def _short_way(argv: list[str]) -> dict[str, Any]:
    command, rest = find(argv)
    return parse(command, rest)


@pytest.mark.parametrize(
    ("argv", "key", "value"),
    [
        (["run", "-it", "x"], "interactive", True),
        (["run", "-it", "x"], "tty", True),
        (["run", "-itw/tmp", "x"], "workdir", "/tmp"),
        (["run", "-eA=B", "-e", "C", "--env=D=E", "x"], "env", ["A=B", "C", "D=E"]),
        (["run", "-e=A=B", "x"], "env", ["A=B"]),
        (["run", "--rm=false", "x"], "rm", False),
        (["run", "-t=false", "x"], "tty", False),
        (["run", "--name", "--odd", "x"], "name", "--odd"),
        (["run", "--entrypoint", "", "x"], "entrypoint", ""),
        (["run", "--net", "host", "x"], "network", "host"),
        (["run", "-m", "1.5g", "x"], "memory", 3 << 29),
        (["run", "--cpus=0.5", "x"], "cpus", 500_000_000),
        (["run", "--sig-proxy=false", "x"], "sig_proxy", False),
        (["run", "x"], "sig_proxy", True),
        (["run", "-h", "host", "x"], "hostname", "host"),
        (["run", "x", "ls", "-l", "--rm"], "command", ["ls", "-l", "--rm"]),
        (["run", "--", "x", "-l"], "command", ["-l"]),
        (["run", "x", "--", "-l"], "command", ["--", "-l"]),
        (["exec", "-it", "c", "sh", "-c", "ls"], "command", ["sh", "-c", "ls"]),
        (["stop", "a", "-t", "3", "b"], "containers", ["a", "b"]),
        (["stop", "a", "-t", "-1"], "timeout", -1),
        (["rm", "--", "-odd"], "containers", ["-odd"]),
        (["images"], "reference", None),
        (["container", "ls", "-aq"], "quiet", True),
        (["import", "-", "mine:1"], "file", "-"),
    ],
)
def test_docker_grammar(argv: list[str], key: str, value: Any) -> None:
    """Flags and arguments have the values that docker's command line gives them."""
    assert _short_way(argv)[key] == value


@pytest.mark.parametrize(
    ("argv", "message", "code"),
    [
        (["ps", "--nope"], "unknown flag: --nope", 125),
        (["ps", "-ax"], "unknown shorthand flag: 'x' in -ax", 125),
        (["run", "--name"], "flag needs an argument: --name", 125),
        (["run", "-w"], "flag needs an argument: 'w' in -w", 125),
        (["run", "-m", "lots", "x"], 'invalid argument "lots" for "-m, --memory" flag: invalid size', 125),
        (["run", "--pids-limit", "two", "x"], "expected a whole number", 125),
        (["run", "--rm=maybe", "x"], "expected true or false", 125),
        (["run"], "'pouch run' requires at least 1 argument", 1),
        (["exec", "c"], "'pouch exec' requires at least 2 arguments", 1),
        (["ps", "x"], "'pouch ps' accepts no arguments", 1),
        (["tag", "x"], "'pouch tag' requires exactly 2 arguments", 1),
        (["images", "a", "b"], "'pouch images' requires at most 1 argument", 1),
        (["nope"], "unknown command: pouch nope", 1),
        (["volume", "nope"], "unknown command: pouch volume nope", 1),
    ],
)
def test_wrong_usage_is_refused(argv: list[str], message: str, code: int) -> None:
    """Each mistake gives its own message and docker's exit code."""
    with pytest.raises(UsageProblem) as caught:
        _short_way(argv)
    assert message in str(caught.value)
    assert caught.value.code == code


@pytest.mark.parametrize("argv", [["ps", "--help"], ["ps", "-h"], ["run", "--rm", "--help"]])
def test_help_is_asked_for(argv: list[str]) -> None:
    """--help among the flags asks for help, -h too where it means nothing else."""
    with pytest.raises(HelpRequested):
        _short_way(argv)


def test_help_after_the_image_belongs_to_the_command() -> None:
    """`pouch run x --help` hands --help to the container's command."""
    assert _short_way(["run", "x", "--help"])["command"] == ["--help"]


def test_flags_of_plugins_are_kept_apart() -> None:
    """A plugin's flag ends up in plugin_options with its plugin and field, under any of its names."""
    flag = Flag("--disk-quota", kind="list", aliases=("--dq",), source=("diskquota", "rules"))
    command, _ = find(["run"])
    options = parse(command, ["--disk-quota", "/=10g", "--dq=20g", "--rm", "x"], [flag])
    assert options["plugin_options"] == [("diskquota", "rules", ["/=10g", "20g"])]
    assert options["rm"] is True


def test_no_two_flags_of_a_command_share_a_name() -> None:
    """Every name and letter of a command means one flag."""
    for command in COMMANDS:
        names = [name for flag in command.flags for name in (flag.name, flag.short, *flag.aliases) if name]
        assert len(names) == len(set(names)), command.name


def _click_way(argv: list[str]) -> dict[str, Any]:
    """Resolve a command line through click's groups up to the command's parameters, without running it."""
    context = application().make_context("pouch", list(argv))
    command: click.Command = context.command
    while isinstance(command, click.Group):
        words = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, words)
        assert found is not None
        context = found.make_context(name, rest, parent=context)
        command = found
    return context.params


def _outcome(way: Any, argv: list[str]) -> Any:
    try:
        return way(argv)
    except HelpRequested:
        return "help"
    except CommandError as error:
        return str(error)
    except click.exceptions.Exit:
        return "help"
    except click.UsageError as error:
        return error.message


def _a_flag(flag: Flag) -> st.SearchStrategy[list[str]]:
    values = {
        "bool": ["true", "false", "1", "nope"],
        "int": ["0", "7", "-1", "x"],
        "size": ["64m", "1.5G", "b", "-1"],
        "cpus": ["0.5", "2", "1.2.3"],
    }
    value = st.sampled_from(values.get(flag.kind, ["v", "k=v", "", "-x", "--y=z", "a,b"]))
    name = st.sampled_from([name for name in (flag.name, *flag.aliases) if name])
    forms = [st.tuples(name, value).map(lambda pair: [f"{pair[0]}={pair[1]}"])]
    if flag.kind == "bool":
        forms.append(name.map(lambda text: [text]))
    else:
        forms.append(st.tuples(name, value).map(list))
    if flag.short:
        forms.append(value.map(lambda text: [flag.short + ("" if flag.kind == "bool" else text)]))
    return st.one_of(forms)


@st.composite
def _command_lines(draw: st.DrawFn) -> list[str]:
    command = draw(st.sampled_from(COMMANDS))
    name = draw(st.sampled_from(command.names))
    word = st.sampled_from(["x", "a/b:1", "-", "--", "sh", "--help", "-z", "--unknown", ""]).map(lambda text: [text])
    part = st.one_of(word, *[_a_flag(flag) for flag in command.flags])
    return name.split(" ") + [text for words in draw(st.lists(part, max_size=6)) for text in words]


@pytest.fixture(autouse=True)
def _no_daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers for the flags of plugins."""
    monkeypatch.setenv("POUCH_HOST", "unix:///nonexistent/pouch.sock")
    monkeypatch.delenv("POUCH_RUN", raising=False)
    monkeypatch.delenv("POUCH_ROOT", raising=False)


@settings(max_examples=300, deadline=None)
@given(_command_lines())
def test_click_agrees_with_the_short_way(argv: list[str]) -> None:
    """For any command line, click's way gives the same values, or the same complaint, as the short way."""
    assert _outcome(_click_way, argv) == _outcome(_short_way, argv)
