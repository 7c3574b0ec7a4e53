"""A `Process` of the contract as the `process` object of the OCI runtime spec (config.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pouch_hookspecs import Process

_CAPABILITY_SETS = ("bounding", "effective", "permitted")


def process_spec(process: Process, bundle: Path) -> dict[str, Any]:
    """The JSON object for `exec --process`; what `process` leaves open comes from the bundle's config.json.

    Raises:
        OSError, ValueError: the bundle's config.json can't be read.
    """
    container = json.loads((bundle / "config.json").read_bytes())["process"]
    spec: dict[str, Any] = {
        "terminal": process.io.terminal,
        "user": {
            "uid": process.user.uid,
            "gid": process.user.gid,
            "additionalGids": list(process.user.additional_gids),
        },
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd,
        "noNewPrivileges": process.no_new_privileges,
        "rlimits": [each.model_dump() for each in process.rlimits] or container.get("rlimits", []),
    }
    if "umask" in container["user"]:
        spec["user"]["umask"] = container["user"]["umask"]
    if process.capabilities is None:
        spec["capabilities"] = container.get("capabilities", {})
    else:
        # Never inheritable or ambient: CVE-2022-29162.
        spec["capabilities"] = {each: list(process.capabilities) for each in _CAPABILITY_SETS}
    if process.size is not None:
        spec["consoleSize"] = {"height": process.size.height, "width": process.size.width}
    if process.apparmor_profile:
        spec["apparmorProfile"] = process.apparmor_profile
    for name in ("oomScoreAdj", "selinuxLabel"):
        if name in container:
            spec[name] = container[name]
    return spec
