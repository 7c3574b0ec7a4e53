"""Tables in the documentation, made from the code: `cog` calls these functions (`cog -r -I docs docs/*.md` renews)."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from pydantic import BaseModel

from pouch_engine.cli import container_flags
from pouch_engine.cli.catalogue import COMMANDS
from pouch_engine.cli.flags import Command, Flag
from pouch_hookspecs import PROJECT, ROLES, CommonHooks, declaration

OURS = ("pouch-runc", "pouch-overlay", "pouch-local")


def hooks() -> str:
    """Every hook of every role: its deadline, and what it is for."""
    lines = ["| hook | deadline | |", "|---|---|---|"]
    for role in (CommonHooks, *ROLES.values()):
        for name, function in vars(role).items():
            if hasattr(function, "deadline_seconds"):
                says = (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
                required = " (required)" if function.required else ""
                lines.append(f"| `{name}`{required} | {function.deadline_seconds:g} s | {says} |")
    return "\n".join(lines) + "\n"


def options() -> str:
    """The options of the plugins in this repository, by plugin."""
    sections = [_plugin_options(role, entry.name, entry.load()) for role, entry in _plugins()]
    return "\n".join(section for section in sections if section)


def _plugins() -> Iterator[tuple[str, object]]:
    for role in ROLES:
        for entry in sorted(entry_points(group=f"{PROJECT}.{role}"), key=lambda item: item.name):
            if entry.dist is not None and entry.dist.name in OURS:
                yield role, entry


def _plugin_options(role: str, name: str, plugin: type) -> str:
    model: type[BaseModel] = plugin.Options  # type: ignore[attr-defined]
    rows = []
    for field_name, field in model.model_fields.items():
        declared = declaration(field)
        key = (declared and declared["config"]) or field_name.replace("_", "-")
        flag = f"`{declared['flag']}`" if declared else ""
        default = field.get_default(call_default_factory=True)
        rows.append(f"| `{key}` | {flag} | `{default}` | {field.description or ''} |")
    if not rows:
        return f"**{role} `{name}`** has no options.\n"
    return "\n".join([f"**{role} `{name}`**\n", "| key | flag | default | |", "|---|---|---|---|", *rows]) + "\n"


def commands() -> str:
    """Every command: how it is written, what it does, its flags; as `--help` shows them."""
    return "\n".join(_command(command) for command in sorted(COMMANDS, key=lambda command: command.names[0]))


def _command(command: Command) -> str:
    first, *others = (f"`pouch {name}`" for name in command.names)
    also = f" (also {', '.join(others)})" if others else ""
    lines = [f"### {first}{also}\n", f"{command.summary}\n"]
    if command.flags:
        lines += ["| flag | default | |", "|---|---|---|", *map(_flag, command.flags)]
    return "\n".join(lines) + "\n"


def _flag(flag: Flag) -> str:
    metavar = f" {flag.metavar}" if flag.metavar else ""
    default = "" if flag.default in (None, False, "", 0) else f"`{flag.default}`"
    return f"| `{flag.label()}{metavar}` | {default} | {flag.help.replace('|', chr(92) + '|')} |"


def run_flags() -> str:
    """Every flag of `run`, its meaning, and the cgroup versions on which a test shows it."""
    tested = _tested_versions()
    lines = ["| flag | | tested on cgroups |", "|---|---|---|"]
    for flag in sorted(container_flags.RUN, key=lambda flag: flag.name):
        versions = ", ".join(f"v{version}" for version in sorted(tested.get(flag.name, ())))
        first, _, rest = _flag(flag).removesuffix(" |").split(" | ", 2)
        default = f" (default: `{flag.default}`)" if isinstance(flag.default, str) else ""
        lines.append(f"{first} | {rest}{default} | {versions} |")
    return "\n".join(lines) + "\n"


def _tested_versions() -> dict[str, set[int]]:
    """Flag → versions, by the marker `flag` of the integration tests; they are collected, not run."""
    found: dict[str, set[int]] = {}

    class Collected:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            for marker in (marker for item in session.items for marker in item.iter_markers("flag")):
                for name in marker.args:
                    found.setdefault(name, set()).update(marker.kwargs.get("versions", (1, 2)))

    tests = Path(__file__).parent.parent / "tests/integration"
    with redirect_stdout(io.StringIO()):
        code = pytest.main(
            ["--collect-only", "-q", "--assert=plain", "-p", "no:cacheprovider", str(tests)], plugins=[Collected()]
        )
    if code != 0:
        raise RuntimeError(f"the tests in {tests} can not be collected: exit code {code}")
    return found
