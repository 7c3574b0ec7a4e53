"""Handlers and findings: what every kind of plugin has.

A plugin is a class behind an entry point. It declares `api` (the version of this contract that it was
written for) and `Options` (a pydantic model), and is instantiated once for each handler, with the
handler as its only argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel

from .model import Model

OptionsT = TypeVar("OptionsT", bound=BaseModel)


@dataclass(frozen=True)
class Handler(Generic[OptionsT]):
    """A driver with its configuration, under a name of its own in `pouchd.toml`.

    Attributes:
        name: the handler's name: what `--runtime`, a RuntimeClass or `driver=` mean.
        driver: the name of the entry point.
        options: the driver's `Options`, validated.
        data_dir: a directory of this handler that survives a reboot; exists, mode 0700.
        run_dir: a directory of this handler on a tmpfs, gone after a reboot; exists, mode 0700.
    """

    name: str
    driver: str
    options: OptionsT
    data_dir: Path
    run_dir: Path


class PluginClass(Protocol):
    """The shape of the object behind an entry point."""

    api: ClassVar[str]
    Options: ClassVar[type[BaseModel]]

    def __init__(self, handler: Handler[BaseModel]) -> None:
        """Make the instance of one handler. Cheap: no processes, no network, no blocking."""


class Level(StrEnum):
    """How much a finding matters: `error` means that the handler can not be used on this host."""

    OK = "ok"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Finding(Model):
    """One line of `pouch doctor`.

    Attributes:
        level: `error` makes the plugin's state `skipped`, with `why` as its reason.
        what: what was looked at: "runc", "overlayfs on /var/lib/pouch".
        why: what was found, with the version, path or errno.
        remedy: the command or the setting that mends it; empty if nothing is wrong.
    """

    level: Level
    what: str
    why: str
    remedy: str = ""
