"""`--volume`, `--mount` and `--tmpfs`: docker's syntax for mounts, and the API's form of it."""

from __future__ import annotations

import os

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.sizes import parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_TYPES = ("bind", "volume", "tmpfs")
_KEYS_OF = {
    "bind-propagation": "bind",
    "bind-nonrecursive": "bind",
    "bind-create-src": "bind",
    "bind-recursive": "bind",
    "volume-driver": "volume",
    "volume-label": "volume",
    "volume-nocopy": "volume",
    "volume-opt": "volume",
    "volume-subpath": "volume",
    "tmpfs-mode": "tmpfs",
    "tmpfs-size": "tmpfs",
}


def volumes(given: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Split `-v` flags into binds (`SOURCE:PATH[:OPTIONS]`) and the paths of anonymous volumes.

    A source that begins with a dot is a directory relative to ours. Raises CommandError.
    """
    binds: list[str] = []
    anonymous: dict[str, dict[str, str]] = {}
    for text in given:
        parts = text.split(":")
        if len(parts) > 3 or not all(parts):
            raise CommandError(f"invalid volume {text!r}: expected [SOURCE:]PATH[:OPTIONS]", 125)
        target = parts[1] if len(parts) > 1 else parts[0]
        if not target.startswith("/"):
            raise CommandError(f"invalid volume {text!r}: the path in the container, {target!r}, is not absolute", 125)
        if len(parts) == 1:
            anonymous[target] = {}
        else:
            if parts[0].startswith("."):
                parts[0] = os.path.abspath(parts[0])
            binds.append(":".join(parts))
    return binds, anonymous


def tmpfs(given: Sequence[str]) -> dict[str, str]:
    """Return `--tmpfs PATH[:OPTIONS]` flags as the API's mapping. Raises CommandError."""
    result = {}
    for text in given:
        path, _, options = text.partition(":")
        if not path.startswith("/"):
            raise CommandError(f"invalid tmpfs {text!r}: the path {path!r} is not absolute", 125)
        result[path] = options
    return result


def parse_mount(text: str) -> dict[str, Any]:
    """Return one `--mount` flag in the API's form. Raises CommandError.

    The text is one line of CSV: `type=volume,source=data,target=/data,readonly,volume-opt=o=size`.
    """
    mount: dict[str, Any] = {"Type": "volume"}
    special: list[tuple[str, str]] = []
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if key in ("readonly", "ro"):
            mount["ReadOnly"] = _switch(text, key, value) if equals else True
        elif key in ("volume-nocopy", "bind-nonrecursive", "bind-create-src") and not equals:
            special.append((key, "true"))
        elif not equals:
            raise _invalid(text, f"{field!r} is not of the form KEY=VALUE")
        elif key == "type":
            mount["Type"] = value.lower()
        elif key in ("source", "src"):
            mount["Source"] = value
        elif key in ("target", "dst", "destination"):
            mount["Target"] = value
        elif key in _KEYS_OF:
            special.append((key, value))
        elif key != "consistency":  # docker for other systems; without meaning on Linux
            raise _invalid(text, f"unknown key {key!r}")
    _check(text, mount)
    for key, value in special:
        if _KEYS_OF[key] != mount["Type"]:
            raise _invalid(text, f"{key!r} is for type={_KEYS_OF[key]}, not for type={mount['Type']}")
        _set_special(text, mount, key, value)
    return mount


def _check(text: str, mount: dict[str, Any]) -> None:
    if mount["Type"] not in _TYPES:
        raise _invalid(text, f"unknown type {mount['Type']!r}: expected one of {', '.join(_TYPES)}")
    if not mount.get("Target"):
        raise _invalid(text, "target is required")
    if mount["Type"] == "bind":
        if not mount.get("Source"):
            raise _invalid(text, "source is required for type=bind")
        if mount["Source"].startswith("."):
            mount["Source"] = os.path.abspath(mount["Source"])
    if mount["Type"] == "tmpfs" and mount.get("Source"):
        raise _invalid(text, "a tmpfs has no source")


def _set_special(text: str, mount: dict[str, Any], key: str, value: str) -> None:
    """Put a key that only one type of mount has into its place."""
    bind = mount.setdefault("BindOptions", {}) if mount["Type"] == "bind" else {}
    volume = mount.setdefault("VolumeOptions", {}) if mount["Type"] == "volume" else {}
    temporary = mount.setdefault("TmpfsOptions", {}) if mount["Type"] == "tmpfs" else {}
    if key == "bind-propagation":
        bind["Propagation"] = value.lower()
    elif key == "bind-nonrecursive":
        bind["NonRecursive"] = _switch(text, key, value)
    elif key == "bind-create-src":
        bind["CreateMountpoint"] = _switch(text, key, value)
    elif key == "bind-recursive":
        if value not in ("enabled", "disabled", "writable", "readonly"):
            raise _invalid(text, f"bind-recursive is {value!r}: expected enabled, disabled, writable or readonly")
        bind["NonRecursive"] = value == "disabled"
        bind["ReadOnlyNonRecursive"] = value == "writable"
        bind["ReadOnlyForceRecursive"] = value == "readonly"
    elif key == "volume-nocopy":
        volume["NoCopy"] = _switch(text, key, value)
    elif key == "volume-subpath":
        volume["Subpath"] = value
    elif key == "volume-driver":
        volume.setdefault("DriverConfig", {})["Name"] = value
    elif key in ("volume-label", "volume-opt"):
        name, _, content = value.partition("=")
        place = volume if key == "volume-label" else volume.setdefault("DriverConfig", {})
        place.setdefault("Labels" if key == "volume-label" else "Options", {})[name] = content
    elif key == "tmpfs-size":
        try:
            temporary["SizeBytes"] = parse_size(value)
        except ValueError as error:
            raise _invalid(text, f"tmpfs-size is {value!r}: {error}") from None
    elif key == "tmpfs-mode":
        if not value or value.strip("01234567"):
            raise _invalid(text, f"tmpfs-mode is {value!r}: expected an octal number such as 1777")
        temporary["Mode"] = int(value, 8)


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text]), [])


def _switch(text: str, key: str, value: str) -> bool:
    if value.lower() in ("1", "t", "true"):
        return True
    if value.lower() in ("0", "f", "false"):
        return False
    raise _invalid(text, f"{key} is {value!r}: expected true or false")


def _invalid(text: str, reason: str) -> CommandError:
    return CommandError(f"invalid mount {text!r}: {reason}", 125)
