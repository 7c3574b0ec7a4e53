"""Namespaces of another container: `--pid`, `--ipc`, `--uts` and `--network container:NAME`.

At create the other one is named by its id and judged; at each start it has to run. Its namespaces are found by its
first process in /proc, which is looked at again when the runtime has joined them: a number that was given to another
process meanwhile is noticed before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pouch_hookspecs import ContainerConfig, IdMappings, NamespaceKind, RuntimeFeatures
from pouch_hookspecs.errors import Conflict, InvalidArgument, NotFound, Unsupported

from .record import Container, Pid

if TYPE_CHECKING:
    from .context import Context

PREFIX = "container:"
_KINDS = {
    "pid": NamespaceKind.PID,
    "ipc": NamespaceKind.IPC,
    "uts": NamespaceKind.UTS,
    "network": NamespaceKind.NETWORK,
}
_PROC_NAMES = {NamespaceKind.NETWORK: "net"}


@dataclass(frozen=True)
class Joined:
    """What a start found.

    Attributes:
        paths: kind → the namespace's file, good for as long as its owner runs.
        owners: name and first process of the containers that have these namespaces.
    """

    paths: Mapping[NamespaceKind, Path] = field(default_factory=dict)
    owners: tuple[tuple[str, Pid], ...] = ()

    def confirm(self) -> None:
        """Now that the namespaces are joined: they were those of the containers that were meant.

        Raises:
            Conflict: one has ended meanwhile.
        """
        for name, pid in self.owners:
            if not pid.identity().alive():
                raise Conflict(f"container {name}, whose namespaces are to be joined, has ended meanwhile")


def owner_of(mode: str) -> str:
    """The container that a mode names; empty for the other modes."""
    return mode.removeprefix(PREFIX) if mode.startswith(PREFIX) else ""


def settled(context: Context, config: ContainerConfig, features: RuntimeFeatures) -> ContainerConfig:
    """Write ids for names, and take over the host name of the container whose network is joined.

    Raises:
        InvalidArgument: the other container is not there, is this one itself, or does not share what is asked for.
        Unsupported: one of the two has a kernel of its own.
    """
    changes: dict[str, str] = {}
    for flag, name in _asked(config):
        other = _find(context, config, flag, name)
        if features.own_kernel or context.runtime(other).runtime_features().own_kernel:
            raise Unsupported(f"--{flag} {PREFIX}{name}: a container with a kernel of its own shares no namespaces")
        if flag == "ipc" and other.config.ipc_mode != "shareable":
            mode = other.config.ipc_mode or "private"
            raise InvalidArgument(
                f"--ipc {PREFIX}{name}: container {other.name} has IPC mode {mode} and is not shareable",
                hint="run it with --ipc shareable",
            )
        changes[f"{flag}_mode"] = f"{PREFIX}{other.id}"
        if flag in ("network", "uts"):
            changes["hostname"] = other.config.hostname or other.id[:12]
            changes["domainname"] = other.config.domainname
    return config.model_copy(update=changes)


def _asked(config: ContainerConfig) -> Iterator[tuple[str, str]]:
    for flag in _KINDS:
        mode: str = getattr(config, f"{flag}_mode")
        if mode.startswith(PREFIX):
            yield flag, owner_of(mode)


def _find(context: Context, config: ContainerConfig, flag: str, name: str) -> Container:
    if not name:
        raise InvalidArgument(f"--{flag} {PREFIX}: the container's name is missing, expected {PREFIX}NAME")
    if name in (config.name, config.id):
        raise InvalidArgument(f"--{flag} {PREFIX}{name}: a container can't join itself")
    try:
        return context.table.find(name)
    except NotFound as error:
        raise InvalidArgument(f"--{flag} {PREFIX}{name}: there is no such container") from error


def judge_user_namespaces(context: Context, config: ContainerConfig, own: IdMappings) -> None:
    """Who joins namespaces joins their user namespace, too: nobody else may use them, user_namespaces(7).

    Args:
        context: of the engine.
        config: settled.
        own: the container's mapping.

    Raises:
        InvalidArgument: the containers have other mappings.
    """
    others = [context.table.get(name) for _, name in _asked(config)]
    for other in others:
        if other.id_mappings != own:
            raise InvalidArgument(
                f"container {other.name} and this one differ in their user namespaces: they can't share others",
                hint="use the same --userns for both",
            )
    if own.uids and len({other.id for other in others}) > 1:
        raise InvalidArgument("namespaces of two containers can't be joined where each has a user namespace")


def join(context: Context, container: Container) -> Joined:
    """Find the namespaces of a start.

    Raises:
        Conflict: the other container does not run.
        NotFound: it is gone.
    """
    paths: dict[NamespaceKind, Path] = {}
    owners: dict[str, Pid] = {}
    for flag, name in _asked(container.config):
        init = _running_init(context, flag, name)
        kind, directory = _KINDS[flag], Path(f"/proc/{init.pid}/ns")
        paths[kind] = directory / _PROC_NAMES.get(kind, str(kind))
        owners[context.table.get(name).name] = init
        if container.id_mappings.uids:
            paths[NamespaceKind.USER] = directory / "user"
    return Joined(paths, tuple(owners.items()))


def _running_init(context: Context, flag: str, name: str) -> Pid:
    try:
        other = context.table.get(name)
    except NotFound as error:
        raise NotFound(f"container {name[:12]}, whose {flag} namespace is to be joined, is gone") from error
    if not other.state.running or other.state.init is None or not other.state.init.identity().alive():
        raise Conflict(
            f"container {other.name}, whose {flag} namespace is to be joined, does not run",
            hint=f"pouch start {other.name}",
        )
    return other.state.init
