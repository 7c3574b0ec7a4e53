"""Import, version, hooks: every kind of breakage has its own words, and harms nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pouch_engine.plugins.discovery import Plugin, PluginState, discover
from pouch_engine.plugins.loading import load

from .sites import EXAMPLES, Site, isolation_source

HOOKLESS = "from pydantic import BaseModel\nclass Plugin:\n    api = '0.1'\n    class Options(BaseModel): pass\n"


def loaded(name: str, **rules: list[str]) -> Plugin:
    """The plugin of a name, after loading."""
    plugins = [plugin for plugin in discover(**rules) if plugin.name == name]
    load(plugins)
    return plugins[0]


def reason(site: Site, source: str, *, role: str = "isolation", value: str = "site_p:Plugin") -> str:
    """Why a plugin of this source is broken."""
    site.add("example-p", {role: {"p": value}}, {"site_p": source})
    plugin = loaded("p")
    assert plugin.state is PluginState.BROKEN
    assert plugin.cls is None, "nobody may instantiate a broken class"
    return plugin.reason


def test_sound_plugin_is_loaded(enhancement: Callable[..., str]) -> None:
    """It has its class and the version that it declares."""
    plugin = loaded(enhancement())
    assert (plugin.state, plugin.reason, plugin.api) == (PluginState.READY, "", "0.1")
    assert plugin.cls is not None


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_module_at_all", "raised ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
        ("raise KeyboardInterrupt", "raised KeyboardInterrupt"),
        ("assert False, 'never'", "raised AssertionError: never"),
        ("def broken(:", "raised SyntaxError"),
    ],
)
def test_import_that_raises(site: Site, source: str, words: str) -> None:
    """Whatever it raises, the reason says so, and names the object."""
    assert words in reason(site, source)


def test_import_that_hangs(site: Site) -> None:
    """It is given up after its time."""
    gate = threading.Event()
    threading.gate = gate  # type: ignore[attr-defined]
    site.add("example-p", {"isolation": {"p": "site_p:Plugin"}}, {"site_p": "import threading; threading.gate.wait()"})
    plugins = [plugin for plugin in discover() if plugin.name == "p"]
    try:
        load(plugins, import_seconds=0.05)
    finally:
        gate.set()
        del threading.gate  # type: ignore[attr-defined]
    assert plugins[0].reason == "importing site_p:Plugin: no end after 0.05 s"


def test_object_of_the_entry_point_is_missing(site: Site) -> None:
    """The module is there, what it names is not."""
    assert "raised AttributeError" in reason(site, "x = 1", value="site_p:Plugin")


def test_object_of_the_entry_point_is_no_class(site: Site) -> None:
    """A function is no plugin."""
    assert "not a class" in reason(site, "def Plugin(handler): pass")


@pytest.mark.parametrize("api", ["0.2", "1.0", "0.0"])
def test_incompatible_version(site: Site, api: str) -> None:
    """Both versions are named."""
    assert reason(site, isolation_source(api=api)) == (
        f"written for version {api} of the contract; this engine offers 0.1"
    )


@pytest.mark.parametrize("api", ["1", "1.x", "0.1.0", "٠.١", "", "-0.1"])
def test_version_that_is_none(site: Site, api: str) -> None:
    """The form is told."""
    assert "is not of the form MAJOR.MINOR" in reason(site, isolation_source(api=api))


def test_version_is_not_declared(site: Site) -> None:
    """The line to write is told."""
    assert 'api = "0.1"' in reason(site, "class Plugin: pass")


def test_options_are_missing(site: Site) -> None:
    """A class without Options is broken, not a crash."""
    assert reason(site, "class Plugin:\n    api = '0.1'\n") == "class Plugin has no Options (a pydantic model)"


def test_misspelt_hook(site: Site) -> None:
    """pluggy alone accepts it in silence."""
    source = isolation_source("@hookimpl\ndef isolation_ajust(self, container, options): pass")
    assert reason(site, source) == "unknown hook isolation_ajust: did you mean isolation_adjust?"


def test_hook_of_another_role(site: Site) -> None:
    """An enhancement can't be a runtime, too."""
    source = isolation_source("@hookimpl\ndef runtime_kill(self, task): pass")
    assert "unknown hook runtime_kill" in reason(site, source)


def test_argument_that_the_hook_has_not(site: Site) -> None:
    """The argument is named."""
    source = isolation_source("@hookimpl\ndef isolation_adjust(self, container, settings): pass")
    assert "settings" in reason(site, source)


def test_default_of_an_argument(site: Site) -> None:
    """pluggy would never pass it."""
    source = isolation_source("@hookimpl\ndef isolation_adjust(self, container, options=None): pass")
    assert reason(site, source) == (
        "hook isolation_adjust: argument options has a default, so it would never be passed"
    )


def test_default_of_an_argument_of_its_own_is_fine(enhancement: Callable[..., str]) -> None:
    """Only arguments of the contract are meant."""
    name = enhancement("@hookimpl\ndef isolation_adjust(self, container, _cache=()): pass")
    assert loaded(name).state is PluginState.READY


def test_required_hook_is_missing(site: Site) -> None:
    """A runtime that can't create is none."""
    assert reason(site, HOOKLESS, role="runtime") == "class Plugin lacks the hook runtime_features"


def test_order_is_no_number(site: Site) -> None:
    """It would break the sorting of all enhancements."""
    assert "order" in reason(site, isolation_source("order = 'first'"))


def test_class_that_fails_at_a_mere_look(site: Site) -> None:
    """Even a hostile class harms nobody but itself."""
    source = isolation_source(
        head="""
        class Trap(type):
            def __dir__(cls): raise RuntimeError("look away")
        """
    ).replace("class Plugin:", "class Plugin(metaclass=Trap):")
    assert "look away" in reason(site, source)


@pytest.mark.parametrize(
    ("rules", "state"),
    [({"allow": ["pouch-*"]}, PluginState.BLOCKED), ({"disable": ["guard"]}, PluginState.DISABLED)],
)
def test_plugin_that_is_kept_out_is_never_imported(
    site: Site, tmp_path: Path, rules: dict[str, list[str]], state: PluginState
) -> None:
    """Its module would have left a file."""
    trace = tmp_path / "imported"
    source = f"open({str(trace)!r}, 'w').close()\n" + isolation_source()
    site.add("example-guard", {"isolation": {"guard": "site_guard:Plugin"}}, {"site_guard": source})
    assert loaded("guard", **rules).state is state
    assert not trace.exists()
    assert loaded("guard").state is PluginState.READY
    assert trace.exists(), "the trap itself must work"


@pytest.mark.parametrize("folder", sorted(EXAMPLES.glob("broken/*")), ids=lambda folder: folder.name)
def test_broken_example_never_stops_a_sound_one(site: Site, folder: Path) -> None:
    """Each kind of breakage is kept to itself: the example enhancement beside it is ready."""
    site.install(folder)
    site.install(EXAMPLES / "pouch-example-isolation")
    plugins = [plugin for plugin in discover() if plugin.distribution.startswith(("pouch-broken", "pouch-example"))]
    load(plugins)
    assert {p.name: p.state for p in plugins if p.name == "example"} == {"example": PluginState.READY}
    assert len(plugins) == 2
