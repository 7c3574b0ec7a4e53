"""Handlers: drivers with their configuration, instantiated, checked on this host, ready to be called."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, TypeAdapter, ValidationError

from pouch_engine.config import HandlerConfig
from pouch_hookspecs import Finding, Level
from pouch_hookspecs import Handler as HandlerModel
from pouch_hookspecs.errors import PouchError, Unavailable

from .calls import CALL_THREADS, HookCalls, Participant, within
from .discovery import Plugin, PluginState
from .loading import new_manager
from .options import configured

HooksT = TypeVar("HooksT")

CONSTRUCTOR_SECONDS = 10.0
"""A constructor must not block; one that does is given up after so long."""

_FINDINGS = TypeAdapter(tuple[Finding, ...])


class Handler:
    """One handler of one role and what became of it.

    Attributes:
        role: runtime, storage …
        name: unique in its role.
        driver: the entry point's name.
        config: its table in `pouchd.toml`.
        options_model: the driver's `Options`; None where the driver could not be loaded.
        options: the configured ones; None where they are not valid.
        order: place among the enhancements.
        participant: to be called; None where it could not be made.
        findings: of the last check, which runs in the background from the start on; `settled()` waits for it.
    """

    def __init__(self, role: str, name: str, driver: str, config: HandlerConfig) -> None:
        self.role = role
        self.name = name
        self.driver = driver
        self.config = config
        self.options_model: type[BaseModel] | None = None
        self.options: BaseModel | None = None
        self.order = 50 if config.order is None else config.order
        self.participant: Participant | None = None
        self.findings: tuple[Finding, ...] = ()
        self._verdict = PluginState.READY, ""
        self._first_check: Future[None] | None = None

    @property
    def state(self) -> PluginState:
        """What has become of it, as far as is known now."""
        return PluginState.BROKEN if self._out_of_service() else self._verdict[0]

    @property
    def reason(self) -> str:
        """Why it is not ready; empty if it is."""
        return self._out_of_service() or self._verdict[1]

    def reject(self, state: PluginState, reason: str) -> None:
        """Take it out, with the reason that users will see."""
        self._verdict = state, reason

    def begin_check(self) -> None:
        """Start the plugin's own look at this host; a finding of level error makes the handler skipped."""
        if self.participant is not None:
            self._first_check = CALL_THREADS.submit(self.check)

    def check(self) -> None:
        """Look at this host anew; the state follows."""
        if self.participant is None:
            return
        try:
            self.findings = tuple(_FINDINGS.validate_python(self.participant.call("check") or ()))
        except PouchError as error:
            self.findings = ()
            self.reject(PluginState.BROKEN, f"its check failed: {error}")
            return
        except ValidationError as error:
            self.findings = ()
            self.reject(PluginState.BROKEN, f"its check gave something else than findings: {error.errors()[0]['msg']}")
            return
        bad = [finding for finding in self.findings if finding.level is Level.ERROR]
        reasons = (f"{f.what}: {f.why}" + (f" ({f.remedy})" if f.remedy else "") for f in bad)
        self.reject(PluginState.SKIPPED if bad else PluginState.READY, "; ".join(reasons))

    def settled(self) -> PluginState:
        """The state, once the first check has come to its end."""
        if self._first_check is not None:
            self._first_check.result()
        return self.state

    def hooks(self, role: type[HooksT]) -> HooksT:
        """The handler's hooks, typed as their specification.

        Raises:
            Unavailable: the handler is not ready, with the reason.
        """
        if self.settled() is not PluginState.READY or self.participant is None:
            raise Unavailable(f"{self.role} {self.name} is {self.state}: {self.reason}")
        return cast(HooksT, HookCalls(self.participant))

    def _out_of_service(self) -> str:
        return self.participant.out_of_service() if self.participant else ""


def build(plugin: Plugin, name: str, config: HandlerConfig, root: Path, run: Path) -> Handler:
    """Configure and instantiate one handler; a failure is recorded in it, never raised."""
    handler = Handler(plugin.role, name, plugin.name, config)
    handler.reject(plugin.state, plugin.reason)
    if plugin.cls is None:
        return handler
    cls: Any = plugin.cls
    handler.options_model = cls.Options
    if config.order is None:
        handler.order = getattr(cls, "order", 50)
    try:
        handler.options = configured(cls.Options, config.options, name)
        instance = within(CONSTRUCTOR_SECONDS * config.deadline_factor, cls, _model(plugin, name, handler, root, run))
        manager = new_manager(plugin.role)
        manager.register(instance)
    except PouchError as error:
        handler.reject(PluginState.BROKEN, str(error))
    except BaseException as error:  # whatever its constructor raises, the daemon lives
        handler.reject(PluginState.BROKEN, f"making it raised {type(error).__name__}: {error}")
    else:
        handler.participant = Participant(plugin.role, name, manager, config.deadline_factor)
    return handler


def missing_driver(role: str, name: str, config: HandlerConfig, installed: list[str]) -> Handler:
    """A configured handler whose driver is not installed."""
    handler = Handler(role, name, config.driver or name, config)
    there = ", ".join(installed) or "none"
    handler.reject(PluginState.BROKEN, f"no {role} driver {handler.driver} is installed; there are: {there}")
    return handler


def _model(plugin: Plugin, name: str, handler: Handler, root: Path, run: Path) -> HandlerModel[BaseModel]:
    assert handler.options is not None
    data_dir, run_dir = root / plugin.role / name, run / plugin.role / name
    for directory in (data_dir, run_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return HandlerModel(name=name, driver=plugin.name, options=handler.options, data_dir=data_dir, run_dir=run_dir)


def build_all(
    plugins: list[Plugin], tables: Mapping[str, Mapping[str, HandlerConfig]], root: Path, run: Path
) -> list[Handler]:
    """Every installed driver has a handler of its own name; the configuration adds others."""
    handlers: list[Handler] = []
    for role, table in tables.items():
        # Of several that claim a name, one that is not blocked counts.
        ours = sorted((p for p in plugins if p.role == role), key=lambda p: p.state is not PluginState.BLOCKED)
        drivers = {plugin.name: plugin for plugin in ours}
        handlers += [
            build(plugin, name, HandlerConfig(), root, run) for name, plugin in drivers.items() if name not in table
        ]
        for name, config in table.items():
            plugin_found = drivers.get(config.driver or name)
            handlers.append(
                build(plugin_found, name, config, root, run)
                if plugin_found
                else missing_driver(role, name, config, sorted(drivers))
            )
    return handlers
