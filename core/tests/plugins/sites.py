"""Distributions for the tests: a site to install them into, and sources of small plugins."""

from __future__ import annotations

import importlib
import shutil
import sys
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "tests/examples"


@dataclass
class Site:
    """A directory on sys.path to install distributions into."""

    path: Path
    modules: set[str] = field(default_factory=set)

    def add(
        self, distribution: str, entries: Mapping[str, Mapping[str, str]], sources: Mapping[str, str] | None = None
    ) -> None:
        """Install a distribution.

        Args:
            distribution: its name; its version is 1.0.
            entries: role → entry point's name → object.
            sources: module → its source text.
        """
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = []
        for role, names in entries.items():
            lines += [f"[pouch.{role}]", *(f"{name} = {value}" for name, value in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in (sources or {}).items():
            self.modules.add(module)
            (self.path / f"{module}.py").write_text(textwrap.dedent(source))
        importlib.invalidate_caches()

    def install(self, folder: Path) -> None:
        """Install a package from its source folder, with the entry points that its pyproject.toml declares."""
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        entries = {group.removeprefix("pouch."): names for group, names in project["entry-points"].items()}
        for package in (folder / "src").iterdir():
            shutil.copytree(package, self.path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            self.modules.add(package.name)
        self.add(project["name"], entries)

    def imported(self, module: str) -> bool:
        """Tell whether a module of this site has been imported."""
        return module in sys.modules


def isolation_source(body: str = "", *, options: str = "", api: str = "0.1", head: str = "") -> str:
    """The source of a module with an enhancement `Plugin`; body and options are indented by the caller's eye only."""
    indented = textwrap.indent(textwrap.dedent(body).strip() or "pass", "    ")
    fields = textwrap.indent(textwrap.dedent(options).strip() or "pass", "        ")
    return f"""\
import time, threading
from pydantic import BaseModel, Field
from pouch_hookspecs import ByteSize, Finding, Level, hookimpl, option
from pouch_hookspecs.errors import InvalidArgument, Refused
{textwrap.dedent(head)}

class Plugin:
    api = "{api}"

    class Options(BaseModel):
{fields}

    def __init__(self, handler):
        self.handler = handler

{indented}
"""
