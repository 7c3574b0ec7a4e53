"""Where containers' cgroups are: below a path (the driver `cgroupfs`), or scopes that systemd makes in a slice."""

from __future__ import annotations

import os

from pouch_engine.config import Config
from pouch_hookspecs import RuntimeFeatures
from pouch_hookspecs.errors import InvalidArgument, Unsupported
from pouch_linux.cgroups import Mode, detect_layout, is_slice, systemd_form

SCOPE_PREFIX = "pouch"
_DEFAULT_PARENTS = {"cgroupfs": "/pouch", "systemd": "pouch.slice"}


def driver_in_force(config: Config) -> str:
    """`cgroupfs` or `systemd`.

    `auto` is that of the configured parent's form, else systemd where it runs the host and owns the one tree of version
    2; on version 1 its scopes have no advantage.
    """
    if config.cgroup_driver != "auto":
        return config.cgroup_driver
    if config.cgroup_parent:
        return "cgroupfs" if config.cgroup_parent.startswith("/") else "systemd"
    booted = os.path.isdir("/run/systemd/system")  # sd_booted(3)
    return "systemd" if booted and detect_layout().mode is Mode.V2 else "cgroupfs"


def checked_parent(asked: str, config: Config, runtime: str, features: RuntimeFeatures) -> str:
    """The parent of a new container's cgroup, in the form of the driver in force.

    Args:
        asked: `--cgroup-parent`; empty: the configuration's.
        config: of the daemon.
        runtime: its name.
        features: what it can do; one that can't have systemd make cgroups gets paths, unless systemd is configured.

    Raises:
        InvalidArgument: it is not of this form.
        Unsupported: the runtime can't use the configured driver.
    """
    driver = driver_in_force(config)
    if driver not in features.cgroup_drivers:
        if config.cgroup_driver == "systemd":
            raise Unsupported(
                f"runtime {runtime} can't have systemd make its cgroups",
                hint="set cgroup-driver in pouchd.toml to auto or cgroupfs, or take another runtime",
            )
        driver = "cgroupfs"
    configured = config.cgroup_parent if config.cgroup_parent.startswith("/") == (driver == "cgroupfs") else ""
    parent = asked or configured or _DEFAULT_PARENTS[driver]
    if driver == "systemd" and not is_slice(parent):
        raise InvalidArgument(f"cgroup-parent {parent!r} is not a slice such as batch.slice: systemd makes the cgroups")
    if driver == "cgroupfs" and not is_path(parent):
        raise InvalidArgument(f"cgroup-parent {parent!r} is not an absolute path such as /batch, without '..'")
    return parent


def is_path(parent: str) -> bool:
    """Whether it is a path below the hierarchies' mount points."""
    parts = parent.split("/")
    return parent.startswith("/") and ".." not in parts and bool(parent.strip("/")) and "\0" not in parent


def cgroups_path(parent: str, container_id: str) -> str:
    """`linux.cgroupsPath` of a container."""
    if parent.startswith("/"):
        return f"{parent.rstrip('/')}/{container_id}"
    return systemd_form(parent, SCOPE_PREFIX, container_id)
