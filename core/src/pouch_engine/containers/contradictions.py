"""Requests that contradict themselves: each alone would do, together they can't be what anybody means."""

from __future__ import annotations

from collections.abc import Iterator

from pouch_hookspecs import ContainerConfig
from pouch_hookspecs.errors import InvalidArgument

_OWN = ("", "private")
_OWN_IPC = ("", "private", "shareable")


def refuse_contradictions(config: ContainerConfig) -> None:
    """Judge the request as it came, before names are settled.

    Raises:
        InvalidArgument: naming both sides.
    """
    for problem in (*_of_namespaces(config), *_of_files(config), *_of_sysctls(config)):
        raise InvalidArgument(f"conflicting options: {problem}")


def _of_namespaces(config: ContainerConfig) -> Iterator[str]:
    if config.init and config.pid_mode not in _OWN:
        yield f"--init and --pid {config.pid_mode}: an init is process 1 of a PID namespace of its own"
    if config.shm_size_bytes and config.ipc_mode not in _OWN_IPC:
        yield f"--shm-size and --ipc {config.ipc_mode}: /dev/shm is not the container's own"
    if config.auto_remove and config.restart_policy.name != "no":
        yield "--rm and --restart: a container can't be both removed and restarted at its end"
    if config.userns_mode == "private":
        yield from (f"--userns private and {what}" for what in shared_with_host(config))


def shared_with_host(config: ContainerConfig) -> Iterator[str]:
    """What a container with a user namespace of its own can't have."""
    if config.privileged:
        yield "--privileged"
    for flag in ("pid", "ipc", "network"):
        if getattr(config, f"{flag}_mode") == "host":
            yield f"--{flag} host"


def _of_files(config: ContainerConfig) -> Iterator[str]:
    for flag, value in (("hostname", config.hostname), ("domainname", config.domainname)):
        if value and config.uts_mode not in _OWN:
            yield f"--{flag} and --uts {config.uts_mode}: the name is not the container's own"
    if config.network_mode.startswith("container:"):
        given = {
            "hostname": config.hostname,
            "dns": config.dns,
            "dns-search": config.dns_search,
            "dns-option": config.dns_options,
            "add-host": config.extra_hosts,
            "publish": config.ports,
        }
        for flag, present in given.items():
            if present:
                yield f"--{flag} and --network {config.network_mode}: these are the other container's"


def _of_sysctls(config: ContainerConfig) -> Iterator[str]:
    for name in config.sysctls:
        if name.startswith("net."):
            if config.network_mode == "host" or config.network_mode.startswith("container:"):
                yield f"--sysctl {name} and --network {config.network_mode}: it would change what others use"
        elif config.ipc_mode not in _OWN_IPC:
            yield f"--sysctl {name} and --ipc {config.ipc_mode}: it would change what others use"
