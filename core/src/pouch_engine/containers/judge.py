"""The door: what a request for a container may say, before anything is made."""

from __future__ import annotations

from collections.abc import Sequence

from pouch_engine.spec.granted import this_host
from pouch_engine.spec.limits import validate_resources
from pouch_hookspecs import ContainerConfig, RuntimeFeatures
from pouch_hookspecs.errors import InvalidArgument, Unsupported

from .files import validate_names
from .log_options import validate_log_options
from .sharing import PREFIX
from .signals import signal_number

_RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_LOG_DRIVERS = ("json-file", "local", "none")
_SYSCTLS = (
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
)
"""Those of the IPC namespace; and all below `net.` and `fs.mqueue.`."""


def judge(config: ContainerConfig, features: RuntimeFeatures) -> None:
    """Refuse what can not be, whatever else there is.

    Raises:
        InvalidArgument: naming flag, value and what is allowed.
        Unsupported: it could be, but not here.
    """
    validate_resources(config.resources, this_host())
    validate_names(config)
    _judge_network(config, features)
    _judge_modes(config)
    if config.restart_policy.name not in _RESTART_POLICIES:
        raise InvalidArgument(
            f"restart policy {config.restart_policy.name!r} is not one of {', '.join(_RESTART_POLICIES)}"
        )
    validate_log_options(config.log_options)
    if config.log_driver not in _LOG_DRIVERS:
        raise InvalidArgument(f"log driver {config.log_driver!r} is not one of {', '.join(_LOG_DRIVERS)}")
    if config.stop_signal:
        signal_number(config.stop_signal)
    if config.stop_timeout_seconds is not None and config.stop_timeout_seconds < -1:
        raise InvalidArgument(f"stop timeout {config.stop_timeout_seconds} is not -1 (without end) or more")
    _judge_texts(config)
    _judge_paths("masked path", config.masked_paths or ())
    _judge_paths("read-only path", config.readonly_paths or ())
    _judge_sysctls(config)


def _judge_network(config: ContainerConfig, features: RuntimeFeatures) -> None:
    if config.ports:
        raise Unsupported("published ports need a network driver, and none is installed", hint="use --network host")
    if config.network_mode not in ("none", "host") and not config.network_mode.startswith(PREFIX):
        raise InvalidArgument(
            f"network {config.network_mode!r} is not there", hint="there are: none, host, container:NAME"
        )
    if config.network_mode == "host" and not features.host_network:
        raise Unsupported(f"runtime {config.runtime} can not use the host's network")


def _judge_modes(config: ContainerConfig) -> None:
    for flag, mode, allowed, joins in (
        ("pid", config.pid_mode, ("", "private", "host"), True),
        ("ipc", config.ipc_mode, ("", "private", "shareable", "host", "none"), True),
        ("uts", config.uts_mode, ("", "private", "host"), True),
        ("cgroupns", config.cgroup_mode, ("", "private", "host"), False),
        ("userns", config.userns_mode, ("", "private", "host"), False),
    ):
        if mode not in allowed and not (joins and mode.startswith(PREFIX)):
            words = [*filter(None, allowed), *([f"{PREFIX}NAME"] if joins else [])]
            raise InvalidArgument(f"{flag} mode {mode!r} is not one of {', '.join(words)}")


def _judge_texts(config: ContainerConfig) -> None:
    texts = (
        *config.env,
        *(config.command or ()),
        *(config.entrypoint or ()),
        *(text for pair in config.labels.items() for text in pair),
        *(text for pair in config.annotations.items() for text in pair),
    )
    for text in texts:
        if "\0" in text:
            raise InvalidArgument(f"{text!r} has a null character")
    for entry in config.env:
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry!r}")
    for what, names in (("label", config.labels), ("annotation", config.annotations)):
        if "" in names:
            raise InvalidArgument(f"invalid {what}: it has no name")


def _judge_paths(what: str, paths: Sequence[str]) -> None:
    for path in paths:
        if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
            raise InvalidArgument(f"{what} {path!r} is not an absolute path without '..'")


def _judge_sysctls(config: ContainerConfig) -> None:
    for name, value in config.sysctls.items():
        if not name.isascii() or any(c.isspace() or c in "=,+\0" for c in name) or any(c in "\n\0+" for c in value):
            raise InvalidArgument(f"sysctl {name}={value} has a character that is not allowed")
        if "/" in name or ".." in name:  # the kernel takes both for separators
            raise InvalidArgument(f"sysctl {name!r} is not of the form net.core.somaxconn")
        if name not in _SYSCTLS and not name.startswith(("net.", "fs.mqueue.")):
            raise InvalidArgument(
                f"sysctl {name!r} is not namespaced: it would change the host",
                hint=f"allowed are net.*, fs.mqueue.*, {', '.join(_SYSCTLS)}",
            )
