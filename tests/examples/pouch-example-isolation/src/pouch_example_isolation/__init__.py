"""An enhancement with two options: environment variables, and a host directory seen read-only at /example."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pouch_hookspecs import Adjustment, ContainerView, Handler, Mount, hookimpl, option
from pouch_hookspecs.errors import InvalidArgument

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class ExampleOptions(BaseModel):
    """Each field is a flag, a field of the API, an annotation of a pod, and a default in pouchd.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    env: dict[str, str] = option({}, flag="--example-env", help="set an environment variable, NAME=VALUE")
    directory: str = option("", flag="--example-directory", help="show a host directory read-only at /example")


class ExampleIsolation:
    """Found through the entry point `example` of the group `pouch.isolation`."""

    api = "0.1"
    Options = ExampleOptions

    def __init__(self, handler: Handler[ExampleOptions]) -> None:
        self.handler = handler

    @hookimpl
    def isolation_validate(self, container: ContainerView, options: ExampleOptions) -> None:
        """Refuse what can't work, before anything is made."""
        for name in options.env:
            if not _NAME.fullmatch(name):
                raise InvalidArgument(f"--example-env: {name!r} is not a name; expected letters, digits and _")
        if options.directory and not Path(options.directory).is_absolute():
            raise InvalidArgument(f"--example-directory: {options.directory!r} is not an absolute path")
        if options.directory and not Path(options.directory).is_dir():
            raise InvalidArgument(f"--example-directory: there is no directory {options.directory}")

    @hookimpl
    def isolation_adjust(self, container: ContainerView, options: ExampleOptions) -> Adjustment:
        """Ask for the variables and the mount."""
        mounts = [Mount(target="/example", source=options.directory, options=("rbind", "ro"))]
        return Adjustment(env=options.env, mounts=tuple(mounts) if options.directory else ())
