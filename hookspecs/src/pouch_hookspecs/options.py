"""How a plugin declares an option once.

A plugin's `Options` is a pydantic model. A plain field is configuration of the handler, set in
`pouchd.toml`. A field made with `option()` can also be set for each container: it is at once a flag
of `pouch run`, `create` and `update`, the JSON field `HostConfig.Isolation.<plugin>.<field>`, the
annotation `pouch.io/<plugin>.<field>` of a Kubernetes pod, a default in the configuration file, a line
in `--help` and a row in the documentation.

An isolation enhancement takes part in a container when one of its container options differs from
the default that its model declares: the declared default always means "off".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo

_KEY = "pouch"


def option(
    default: Any,
    *,
    flag: str,
    help: str,
    aliases: Sequence[str] = (),
    annotations: Sequence[str] = (),
    config: str = "",
    commands: Sequence[str] = ("run", "create", "update"),
) -> Any:
    """Declare an option that can be set for each container; use it as a field's default value.

    Args:
        default: what it is when nobody says anything: the value that means "off".
        flag: the flag's name with its dashes, `--disk-quota`.
        help: one line for `--help` and the documentation.
        aliases: further names of the flag that are accepted and not shown (`--enableLxcfs`).
        annotations: further annotation keys of a pod that set it (`io.kubernetes.lxcfs.enabled`).
        config: its key in `pouchd.toml`; the field's own name if empty.
        commands: the commands that offer the flag.
    """
    declared = {
        "flag": flag,
        "aliases": list(aliases),
        "annotations": list(annotations),
        "config": config,
        "commands": list(commands),
    }
    return Field(default, description=help, json_schema_extra={_KEY: declared})  # type: ignore[dict-item]


def declaration(field: FieldInfo) -> dict[str, Any] | None:
    """What `option()` recorded on a model's field; None for a plain field of configuration."""
    extra = field.json_schema_extra
    declared = extra.get(_KEY) if isinstance(extra, dict) else None
    return declared if isinstance(declared, dict) else None
