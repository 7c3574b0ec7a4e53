"""`pouchd.toml` → models. A wrong key or value is refused with its place in the file.

default-runtime = "runc"
[runtimes.crun]            # a handler: any name, a driver, the driver's own options
driver = "runc"
command = "/usr/bin/crun"
[isolation.lxcfs]
default = true
[storage.overlay]
[plugins]
allow = ["pouch-*"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from pouch_hookspecs import ByteSize
from pouch_hookspecs.errors import InvalidArgument, NotFound
from pouch_linux.cgroups import is_slice

DEFAULT_ROOT = Path("/var/lib/pouch")
DEFAULT_RUN = Path("/run/pouch")
DEFAULT_CONFIG = Path("/etc/pouch/pouchd.toml")

HANDLER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}", re.ASCII)
"""A handler's or driver's name: it becomes a directory, a flag's value and a part of annotations."""


def _handler_name(name: str) -> str:
    if not HANDLER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no handler name: letters, digits, '_', '.', '-', at most 63 of them")
    return name


def _cgroup_parent(parent: str) -> str:
    if parent and not parent.startswith("/") and not is_slice(parent):
        raise ValueError(f"{parent!r} is neither a path such as /pouch nor a slice such as pouch.slice")
    return parent


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class Section(BaseModel):
    """A table of the file: kebab-case keys, unknown ones refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=_kebab, populate_by_name=True)


class HandlerConfig(Section):
    """A handler: a driver under a name, with options of the driver.

    Attributes:
        driver: the entry point's name; the handler's own name if empty.
        required: a default enhancement that is absent stops a container from starting (isolation only).
        order: place among the enhancements; the plugin's own if None.
        deadline_factor: multiplies every hook's deadline (a slow machine, a virtual machine).
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)

    driver: str = ""
    required: bool = True
    order: int | None = None
    deadline_factor: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @property
    def options(self) -> Mapping[str, JsonValue]:
        """The driver's own options: every other key of the table, as it is written there."""
        return self.__pydantic_extra__


Handlers = Mapping[Annotated[str, AfterValidator(_handler_name)], HandlerConfig]


class PluginsConfig(Section):
    """Which plugins may be loaded.

    Attributes:
        allow: patterns of distribution names (`pouch-*`); empty allows all that are installed.
        disable: names of plugins that stay off.
        required: names of handlers without which the daemon does not start.
    """

    allow: tuple[str, ...] = ()
    disable: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


class LogsConfig(Section):
    """Rotation of container logs, where a container does not say otherwise."""

    max_size: ByteSize = Field(default=100 * 2**20, ge=1)
    max_file: int = Field(default=3, ge=1)


class UsernsConfig(Section):
    """User namespaces.

    Attributes:
        remap: containers have one of these sub-ids: `default` (those of `pouch`), `USER` or `USER:GROUP`, see
            subuid(5); empty: they have none, unless they ask for it (`--userns private`).
    """

    remap: str = ""


class Config(Section):
    """The whole file.

    Attributes:
        default_runtime: the handler of containers that name none.
        default_storage: the storage handler; empty takes the first of overlay and copy that works here.
        cgroup_driver: who makes containers' cgroups: `cgroupfs` (the runtime), `systemd`, or `auto`: systemd where it
            runs the host and cgroups are of version 2.
        cgroup_parent: where containers' cgroups are made: a path, with the driver systemd a slice; empty: `/pouch` or
            `pouch.slice`.
        stop_timeout_seconds: between the stop signal and SIGKILL.
        runtimes: handlers of kind runtime.
        storage: handlers of kind storage.
        networks: handlers of kind network.
        volumes: handlers of kind volume.
        isolation: handlers of kind isolation.
        services: handlers of kind service.
        plugins: see `PluginsConfig`.
        logs: see `LogsConfig`.
        userns: see `UsernsConfig`.
    """

    default_runtime: str = "runc"
    default_storage: str = ""
    cgroup_driver: Literal["auto", "cgroupfs", "systemd"] = "auto"
    cgroup_parent: Annotated[str, AfterValidator(_cgroup_parent)] = ""
    stop_timeout_seconds: int = Field(default=10, ge=0)
    runtimes: Handlers = Field(default_factory=dict)
    storage: Handlers = Field(default_factory=dict)
    networks: Handlers = Field(default_factory=dict)
    volumes: Handlers = Field(default_factory=dict)
    isolation: Handlers = Field(default_factory=dict)
    services: Handlers = Field(default_factory=dict)
    plugins: PluginsConfig = PluginsConfig()
    logs: LogsConfig = LogsConfig()
    userns: UsernsConfig = UsernsConfig()

    @model_validator(mode="after")
    def _parent_fits_driver(self) -> Self:
        wanted = {"cgroupfs": "a path such as /pouch", "systemd": "a slice such as pouch.slice"}
        form = "cgroupfs" if self.cgroup_parent.startswith("/") else "systemd"
        if self.cgroup_parent and self.cgroup_driver not in ("auto", form):
            raise ValueError(
                f"cgroup-parent {self.cgroup_parent!r}: with cgroup-driver {self.cgroup_driver} it is "
                f"{wanted[self.cgroup_driver]}"
            )
        return self

    def handlers(self, role: str) -> Mapping[str, HandlerConfig]:
        """The handlers of one role, by name."""
        sections: dict[str, Mapping[str, HandlerConfig]] = {
            "runtime": self.runtimes,
            "storage": self.storage,
            "network": self.networks,
            "volume": self.volumes,
            "isolation": self.isolation,
            "service": self.services,
        }
        return sections[role]


def load_config(path: Path | None) -> Config:
    """Read the configuration; None, or the default path where no file is, gives the defaults.

    Raises:
        NotFound: a file that was named does not exist.
        InvalidArgument: the file is not TOML, or a key or value is wrong.
    """
    if path is None or (path == DEFAULT_CONFIG and not path.exists()):
        return Config()
    try:
        return parse_config(path.read_text(), str(path))
    except FileNotFoundError as error:
        raise NotFound(f"configuration file {path} does not exist") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"configuration file {path} can not be read: {error}") from error


def parse_config(text: str, origin: str) -> Config:
    """Read configuration text; `origin` names it in errors.

    Raises:
        InvalidArgument: see `load_config`.
    """
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidArgument(f"configuration {origin} is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(_said(problem["loc"], problem["type"], problem["msg"]) for problem in error.errors())
        raise InvalidArgument(f"configuration {origin}: {problems}") from error


def _said(place: tuple[int | str, ...], kind: str, message: str) -> str:
    where = ".".join(str(part) for part in place if part != "[key]")
    if kind == "extra_forbidden":
        sections: dict[int | str, type[Section]] = {
            "plugins": PluginsConfig,
            "logs": LogsConfig,
            "userns": UsernsConfig,
        }
        section = sections[place[0]] if len(place) > 1 else Config
        return f"{where}: unknown key; there are: {', '.join(map(_kebab, section.model_fields))}"
    return f"{where}: {message.removeprefix('Value error, ')}"
