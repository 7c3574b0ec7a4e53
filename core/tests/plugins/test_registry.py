"""The registry: what `plugin ls`, `plugin inspect`, `runtime ls` and `doctor` show, and what stops the start."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pouch_engine.plugins.discovery import PluginState
from pouch_engine.plugins.registry import Registry
from pouch_hookspecs.errors import InvalidArgument, NotFound, Unavailable

from .conftest import RegistryFactory
from .sites import EXAMPLES, Site, isolation_source

SKIPPED = (
    "@hookimpl\ndef check(self): return (Finding(level=Level.ERROR, what='ground', why='gone', remedy='mend it'),)"
)
WALL = "wall: bool = option(False, flag='--wall', help='a wall')\nheight: int = 3"


def row(registry: Registry, name: str) -> dict[str, Any]:
    """The row of `plugin ls` of a plugin."""
    (found,) = [row for row in registry.describe_plugins() if row["name"] == name]
    return found


def active(
    registry: Registry, requested: dict[str, Any] | None = None, annotations: dict[str, str] | None = None
) -> list[tuple[str, bool]]:
    """Which enhancements take part, and whether they were asked for."""
    return [(h.name, asked) for h, _, asked in registry.enhancements(requested or {}, annotations or {})]


def test_nothing_stops_the_registry(site: Site, registry: RegistryFactory) -> None:
    """With every broken example installed, the sound ones are ready and each broken one has its reason."""
    for folder in [*sorted(EXAMPLES.glob("broken/*")), EXAMPLES / "pouch-example-isolation"]:
        site.install(folder)
    rows = [row for row in registry().describe_plugins() if row["distribution"].startswith("pouch-broken")]
    assert len(rows) == len(list(EXAMPLES.glob("broken/*")))
    assert [row["name"] for row in rows if row["state"] != "broken" or not row["reason"]] == []


def test_row_of_a_plugin(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Kind, name, distribution, version, API, state, reason."""
    enhancement()
    assert row(registry(), "guard") == {
        "kind": "isolation",
        "name": "guard",
        "distribution": "example-guard",
        "version": "1.0",
        "api": "0.1",
        "state": "ready",
        "reason": "",
    }


