"""What tests of an isolation plugin need: its hooks, called as the engine calls them, and a container to show it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pluggy

from pouch_hookspecs import (
    PROJECT,
    ROLES,
    CommonHooks,
    ContainerConfig,
    ContainerView,
    Handler,
    Resources,
    RuntimeFeatures,
    Sandbox,
)

_ID = "0123456789abcdef" * 4


def isolation_hooks(driver: type[Any], directory: Path, options: Mapping[str, Any] | None = None) -> Any:
    """The hooks of a new instance of an isolation plugin.

    Args:
        driver: the plugin's class.
        directory: for the handler's own directories.
        options: the handler's configuration, as in pouchd.toml.

    Raises:
        pydantic.ValidationError: `Options` refuses the configuration.
        pluggy.PluginValidationError: a hook is misspelt or has a wrong signature.
    """
    data_dir, run_dir = directory / "data", directory / "run"
    for each in (data_dir, run_dir):
        each.mkdir(mode=0o700)
    handler = Handler("under-test", "under-test", driver.Options.model_validate(dict(options or {})), data_dir, run_dir)
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(CommonHooks)
    manager.add_hookspecs(ROLES["isolation"])
    manager.register(driver(handler))
    manager.check_pending()
    return manager.hook


def container_view(directory: Path, **changes: Any) -> ContainerView:
    """A container as an enhancement sees it; `changes` are fields of `ContainerView`."""
    view = ContainerView(
        id=_ID,
        name="shown",
        image="busybox",
        image_id=f"sha256:{_ID}",
        config=ContainerConfig(image="busybox"),
        resources=Resources(),
        sandbox=Sandbox(id=_ID),
        runtime="runc",
        runtime_features=RuntimeFeatures(),
        data_dir=str(directory),
        run_dir=str(directory),
    )
    return view.model_copy(update=changes)
