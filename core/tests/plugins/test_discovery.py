"""What is installed is listed before anything is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pouch_engine.plugins.discovery import Plugin, PluginState, discover

from .sites import Site, isolation_source

MARK = "raise AssertionError('imported')"


def found(name: str, **rules: list[str]) -> Plugin:
    """The one plugin of a name."""
    (plugin,) = [plugin for plugin in discover(**rules) if plugin.name == name]
    return plugin


def test_installed_plugin_is_listed_with_its_distribution(site: Site) -> None:
    """Role, name, distribution and version come from metadata; nothing is imported."""
    site.add("example-guard", {"isolation": {"guard": "site_guard:Plugin"}}, {"site_guard": MARK})
    plugin = found("guard")
    assert (plugin.role, plugin.distribution, plugin.version) == ("isolation", "example-guard", "1.0")
    assert plugin.state is PluginState.READY
    assert not site.imported("site_guard")


@pytest.mark.parametrize("pattern", ["example-guard", "Example_Guard", "example-*", "EXAMPLE.*"])
def test_allow_list_compares_names_as_pypi_does(site: Site, pattern: str) -> None:
    """Case, dashes, dots and underscores make no difference (PEP 503)."""
    site.add("Example.Guard", {"isolation": {"guard": "site_guard:Plugin"}})
    assert found("guard", allow=[pattern]).state is PluginState.READY


def test_distribution_that_is_not_allowed_is_blocked(site: Site) -> None:
    """The reason names the distribution."""
    site.add("evil-guard", {"isolation": {"guard": "site_guard:Plugin"}})
    plugin = found("guard", allow=["pouch-*"])
    assert plugin.state is PluginState.BLOCKED
    assert "evil-guard is not on the allow-list" in plugin.reason


def test_disabled_plugin_is_listed_as_such(site: Site) -> None:
    """Disabling is by the plugin's name."""
    site.add("example-guard", {"isolation": {"guard": "site_guard:Plugin"}})
    assert found("guard", disable=["guard"]).state is PluginState.DISABLED


def test_two_distributions_that_claim_one_name_are_both_broken(site: Site) -> None:
    """The reason names both and says what to do."""
    for name in ("example-one", "example-two"):
        site.add(name, {"isolation": {"guard": "site_guard:Plugin"}})
    rivals = [plugin for plugin in discover() if plugin.name == "guard"]
    assert [plugin.state for plugin in rivals] == [PluginState.BROKEN] * 2
    assert {plugin.reason for plugin in rivals} == {
        "example-one and example-two all claim isolation guard: uninstall or block all but one"
    }


def test_rivals_are_found_when_they_are_not_adjacent(site: Site) -> None:
    """Others may stand between them (stevedore's own check misses that)."""
    site.add("example-a", {"isolation": {"guard": "a:Plugin", "middle": "a:Other"}})
    site.add("example-b", {"isolation": {"guard": "b:Plugin"}})
    assert [p.state for p in discover() if p.name == "guard"] == [PluginState.BROKEN] * 2
    assert found("middle").state is PluginState.READY


def test_blocked_distribution_is_no_rival(site: Site) -> None:
    """A hostile distribution that takes our name breaks nothing while the allow-list keeps it out."""
    site.add("good-guard", {"isolation": {"guard": "good:Plugin"}})
    site.add("evil-guard", {"isolation": {"guard": "evil:Plugin"}})
    states = {p.distribution: p.state for p in discover(allow=["good-*"]) if p.name == "guard"}
    assert states == {"good-guard": PluginState.READY, "evil-guard": PluginState.BLOCKED}


def test_same_name_in_two_roles_is_no_conflict(site: Site) -> None:
    """A name is unique within its role."""
    site.add("example-guard", {"isolation": {"guard": "g:A"}, "service": {"guard": "g:B"}})
    assert {p.role: p.state for p in discover() if p.name == "guard"} == {
        "isolation": PluginState.READY,
        "service": PluginState.READY,
    }


def test_distribution_seen_twice_counts_once(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install beside its copy is one plugin: the first on the path, which Python would import."""
    second = Site(tmp_path / "second")
    second.path.mkdir()
    site.add("example-guard", {"isolation": {"guard": "site_guard:Plugin"}})
    second.add("example_guard", {"isolation": {"guard": "other:Plugin"}})
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.path)])
    assert found("guard").entry_point.value == "site_guard:Plugin"


@pytest.mark.parametrize("name", ["../../etc", "a b", "x" * 64, "ünï", ".hidden"])
def test_entry_point_name_that_is_no_name_is_broken(site: Site, name: str) -> None:
    """It would become a directory and a flag's value."""
    site.add("example-guard", {"isolation": {name: "site_guard:Plugin"}})
    (plugin,) = [p for p in discover() if p.distribution == "example-guard"]
    assert plugin.state is PluginState.BROKEN
    assert "can not be a handler's name" in plugin.reason


@pytest.mark.parametrize("file", ["METADATA", "entry_points.txt"])
def test_damaged_metadata_harms_nobody_else(site: Site, file: str, caplog: pytest.LogCaptureFixture) -> None:
    """What an interrupted installation left is logged and passed over."""
    site.add("example-good", {"isolation": {"good": "g:Plugin"}})
    site.add("example-guard", {"isolation": {"guard": "g:Plugin"}})
    damaged = site.path / "example_guard-1.0.dist-info" / file
    damaged.write_bytes(b"\xff\xfe no such thing" if file == "entry_points.txt" else b"")
    assert found("good").state is PluginState.READY
    assert "can not be read" in caplog.text


def test_isolated_python_looks_neither_at_pythonpath_nor_at_the_current_directory(tmp_path: Path) -> None:
    """The daemon runs with -I: a distribution in somebody's directory is not even listed."""
    hostile = Site(tmp_path)
    hostile.add("evil-guard", {"isolation": {"evil": "evil:Plugin"}}, {"evil": isolation_source()})
    listing = "from pouch_engine.plugins.discovery import discover; print([p.name for p in discover()])"
    seen = [
        subprocess.run(
            [sys.executable, *flags, "-c", listing],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for flags in ([], ["-I"])
    ]
    assert "evil" in seen[0], "the trap itself must work"
    assert "evil" not in seen[1]
