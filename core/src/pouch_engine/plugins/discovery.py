"""Which plugins are installed: importlib.metadata lists them, and nothing is imported.

No cache file is used: a root daemon must not trust a file in somebody's cache directory.
"""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points

from pouch_hookspecs import PROJECT, ROLES


class PluginState(StrEnum):
    """What has become of a plugin.

    ready: usable. skipped: this host lacks something (`check`). broken: its own fault. blocked: not on the
    allow-list. disabled: switched off. The last three are never imported or never called.
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
    found = [_plugin(role, entry) for role in ROLES for entry in entry_points(group=f"{PROJECT}.{role}")]
    plugins = _without_repeats(found)
    claims = Counter((plugin.role, plugin.name) for plugin in plugins)
    for plugin in plugins:
        rivals = [p.distribution for p in plugins if (p.role, p.name) == (plugin.role, plugin.name)]
        if any(fnmatch.fnmatchcase(plugin.name, pattern) for pattern in disable):
            plugin.reject(PluginState.DISABLED, "switched off by configuration or environment")
        elif allow and not _allowed(plugin.distribution, allow):
            plugin.reject(PluginState.BLOCKED, f"distribution {plugin.distribution} is not on the allow-list")
        elif claims[plugin.role, plugin.name] > 1:
            plugin.reject(
                PluginState.BROKEN,
                f"{' and '.join(sorted(rivals))} all claim {plugin.role} {plugin.name}: uninstall all but one",
            )
    return sorted(plugins, key=lambda p: (p.role, p.name, p.distribution))


def _plugin(role: str, entry: EntryPoint) -> Plugin:
    distribution = entry.dist
    return Plugin(
        role=role,
        name=entry.name,
        distribution=distribution.name if distribution else "",
        version=distribution.version if distribution else "",
        entry_point=entry,
    )


def _without_repeats(plugins: Iterable[Plugin]) -> list[Plugin]:
    """One distribution may be seen twice (an editable install beside its metadata on the path)."""
    unique = {(p.role, p.name, p.distribution, p.entry_point.value): p for p in plugins}
    return list(unique.values())


def _allowed(distribution: str, patterns: Collection[str]) -> bool:
    return any(fnmatch.fnmatchcase(_normal(distribution), _normal(pattern)) for pattern in patterns)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
