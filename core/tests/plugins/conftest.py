"""Real distributions on a path of their own: found, imported and configured as installed ones are."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pouch_engine.config import parse_config
from pouch_engine.plugins.registry import Registry

from .sites import Site, isolation_source


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site that is forgotten afterwards, with all that was imported from it."""
    made = Site(tmp_path / "site")
    made.path.mkdir()
    monkeypatch.syspath_prepend(str(made.path))
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0] in made.modules]:
        del sys.modules[name]


RegistryFactory = Callable[..., Registry]


@pytest.fixture
def registry(tmp_path: Path) -> RegistryFactory:
    """Makes a registry from the text of a configuration."""

    def make(configuration: str = "", *, no_plugins: bool = False) -> Registry:
        config = parse_config(textwrap.dedent(configuration), "test.toml")
        return Registry(config, tmp_path / "root", tmp_path / "run", no_plugins=no_plugins)

    return make


@pytest.fixture
def enhancement(site: Site) -> Callable[..., str]:
    """Installs an enhancement named `name` from `isolation_source`, and gives its name."""

    def add(body: str = "", *, name: str = "guard", **parts: str) -> str:
        module = f"site_{name}"
        source = isolation_source(body, **parts)
        site.add(f"example-{name}", {"isolation": {name: f"{module}:Plugin"}}, {module: source})
        return name

    return add
