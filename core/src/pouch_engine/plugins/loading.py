"""Loading: import, compatible version, valid hooks. What fails is kept with its reason and harms nobody."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pluggy
from pydantic import BaseModel
from stevedore.extension import ExtensionManager

from pouch_hookspecs import API as ENGINE_API
from pouch_hookspecs import PROJECT, ROLES, CommonHooks, is_compatible
from pouch_hookspecs.errors import DeadlineExceeded

from .calls import within
from .discovery import Plugin, PluginState

IMPORT_SECONDS = 30.0
"""A module that takes longer to import is given up."""


class _Chosen(ExtensionManager[Any]):
    """stevedore's loader over an entry point that is ours, not its cache's."""

    def __init__(self, namespace: str, chosen: EntryPoint) -> None:
        self._chosen = chosen
        self.failures: list[BaseException] = []
        super().__init__(
            namespace=namespace,
            on_load_failure_callback=lambda _manager, _entry, error: self.failures.append(error),
        )

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._chosen]


def load(plugins: Sequence[Plugin], *, import_seconds: float = IMPORT_SECONDS) -> None:
    """Import every plugin that is still in, and check what it is; sets `cls` and `api`, or rejects it."""
    for plugin in plugins:
        if plugin.state is PluginState.READY:
            try:
                cls = _import(plugin, import_seconds)
                plugin.api = _declared_api(cls)
                _compatible(cls, plugin.api)
                _validate(plugin.role, cls)
            except _RejectedError as error:
                plugin.reject(PluginState.BROKEN, str(error))
            except Exception as error:  # a class can fail at a mere look
                plugin.reject(PluginState.BROKEN, f"looking at it raised {_named(error)}")
            else:
                plugin.cls = cls


class _RejectedError(Exception):
    """Why a plugin is broken."""


def _import(plugin: Plugin, seconds: float) -> type:
    value = plugin.entry_point.value
    try:
        manager = within(seconds, _Chosen, f"{PROJECT}.{plugin.role}", plugin.entry_point)
    except DeadlineExceeded as error:
        raise _RejectedError(f"importing {value}: {error}") from error
    except BaseException as error:  # a module may call sys.exit(); the daemon must live
        raise _RejectedError(f"importing {value} raised {_named(error)}") from error
    if manager.failures:
        raise _RejectedError(f"importing {value} raised {_named(manager.failures[0])}")
    loaded = manager.extensions[0].plugin
    if not inspect.isclass(loaded):
        raise _RejectedError(f"entry point {value} is {loaded!r}, not a class")
    return loaded


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _declared_api(cls: type) -> str:
    declared = getattr(cls, "api", None)
    if not isinstance(declared, str):
        raise _RejectedError(f'class {cls.__name__} does not declare the contract\'s version: api = "{ENGINE_API}"')
    return declared


def _compatible(cls: type, declared: str) -> None:
    try:
        fits = is_compatible(declared)
    except ValueError as error:
        raise _RejectedError(str(error)) from error
    if not fits:
        raise _RejectedError(f"written for version {declared} of the contract; this engine offers {ENGINE_API}")
    options = getattr(cls, "Options", None)
    if not (inspect.isclass(options) and issubclass(options, BaseModel)):
        raise _RejectedError(f"class {cls.__name__} has no Options (a pydantic model)")
    if not isinstance(getattr(cls, "order", 0), int):
        raise _RejectedError(f"class {cls.__name__} has an order that is not a whole number")


def new_manager(role: str) -> pluggy.PluginManager:
    """A plugin manager that knows the hooks of a role."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(CommonHooks)
    manager.add_hookspecs(ROLES[role])
    return manager


def _validate(role: str, cls: type) -> None:
    """Register the class itself: pluggy checks names and arguments as for an instance."""
    manager = new_manager(role)
    try:
        manager.register(cls)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _RejectedError(_explained(role, cls, error)) from error
    specifications = {**vars(CommonHooks), **vars(ROLES[role])}
    for name, specification in specifications.items():
        if not hasattr(specification, "deadline_seconds"):
            continue
        implementations = getattr(manager.hook, name).get_hookimpls()
        if specification.required and not implementations:
            raise _RejectedError(f"class {cls.__name__} lacks the hook {name}")
        for implementation in implementations:
            _refuse_defaults(name, specification, implementation.function)


def _refuse_defaults(name: str, specification: Any, function: Any) -> None:
    offered = set(inspect.signature(specification).parameters) - {"self"}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in offered and parameter.default is not inspect.Parameter.empty:
            raise _RejectedError(f"hook {name}: argument {parameter.name} has a default, so it would never be passed")


def _explained(role: str, cls: type, error: pluggy.PluginValidationError) -> str:
    known = [*vars(ROLES[role]), *vars(CommonHooks)]
    for name, member in inspect.getmembers(cls, inspect.isfunction):
        if hasattr(member, f"{PROJECT}_impl") and name not in known:
            guess = difflib.get_close_matches(name, known, n=1)
            return f"unknown hook {name}" + (f": did you mean {guess[0]}?" if guess else "")
    return " ".join(str(error).split())
