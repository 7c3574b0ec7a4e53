"""Which plugins are installed: importlib.metadata lists them, and nothing is imported.

No cache file is used: a root daemon must not trust a file in somebody's cache directory.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import Distribution, EntryPoint, distributions

from pouch_engine.config import HANDLER_NAME
from pouch_hookspecs import PROJECT, ROLES

log = logging.getLogger(__name__)


class PluginState(StrEnum):
    """What has become of a plugin.

    ready: usable. skipped: this host lacks something (`check`). broken: its own fault. blocked: not on the
    allow-list. disabled: switched off. The last two are never imported.
    """

    READY = "ready"
    SKIPPED = "skipped"
    BROKEN = "broken"
    BLOCKED = "blocked"
    DISABLED = "disabled"


@dataclass
class Plugin:
    """An installed plugin and how far it came; `reason` says why it is not ready."""

    role: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint
    state: PluginState = PluginState.READY
    reason: str = ""
    api: str = ""
    cls: type | None = None

    def reject(self, state: PluginState, reason: str) -> None:
        """Take the plugin out, with the reason that users will see."""
        self.state, self.reason = state, reason


def discover(allow: Collection[str] = (), disable: Collection[str] = ()) -> list[Plugin]:
    """List all installed plugins of all roles, with those already rejected that must not be imported.

    Args:
        allow: patterns of distribution names; empty allows all. Names are compared as PyPI does (PEP 503).
        disable: plugin names, `*` for all.
    """
    plugins = _installed()
    for plugin in plugins:
        if any(fnmatch.fnmatchcase(plugin.name, pattern) for pattern in disable):
            plugin.reject(PluginState.DISABLED, "switched off by configuration or environment")
        elif allow and not _allowed(plugin.distribution, allow):
            plugin.reject(PluginState.BLOCKED, f"distribution {plugin.distribution} is not on the allow-list")
        elif not HANDLER_NAME.fullmatch(plugin.name):
            plugin.reject(PluginState.BROKEN, f"the entry point's name {plugin.name!r} can not be a handler's name")
    _reject_rivals([plugin for plugin in plugins if plugin.state is PluginState.READY])
    return sorted(plugins, key=lambda p: (p.role, p.name, p.distribution))


def _installed() -> list[Plugin]:
    """The plugins of every distribution, each once: the first on the path is the one that Python would import."""
    found: dict[str, list[Plugin]] = {}
    for distribution in distributions():
        try:
            if plugins := _plugins_of(distribution):
                found.setdefault(_normal(distribution.name), plugins)
        except Exception as error:  # what an interrupted installation left: whose plugins it has nobody knows
            log.warning("the metadata of an installed distribution can not be read: %r", error)
    return [plugin for plugins in found.values() for plugin in plugins]


def _plugins_of(distribution: Distribution) -> list[Plugin]:
    entries = distribution.entry_points
    return [
        Plugin(role, entry.name, distribution.name, distribution.version or "", entry)
        for role in ROLES
        for entry in entries
        if entry.group == f"{PROJECT}.{role}"
    ]


def _reject_rivals(usable: Sequence[Plugin]) -> None:
    """Nobody can tell which of two was meant. A distribution that is not allowed is no rival of one that is."""
    claims: defaultdict[tuple[str, str], list[Plugin]] = defaultdict(list)
    for plugin in usable:
        claims[plugin.role, plugin.name].append(plugin)
    for (role, name), rivals in claims.items():
        if len(rivals) > 1:
            names = " and ".join(sorted(rival.distribution for rival in rivals))
            for rival in rivals:
                rival.reject(PluginState.BROKEN, f"{names} all claim {role} {name}: uninstall or block all but one")


def _allowed(distribution: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(_normal(distribution), _normal(pattern)) for pattern in patterns)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
