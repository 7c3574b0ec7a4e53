"""Handlers: configured, made, checked; what goes wrong is kept with its reason and stops nobody."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.plugins.discovery import PluginState
from pouch_engine.plugins.handlers import Handler
from pouch_hookspecs.errors import Unavailable
from pouch_hookspecs.hooks import IsolationHooks

from .conftest import RegistryFactory
from .sites import Site, isolation_source

CHECK = "@hookimpl\ndef check(self): return (Finding(level=Level.{level}, what='ground', why='{why}', remedy='{do}'),)"


def test_every_driver_has_a_handler_of_its_own_name(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Without any configuration."""
    enhancement()
    handler = registry().handler("isolation", "guard")
    assert (handler.driver, handler.settled(), handler.reason) == ("guard", PluginState.READY, "")


def test_configuration_adds_handlers_of_a_driver(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Each is an instance with options of its own; the driver's own name stays."""
    enhancement(options="level: int = 1")
    made = registry(
        """
        [isolation.strict]
        driver = "guard"
        level = 9
        """
    )
    levels = {name: made.handler("isolation", name).options for name in ("guard", "strict")}
    assert {name: getattr(options, "level", None) for name, options in levels.items()} == {"guard": 1, "strict": 9}


def test_plugin_gets_directories_of_its_own(
    enhancement: Callable[..., str], registry: RegistryFactory, tmp_path: Path
) -> None:
    """They exist, mode 0700, one that survives a reboot and one that does not."""
    enhancement()
    registry()
    directories = [tmp_path / "root/plugins/isolation/guard", tmp_path / "run/plugins/isolation/guard"]
    assert [stat.S_IMODE(directory.stat().st_mode) for directory in directories] == [0o700, 0o700]


def test_unknown_option_key(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The error lists what there is, in the words of the file."""
    enhancement(options="log_level: int = 1\npath: str = ''")
    handler = registry("[isolation.guard]\nlogg-level = 2").handler("isolation", "guard")
    assert handler.state is PluginState.BROKEN
    assert handler.reason == "handler guard has no option logg-level; it has: log-level, path"


def test_wrong_option_value(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The key and the value are named."""
    enhancement(options="log_level: int = 1")
    handler = registry("[isolation.guard]\nlog-level = 'loud'").handler("isolation", "guard")
    assert handler.reason.startswith("handler guard: log-level: ")
    assert "(got 'loud')" in handler.reason


def test_unknown_driver(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The error lists the drivers of the role."""
    enhancement()
    handler = registry("[isolation.x]\ndriver = 'nosuch'").handler("isolation", "x")
    assert handler.state is PluginState.BROKEN
    assert "no isolation driver nosuch is installed; there are: guard" in handler.reason


@pytest.mark.parametrize("raised", ["ValueError('no')", "SystemExit(1)", "Refused('no')"])
def test_constructor_that_raises(enhancement: Callable[..., str], registry: RegistryFactory, raised: str) -> None:
    """Whatever it raises, the handler is broken, and the engine goes on."""
    enhancement(f"def __init__(self, handler): raise {raised}")
    handler = registry().handler("isolation", "guard")
    assert handler.state is PluginState.BROKEN
    assert handler.participant is None


def test_constructor_that_hangs(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """It is given up after its time."""
    gate = threading.Event()
    threading.gate = gate  # type: ignore[attr-defined]
    try:
        enhancement("def __init__(self, handler): threading.gate.wait()")
        handler = registry("[isolation.guard]\ndeadline-factor = 0.005").handler("isolation", "guard")
    finally:
        gate.set()
        del threading.gate  # type: ignore[attr-defined]
    assert handler.reason == "no end after 0.05 s"


def test_check_with_an_error_skips_with_the_remedy(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """The finding is the reason."""
    enhancement(CHECK.format(level="ERROR", why="not there", do="apt-get install ground"))
    handler = registry().handler("isolation", "guard")
    assert handler.settled() is PluginState.SKIPPED
    assert handler.reason == "ground: not there (apt-get install ground)"


@pytest.mark.parametrize("level", ["OK", "INFO", "WARNING"])
def test_check_without_an_error_is_ready(
    enhancement: Callable[..., str], registry: RegistryFactory, level: str
) -> None:
    """A warning is only told."""
    enhancement(CHECK.format(level=level, why="so", do=""))
    handler = registry().handler("isolation", "guard")
    assert handler.settled() is PluginState.READY
    assert [finding.level.name for finding in handler.findings] == [level]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise ValueError('no')", "its check failed: isolation guard: check raised ValueError: no"),
        ("raise SystemExit(1)", "its check failed: isolation guard: check raised SystemExit: 1"),
        ("return ['fine']", "its check gave something else than findings"),
        ("return 7", "its check gave something else than findings"),
    ],
)
def test_check_that_fails(enhancement: Callable[..., str], registry: RegistryFactory, body: str, words: str) -> None:
    """The handler is broken, with the words of the failure."""
    enhancement(f"@hookimpl\ndef check(self): {body}")
    handler = registry().handler("isolation", "guard")
    assert handler.settled() is PluginState.BROKEN
    assert words in handler.reason


def test_check_that_hangs(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Its deadline ends the wait; the handler is broken."""
    gate = threading.Event()
    threading.gate = gate  # type: ignore[attr-defined]
    try:
        enhancement("@hookimpl\ndef check(self): threading.gate.wait()")
        handler = registry("[isolation.guard]\ndeadline-factor = 0.005").handler("isolation", "guard")
        assert handler.settled() is PluginState.BROKEN
        assert "did not answer check within 0.05 s" in handler.reason
    finally:
        gate.set()
        del threading.gate  # type: ignore[attr-defined]


def test_broken_check_recovers_when_it_passes_again(
    enhancement: Callable[..., str], registry: RegistryFactory, tmp_path: Path
) -> None:
    """A later check decides anew."""
    ground = tmp_path / "ground"
    enhancement(f"@hookimpl\ndef check(self): return os.stat({str(ground)!r}) and ()", head="import os")
    handler = registry().handler("isolation", "guard")
    assert handler.settled() is PluginState.BROKEN
    ground.touch()
    handler.check()
    assert (handler.settled(), handler.reason) == (PluginState.READY, "")


def test_hooks_of_a_handler_that_is_not_ready(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Its state and reason are the error."""
    enhancement(CHECK.format(level="ERROR", why="not there", do=""))
    with pytest.raises(Unavailable, match="isolation guard is skipped: ground: not there"):
        registry().handler("isolation", "guard").hooks(IsolationHooks)


def test_order_of_the_configuration_wins(enhancement: Callable[..., str], registry: RegistryFactory) -> None:
    """Else the plugin's own counts, else 50."""
    enhancement("order = 7")
    enhancement(name="other")
    made = registry("[isolation.strict]\ndriver = 'guard'\norder = 99")
    assert {h.name: h.order for h in made.of_role("isolation")} == {"guard": 7, "other": 50, "strict": 99}


def test_rival_that_is_blocked_leaves_the_name_to_the_other(
    site: Site, registry: RegistryFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler is the allowed distribution's, whichever name sorts last."""
    for name in ("good-guard", "zz-evil-guard"):
        module = name.replace("-", "_")
        site.add(name, {"isolation": {"guard": f"{module}:Plugin"}}, {module: isolation_source()})
    made = registry("plugins.allow = ['good-*']")
    assert made.handler("isolation", "guard").settled() is PluginState.READY


@pytest.mark.parametrize(
    ("source", "state"),
    [
        ("class Plugin:\n    api = '0.1'\n", PluginState.BROKEN),
        (isolation_source("def __init__(self, handler): raise SystemExit", api="9.9"), PluginState.BROKEN),
    ],
    ids=["no options", "incompatible"],
)
def test_broken_class_is_never_made(site: Site, registry: RegistryFactory, source: str, state: PluginState) -> None:
    """Its handler carries the plugin's own reason, and has no instance."""
    site.add("example-guard", {"isolation": {"guard": "site_guard:Plugin"}}, {"site_guard": source})
    handler: Handler = registry().handler("isolation", "guard")
    facts: tuple[Any, ...] = (handler.state, handler.participant, handler.options_model)
    assert facts == (state, None, None)
    assert "SystemExit" not in handler.reason
