"""The registry: what the engine and `pouch plugin`, `pouch runtime`, `pouch doctor` ask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, JsonValue

from pouch_engine.config import Config
from pouch_hookspecs import ROLES, CommonHooks, ContainerConfig, Descriptor, Finding, Image, Level, declaration
from pouch_hookspecs.errors import InvalidArgument, NotFound, PouchError, Unavailable
from pouch_hookspecs.hooks import RuntimeHooks, StorageHooks, VolumeHooks

from .calls import CALL_THREADS
from .discovery import Plugin, PluginState, discover
from .handlers import Handler, build_all
from .loading import load, new_manager
from .options import annotated_plugins, describe_options, for_container, is_active


class Registry:
    """All plugins and handlers of a daemon.

    Args:
        config: the daemon's configuration.
        root: below it each handler has its `data_dir`.
        run: below it each handler has its `run_dir`.
        no_plugins: load none at all: the way out when one of them breaks the daemon.
    """

    def __init__(self, config: Config, root: Path, run: Path, *, no_plugins: bool = False) -> None:
        disable = [*config.plugins.disable, *os.environ.get("POUCH_DISABLE_PLUGINS", "").split(",")]
        self.config = config
        self.plugins = discover(config.plugins.allow, ["*"] if no_plugins else [name for name in disable if name])
        load(self.plugins)
        tables = {role: config.handlers(role) for role in ROLES}
        self.handlers = build_all(self.plugins, tables, root / "plugins", run / "plugins")
        for handler in self.handlers:
            handler.begin_check()

    def require_all(self) -> None:
        """Hold the daemon's start until what the configuration names as required is ready.

        Raises:
            Unavailable: one of them is not, with its reason.
        """
        for name in self.config.plugins.required:
            found = [handler for handler in self.handlers if handler.name == name]
            if not found:
                raise Unavailable(f"plugin {name} is required by the configuration and not installed")
            for handler in found:
                if handler.settled() is not PluginState.READY:
                    raise Unavailable(
                        f"plugin {name} is required by the configuration and {handler.state}: {handler.reason}"
                    )

    def check_all(self) -> None:
        """Have every handler look at the host anew, and return when all have."""
        for check in [CALL_THREADS.submit(handler.check) for handler in self.handlers]:
            check.result()

    def handler(self, role: str, name: str) -> Handler:
        """Find a handler.

        Raises:
            NotFound: there is none of this name; the error lists those that are.
        """
        for handler in self.handlers:
            if handler.role == role and handler.name == name:
                return handler
        names = sorted(handler.name for handler in self.handlers if handler.role == role)
        raise NotFound(f"unknown {role} {name!r}; there are: {', '.join(names) or 'none'}")

    def of_role(self, role: str) -> list[Handler]:
        """All handlers of a role, by name."""
        return sorted((h for h in self.handlers if h.role == role), key=lambda h: h.name)

    def runtime(self, name: str) -> RuntimeHooks:
        """A runtime's hooks; the default one's for an empty name.

        Raises:
            InvalidArgument: there is no such runtime.
            Unavailable: it is not ready.
        """
        try:
            return self.handler("runtime", name or self.config.default_runtime).hooks(RuntimeHooks)
        except NotFound as error:
            raise InvalidArgument(error.message, hint="see `pouch runtime ls`") from error

    def storage(self) -> tuple[str, StorageHooks]:
        """The storage driver in use and its name: the configured one, else the first that works here.

        Raises:
            Unavailable: none works.
        """
        if self.config.default_storage:
            name = self.config.default_storage
            return name, self.handler("storage", name).hooks(StorageHooks)
        found = self.of_role("storage")
        preferred = sorted(found, key=lambda h: (h.name != "overlay", h.name == "copy", h.name))
        for handler in preferred:
            if handler.settled() is PluginState.READY:
                return handler.name, handler.hooks(StorageHooks)
        reasons = (
            "; ".join(f"{h.name}: {h.reason}" for h in preferred) or "none is installed (pip install pouch-overlay)"
        )
        raise Unavailable(f"no storage driver works on this host: {reasons}")

    def storage_name(self) -> str:
        """The name of the storage driver in use; where none works, the one that should."""
        try:
            return self.storage()[0]
        except PouchError:
            return self.config.default_storage or "overlay"

    def storage_in_use(self) -> StorageHooks:
        """The hooks of the storage driver in use, looked for at each call only."""
        return cast(StorageHooks, _StorageInUse(self))

    def volume(self, name: str) -> VolumeHooks:
        """A volume driver's hooks; `local`'s for an empty name.

        Raises:
            InvalidArgument: there is no such driver.
            Unavailable: it is not ready.
        """
        try:
            return self.handler("volume", name or "local").hooks(VolumeHooks)
        except NotFound as error:
            raise InvalidArgument(error.message) from error

    def enhancements(
        self, requested: Mapping[str, Mapping[str, JsonValue]], annotations: Mapping[str, str]
    ) -> Iterator[tuple[Handler, BaseModel, bool]]:
        """The enhancements that take part in a container, in order: handler, options, asked for explicitly.

        One that can not be used is among them: `Handler.hooks` says why.

        Raises:
            InvalidArgument: an option of a plugin that is not there, or a wrong value.
        """
        handlers = sorted(self.of_role("isolation"), key=lambda h: (h.order, h.name))
        asked_for = set(requested) | annotated_plugins(annotations)
        known = {handler.name for handler in handlers} | {handler.name for handler in self.of_role("runtime")}
        for name in sorted(asked_for - known):
            raise InvalidArgument(f"no plugin {name!r} is installed that options are given for")
        for handler in handlers:
            if handler.options is None:
                # Whether its options mean "on" nobody can tell without its model; that it was named counts as a wish.
                if handler.name in asked_for or handler.config.options:
                    yield handler, _Unreadable(), handler.name in asked_for
                continue
            options, asked = for_container(handler.name, handler.options, requested.get(handler.name, {}), annotations)
            if is_active(options):
                yield handler, options, asked

    def judge_request(self, action: str, config: ContainerConfig) -> None:
        """Let every plugin that wants to judge a request do so; the first refusal is raised."""
        for hooks in self._having("request_admit"):
            hooks.request_admit(action=action, config=config)

    def judge_image(self, image: Image, manifest: Descriptor) -> None:
        """Let every plugin that wants to judge a new image do so; the first refusal is raised."""
        for hooks in self._having("image_pulled"):
            hooks.image_pulled(image=image, descriptor=manifest)

    def _having(self, hook: str) -> Iterator[CommonHooks]:
        for handler in self.handlers:
            if handler.participant is not None and handler.participant.implements(hook):
                yield handler.hooks(CommonHooks)

    def options(self) -> dict[str, Any]:
        """`GET /pouch/options`."""
        offered = [h for h in self.handlers if h.role in ("isolation", "runtime") and h.options_model is not None]
        return describe_options((h.name, h.options_model) for h in offered if h.options_model is not None)

    def describe_plugins(self) -> list[dict[str, Any]]:
        """The rows of `pouch plugin ls`."""
        return [self._row(plugin) for plugin in self.plugins]

    def _row(self, plugin: Plugin) -> dict[str, Any]:
        state, reason = plugin.state, plugin.reason
        for handler in self.handlers:
            if plugin.cls is not None and (handler.role, handler.name) == (plugin.role, plugin.name):
                state, reason = handler.settled(), handler.reason
        return {
            "kind": plugin.role,
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "api": plugin.api,
            "state": str(state),
            "reason": reason,
        }

    def inspect_plugin(self, name: str) -> dict[str, Any]:
        """All about the plugins of this name (one, unless two roles share it).

        Raises:
            NotFound: none is installed.
        """
        found = [plugin for plugin in self.plugins if plugin.name == name]
        if not found:
            raise NotFound(f"no plugin {name!r} is installed; see `pouch plugin ls`")
        return {"plugins": [self._row(plugin) | self._details(plugin) for plugin in found]}

    def _details(self, plugin: Plugin) -> dict[str, Any]:
        if plugin.cls is None:
            return {"entry_point": plugin.entry_point.value}
        options: type[BaseModel] = plugin.cls.Options  # type: ignore[attr-defined]
        handlers = [h for h in self.handlers if h.role == plugin.role and h.driver == plugin.name]
        manager = new_manager(plugin.role)
        manager.register(plugin.cls)
        return {
            "entry_point": plugin.entry_point.value,
            "hooks": sorted(caller.name for caller in manager.get_hookcallers(plugin.cls) or ()),
            "order": getattr(plugin.cls, "order", 50),
            "options": [
                {
                    "name": name,
                    "type": str(field.annotation),
                    "default": str(field.get_default(call_default_factory=True)),
                    "help": field.description or "",
                    "flag": (declaration(field) or {}).get("flag", ""),
                }
                for name, field in options.model_fields.items()
            ],
            "handlers": [
                {
                    "name": handler.name,
                    "state": str(handler.settled()),
                    "reason": handler.reason,
                    "stuck_calls": handler.participant.stuck_calls() if handler.participant else [],
                    "calls": dict(handler.participant.calls_made) if handler.participant else {},
                }
                for handler in handlers
            ],
        }

    def describe_runtimes(self) -> list[dict[str, Any]]:
        """The rows of `pouch runtime ls`."""
        return [
            {
                "name": handler.name,
                "driver": handler.driver,
                "default": handler.name == self.config.default_runtime,
                "state": str(handler.settled()),
                "reason": handler.reason,
            }
            for handler in self.of_role("runtime")
        ]

    def inspect_runtime(self, name: str) -> dict[str, Any]:
        """All about one runtime handler, its features included.

        Raises:
            NotFound: there is no such runtime.
        """
        handler = self.handler("runtime", name)
        row = next(row for row in self.describe_runtimes() if row["name"] == name)
        row["options"] = handler.options.model_dump(mode="json") if handler.options else {}
        row["findings"] = [finding.model_dump(mode="json") for finding in handler.findings]
        if handler.settled() is PluginState.READY:
            try:
                row["features"] = handler.hooks(RuntimeHooks).runtime_features().model_dump(mode="json")
            except PouchError as error:
                row["features"], row["features_error"] = None, str(error)
        return row

    def _told(self, handler: Handler, finding: Finding) -> dict[str, Any]:
        """A runtime that nobody has configured and that this host lacks is no fault of the host."""
        spare = handler.role == "runtime" and handler.name not in (*self.config.runtimes, self.config.default_runtime)
        if spare and finding.level is Level.ERROR:
            finding = finding.model_copy(update={"level": Level.INFO})
        return {"plugin": handler.name} | finding.model_dump(mode="json")

    def doctor(self) -> list[dict[str, Any]]:
        """Every check of every handler, made anew, and every plugin and handler that is not usable."""
        self.check_all()
        rejected = [plugin for plugin in self.plugins if plugin.state is not PluginState.READY]
        findings = [_of_plugin(plugin) for plugin in rejected]
        told = {(plugin.role, plugin.name) for plugin in rejected}
        for handler in self.handlers:
            findings += [self._told(handler, finding) for finding in handler.findings]
            if handler.state is PluginState.BROKEN and (handler.role, handler.driver) not in told:
                what = f"{handler.role} {handler.name}"
                findings.append(_finding(handler.name, "error", what, handler.reason, "see pouchd.toml"))
        return findings


def _of_plugin(plugin: Plugin) -> dict[str, Any]:
    remedies = {
        PluginState.BROKEN: f"upgrade or uninstall {plugin.distribution}",
        PluginState.BLOCKED: "name it in plugins.allow of pouchd.toml, if it is meant to be used",
        PluginState.DISABLED: "take it out of plugins.disable and POUCH_DISABLE_PLUGINS, if it is meant to be used",
    }
    level = "error" if plugin.state is PluginState.BROKEN else "info"
    what = f"{plugin.role} {plugin.name} ({plugin.distribution})"
    return _finding(plugin.name, level, what, f"{plugin.state}: {plugin.reason}", remedies[plugin.state])


class _Unreadable(BaseModel):
    """Stands for the options of a handler that could not be loaded."""


class _StorageInUse:
    """Stands for the storage driver before it is known which one works here (its check takes a while)."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def __getattr__(self, hook: str) -> Any:
        return getattr(self._registry.storage()[1], hook)


def _finding(plugin: str, level: str, what: str, why: str, remedy: str) -> dict[str, Any]:
    return {"plugin": plugin, "level": level, "what": what, "why": why, "remedy": remedy}
