"""Handlers: drivers with their configuration, instantiated, checked on this host, ready to be called."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from pouch_engine.config import HandlerConfig
from pouch_hookspecs import Finding, Level
from pouch_hookspecs import Handler as HandlerModel
from pouch_hookspecs.errors import PouchError, Unavailable

from .calls import CALL_THREADS, HookCalls, Participant
from .discovery import Plugin, PluginState
from .loading import new_manager
from .options import configured

HooksT = TypeVar("HooksT")


@dataclass
class Handler:
    """One handler of one role and what became of it.

    `findings` is filled by the check, which runs in the background from the start on; `settled()` waits for it.
    """

    role: str
    name: str
    driver: str
    config: HandlerConfig
    options_model: type[BaseModel] | None = None
    options: BaseModel | None = None
    order: int = 50
    state: PluginState = PluginState.READY
    reason: str = ""
    participant: Participant | None = None
    findings: tuple[Finding, ...] = ()
    _check: Future[None] | None = field(default=None, repr=False)

    def begin_check(self) -> None:
        """Start the plugin's own look at this host; a finding of level error makes the handler skipped."""
        if self.participant is not None:
            self._check = CALL_THREADS.submit(self._run_check, self.participant)

    def _run_check(self, participant: Participant) -> None:
        try:
            self.findings = tuple(participant.call("check") or ())
        except PouchError as error:
            self.state, self.reason = PluginState.BROKEN, f"its check failed: {error}"
            return
        bad = [finding for finding in self.findings if finding.level is Level.ERROR]
        if bad:
            self.state = PluginState.SKIPPED
            self.reason = "; ".join(f"{f.what}: {f.why}" + (f" ({f.remedy})" if f.remedy else "") for f in bad)
        elif self.state is PluginState.SKIPPED:
            self.state, self.reason = PluginState.READY, ""

    def settled(self) -> PluginState:
        """The state, once the check has come to its end."""
        if self._check is not None:
            with contextlib.suppress(PouchError):
                self._check.result()
        return self.state

    def hooks(self, role: type[HooksT]) -> HooksT:
        """The handler's hooks, typed as their specification.

        Raises:
            Unavailable: the handler is not ready, with the reason.
        """
        if self.settled() is not PluginState.READY or self.participant is None:
            raise Unavailable(f"{self.role} {self.name} is {self.state}: {self.reason}")
        return cast(HooksT, HookCalls(self.participant))


def build(plugin: Plugin, name: str, config: HandlerConfig, root: Path, run: Path) -> Handler:
    """Configure and instantiate one handler; a failure is recorded in it, never raised."""
    handler = Handler(plugin.role, name, plugin.name, config, state=plugin.state, reason=plugin.reason)
    if plugin.cls is None:
        return handler
    cls: Any = plugin.cls
    handler.options_model = cls.Options
    handler.order = config.order if config.order is not None else getattr(cls, "order", 50)
    try:
        handler.options = configured(cls.Options, config.options, name)
        instance = cls(_model(plugin, name, handler.options, root, run))
        manager = new_manager(plugin.role)
        manager.register(instance)
    except PouchError as error:
        handler.state, handler.reason = PluginState.BROKEN, str(error)
    except BaseException as error:  # whatever its constructor raises, the daemon lives
        handler.state, handler.reason = (
            PluginState.BROKEN,
            f"making it raised {type(error).__name__}: {error}",
        )
    else:
        handler.participant = Participant(plugin.role, name, manager, config.deadline_factor)
    return handler


def missing_driver(role: str, name: str, config: HandlerConfig, installed: list[str]) -> Handler:
    """A configured handler whose driver is not installed."""
    driver = config.driver or name
    reason = f"no {role} driver {driver} is installed; there are: {', '.join(installed) or 'none'}"
    return Handler(role, name, driver, config, state=PluginState.BROKEN, reason=reason)


def _model(plugin: Plugin, name: str, options: BaseModel, root: Path, run: Path) -> HandlerModel[BaseModel]:
    data_dir, run_dir = root / plugin.role / name, run / plugin.role / name
    for directory in (data_dir, run_dir):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return HandlerModel(name=name, driver=plugin.name, options=options, data_dir=data_dir, run_dir=run_dir)


def build_all(
    plugins: list[Plugin], tables: Mapping[str, Mapping[str, HandlerConfig]], root: Path, run: Path
) -> list[Handler]:
    """Every installed driver has a handler of its own name; the configuration adds others."""
    handlers: list[Handler] = []
    for role, table in tables.items():
        drivers = {plugin.name: plugin for plugin in plugins if plugin.role == role}
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
