"""An image's configuration: what it brings for its containers (OCI image spec, config; docker's superset).

All of it is data of a stranger. Labels and annotations never mean anything to the engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from pouch_hookspecs.errors import DataDamaged

from . import digests

CONFIG_LIMIT = 8 << 20
LAYERS_LIMIT = 127
"""What docker allows, and what overlayfs can stack with one page of mount options."""


class Document(BaseModel):
    """A JSON object made by others: frozen, unknown fields kept, `null` the same as absent."""

    model_config = ConfigDict(frozen=True, extra="allow", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


D = TypeVar("D", bound=Document)


def _words(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _keys(value: Any) -> Any:
    return tuple(value) if isinstance(value, dict) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
"""Docker's strslice: one string is a list of one."""
Keys = Annotated[tuple[str, ...], BeforeValidator(_keys)]
"""Go's set: an object of which only the keys mean something."""


class Healthcheck(Document):
    """How to tell that a container is well. Times in nanoseconds, 0: the engine's default."""

    test: tuple[str, ...] = Field(default=(), alias="Test")
    interval_ns: int = Field(default=0, alias="Interval")
    timeout_ns: int = Field(default=0, alias="Timeout")
    start_period_ns: int = Field(default=0, alias="StartPeriod")
    start_interval_ns: int = Field(default=0, alias="StartInterval")
    retries: int = Field(default=0, alias="Retries")


class Defaults(Document):
    """What a container gets where it does not say otherwise."""

    user: str = Field(default="", alias="User")
    exposed_ports: Keys = Field(default=(), alias="ExposedPorts")
    env: tuple[str, ...] = Field(default=(), alias="Env")
    entrypoint: Words = Field(default=(), alias="Entrypoint")
    cmd: Words = Field(default=(), alias="Cmd")
    volumes: Keys = Field(default=(), alias="Volumes")
    working_dir: str = Field(default="", alias="WorkingDir")
    labels: Mapping[str, str] = Field(default_factory=dict, alias="Labels")
    stop_signal: str = Field(default="", alias="StopSignal")
    stop_timeout_seconds: int | None = Field(default=None, alias="StopTimeout")
    healthcheck: Healthcheck | None = Field(default=None, alias="Healthcheck")
    shell: Words = Field(default=(), alias="Shell")
    on_build: tuple[str, ...] = Field(default=(), alias="OnBuild")


class RootFs(Document):
    """The layers, bottom first, by the digests of their plain tar streams."""

    type: str
    diff_ids: tuple[str, ...] = ()


class History(Document):
    """How a layer came to be."""

    created: datetime | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(Document):
    """The configuration. Its digest is the image's id."""

    created: datetime | None = None
    author: str = ""
    architecture: str = ""
    variant: str = ""
    os: str = ""
    os_version: str = Field(default="", alias="os.version")
    docker_version: str = ""
    comment: str = ""
    config: Defaults = Field(default_factory=Defaults)
    rootfs: RootFs
    history: tuple[History, ...] = ()

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """Of the layers, bottom first."""
        return self.rootfs.diff_ids


def parse_config(data: bytes) -> ImageConfig:
    """Read a configuration.

    Raises:
        DataDamaged: it is none; the field at fault is named.
    """
    config = fit(ImageConfig, parse_json(data, "image configuration", CONFIG_LIMIT), "image configuration")
    if config.rootfs.type != "layers":
        raise DataDamaged(f"image configuration: rootfs.type is {config.rootfs.type!r}, expected 'layers'")
    if len(config.diff_ids) > LAYERS_LIMIT:
        raise DataDamaged(
            f"image configuration: {len(config.diff_ids)} layers are more than the limit of {LAYERS_LIMIT}"
        )
    for diff_id in config.diff_ids:
        digests.hex_of(diff_id)
    return config


def parse_json(data: bytes, what: str, limit: int) -> Any:
    """Read JSON of at most `limit` bytes; nesting is limited by the parser.

    Raises:
        DataDamaged: it is longer, or no JSON.
    """
    if len(data) > limit:
        raise DataDamaged(f"{what} has more than the limit of {limit} bytes")
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise DataDamaged(f"{what} is not JSON: {error}") from error


def fit(model: type[D], value: Any, what: str) -> D:
    """Put parsed JSON into a model.

    Raises:
        DataDamaged: it does not fit; the first field at fault is named.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise DataDamaged(f"{what}: {where[:200]}: {first['msg']}") from error