def test_row_shows_the_outcome_of_the_check(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """A plugin whose ground is missing is skipped, with the remedy."""
    enhancement(SKIPPED)
    found = row(registry(), "guard")
    assert (found["state"], found["reason"]) == ("skipped", "ground: gone (mend it)")


def test_incompatible_plugin_shows_its_version(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The API column is filled although the plugin is broken."""
    enhancement(api="7.3")
    found = row(registry(), "guard")
    assert (found["state"], found["api"]) == ("broken", "7.3")


@pytest.mark.parametrize("way", ["configuration", "environment", "no plugins"])
def test_ways_out(
    enhancement: Callable[..., str], registry: RegistryFactory, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """plugins.disable, POUCH_DISABLE_PLUGINS and --no-plugins keep a plugin out."""
    enhancement()
    if way == "environment":
        monkeypatch.setenv("POUCH_DISABLE_PLUGINS", "other,guard")
    made = registry("plugins.disable = ['guard']" if way == "configuration" else "", no_plugins=way == "no plugins")
    assert row(made, "guard")["state"] == "disabled"


def test_inspect_shows_options_hooks_and_handlers(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """All that an operator asks of a plugin."""
    enhancement("@hookimpl\ndef isolation_started(self, container): pass", options=WALL)
    (found,) = registry().inspect_plugin("guard")["plugins"]
    assert found["hooks"] == ["isolation_started"]
    assert [(o["name"], o["flag"], o["default"]) for o in found["options"]] == [
        ("wall", "--wall", "False"),
        ("height", "", "3"),
    ]
    assert [(h["name"], h["state"]) for h in found["handlers"]] == [("guard", "ready")]


def test_inspect_of_an_unknown_plugin(registry: RegistryFactory) -> None:
    """It says where to look."""
    with pytest.raises(NotFound, match="pouch plugin ls"):
        registry().inspect_plugin("nosuch")


def test_unknown_runtime_lists_those_that_are(registry: RegistryFactory) -> None:
    """A user's mistake, with the way out."""
    with pytest.raises(InvalidArgument, match=r"unknown runtime 'nosuch'; there are: .*runc"):
        registry().runtime("nosuch")


def test_required_plugin_that_is_not_installed(registry: RegistryFactory) -> None:
    """The start is refused."""
    with pytest.raises(Unavailable, match="nosuch is required by the configuration and not installed"):
        registry("plugins.required = ['nosuch']").require_all()


def test_required_plugin_that_is_skipped(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The start is refused with the plugin's reason."""
    enhancement(SKIPPED)
    with pytest.raises(Unavailable, match="guard is required by the configuration and skipped: ground: gone"):
        registry("plugins.required = ['guard']").require_all()


def test_required_plugin_that_is_ready(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Nothing is raised."""
    enhancement()
    registry("plugins.required = ['guard']").require_all()


def test_doctor_tells_a_check_that_failed(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """A check that raises has no findings; that it did is the finding."""
    enhancement("@hookimpl\ndef check(self): raise OSError('on fire')")
    (finding,) = [finding for finding in registry().doctor() if finding["plugin"] == "guard"]
    assert finding["level"] == "error"
    assert "on fire" in finding["why"]


def test_doctor_insists_on_a_runtime_of_the_configuration(registry: RegistryFactory) -> None:
    """One whose command is not there is an error."""
    found = registry("[runtimes.mine]\ndriver = 'runc'\ncommand = '/no/such/runc'").doctor()
    assert [finding["level"] for finding in found if finding["what"] == "/no/such/runc"] == ["error"]


def test_doctor_does_not_insist_on_a_runtime_that_nobody_wants(site: Site, registry: RegistryFactory) -> None:
    """An installed driver whose command is not there, and not configured, is told as information."""
    source = """
        from pouch_runc import RuncRuntime, RuncOptions
        class Options(RuncOptions):
            command: str = "/no/such/runtime"
        class Plugin(RuncRuntime):
            Options = Options
    """
    site.add("example-spare", {"runtime": {"spare": "site_spare:Plugin"}}, {"site_spare": source})
    assert [f["level"] for f in registry().doctor() if f["what"] == "/no/such/runtime"] == ["info"]


def test_doctor_tells_a_broken_plugin_once(site: Site, registry: RegistryFactory) -> None:
    """With what to do; its handler says nothing new."""
    site.add("example-p", {"isolation": {"p": "site_p:Plugin"}}, {"site_p": "raise ValueError"})
    (finding,) = [finding for finding in registry().doctor() if finding["plugin"] == "p"]
    assert finding["what"] == "isolation p (example-p)"
    assert finding["remedy"] == "upgrade or uninstall example-p"


def test_doctor_tells_a_handler_with_wrong_configuration(
    enhancement: Callable[..., str], registry: RegistryFactory
) -> None:
    """The plugin is sound, its handler is not."""
    enhancement()
    found = [finding for finding in registry("[isolation.guard]\nx = 1").doctor() if finding["plugin"] == "guard"]
    assert [finding["why"] for finding in found] == ["handler guard has no option x; it has: none"]


def test_enhancement_is_off_until_asked_for(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Its declared default means off."""
    enhancement(options=WALL)
    made = registry()
    assert active(made) == []
    assert active(made, {"guard": {"wall": True}}) == [("guard", True)]


def test_configured_default_turns_it_on(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Then it was not asked for by the container."""
    enhancement(options=WALL)
    assert active(registry("[isolation.guard]\nwall = true")) == [("guard", False)]


def test_enhancements_come_in_order(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """By order, then by name."""
    for name, order in (("a", 60), ("b", 40), ("c", 60)):
        enhancement(f"order = {order}", name=name, options=WALL)
    asked = {name: {"wall": True} for name in "cab"}
    assert [name for name, _ in active(registry(), asked)] == ["b", "a", "c"]


def test_options_for_a_plugin_that_is_not_there(registry: RegistryFactory) -> None:
    """A wish that nobody can fulfil is refused."""
    with pytest.raises(InvalidArgument, match="no plugin 'nosuch' is installed"):
        active(registry(), {"nosuch": {"x": 1}})


def test_annotation_for_a_plugin_that_is_not_there(registry: RegistryFactory) -> None:
    """The same wish at another door is refused with the same words."""
    with pytest.raises(InvalidArgument, match="no plugin 'nosuch' is installed"):
        active(registry(), annotations={"pouch.io/nosuch.x": "1"})


@pytest.mark.parametrize(
    ("requested", "annotations", "configuration"),
    [
        ({"guard": {"wall": True}}, {}, ""),
        ({}, {"pouch.io/guard.wall": "true"}, ""),
        ({}, {}, "[isolation.guard]\nwall = true"),
    ],
    ids=["request", "annotation", "configuration"],
)
def test_wanted_enhancement_that_can_not_be_loaded_is_not_forgotten(
    site: Site,
    registry: RegistryFactory,
    requested: dict[str, Any],
    annotations: dict[str, str],
    configuration: str,
) -> None:
    """A container must not start without an isolation that was wanted: the handler is among those that take part."""
    site.add("example-p", {"isolation": {"guard": "site_p:Plugin"}}, {"site_p": "raise ValueError('rotten')"})
    made = registry(configuration)
    ((handler, _, asked),) = made.enhancements(requested, annotations)
    assert (handler.name, handler.state, asked) == ("guard", PluginState.BROKEN, not configuration)


def test_handler_whose_configuration_is_wrong_is_not_forgotten(
    enhancement: Callable[..., str], registry: RegistryFactory
) -> None:
    """A misspelt default is no reason to run without it."""
    enhancement(options=WALL)
    assert active(registry("[isolation.guard]\nwal = true")) == [("guard", False)]


def test_broken_enhancement_that_nobody_wants_is_no_hindrance(site: Site, registry: RegistryFactory) -> None:
    """Installed is not wanted."""
    site.add("example-p", {"isolation": {"guard": "site_p:Plugin"}}, {"site_p": "raise ValueError('rotten')"})
    assert active(registry()) == []


def test_storage_prefers_overlay(registry: RegistryFactory) -> None:
    """Where several work, overlay is used."""
    assert registry().storage()[0] == "overlay"


def test_storage_of_the_configuration(registry: RegistryFactory) -> None:
    """It is used even where overlay would work."""
    assert registry("default-storage = 'copy'").storage()[0] == "copy"


def test_no_storage_at_all(registry: RegistryFactory) -> None:
    """The error has the reasons."""
    with pytest.raises(Unavailable, match="no storage driver works on this host: overlay: switched off"):
        registry(no_plugins=True).storage()


def test_options_for_clients_have_those_of_every_plugin(
    enhancement: Callable[..., str], registry: RegistryFactory
) -> None:
    """Container options only, each with its plugin's name."""
    enhancement(options=WALL)
    found = [option for option in registry().options()["options"] if option["plugin"] == "guard"]
    assert [option["field"] for option in found] == ["wall"]


def test_source_of_the_examples_here_is_sound() -> None:
    """The helper that the other tests build on makes valid Python."""
    compile(isolation_source(SKIPPED, options=WALL), "source", "exec")
