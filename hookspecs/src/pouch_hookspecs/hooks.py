"""The hooks, role by role: what a plugin implements.

Rules that hold for every hook:

* It is a plain synchronous function, called from a worker thread. At most one *changing* hook runs at
  a time for one container; hooks marked "beside" may run while another does.
* Arguments and results are frozen models. A result of None is an answer only where it says so.
* It raises an error of `pouch_hookspecs.errors` with words for the user. Anything else that it raises
  is reported as `PluginFailed`, with its name.
* An implementation takes the arguments that it needs, by name, and gives none of them a default:
  pluggy does not pass arguments that have one (such a plugin is listed as broken).
* It has a deadline (`@hook(seconds)`; a handler's configuration may raise it). After a missed deadline
  the operation fails, a late result is discarded and the reconciler looks at what became of it.
* Hooks that take away (delete, kill, detach, unmount, remove, stop) succeed when done twice and when
  the thing is half made or gone.

A plugin implements the hooks of its role that it needs, marked with `hookimpl`; those marked
"required" it must have. Hooks of `CommonHooks` belong to every role.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pluggy

if TYPE_CHECKING:
    from pydantic import BaseModel

    from .containers import ContainerConfig, ContainerView, Descriptor, Event, Image
    from .engine import EngineApi
    from .handlers import Finding
    from .isolation import Adjustment, IsolationReport, MergedAdjustment
    from .network import Endpoint, NetworkConfig, NetworkFeatures, NetworkUsage
    from .resources import Resources, Stats
    from .storage import Change, Layer, Snapshot, StorageFeatures, Stored, Usage
    from .tasks import ExecHandle, IdMappings, Process, RuntimeFeatures, Size, Task, TaskProcess, TaskState
    from .volume import PreparedVolume, VolumeConfig, VolumeInfo

PROJECT = "pouch"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

F = TypeVar("F", bound=Callable[..., Any])


def hook(seconds: float, *, required: bool = False) -> Callable[[F], F]:
    """Mark a hook specification.

    Args:
        seconds: the default deadline of one call.
        required: a plugin of this role without it is broken.
    """

    def mark(function: F) -> F:
        function.__dict__["deadline_seconds"] = seconds
        function.__dict__["required"] = required
        return hookspec(firstresult=True)(function)

    return mark


class CommonHooks:
    """For every kind of plugin."""

    @hook(10)
    def check(self) -> tuple[Finding, ...]:
        """Look at this host and say what is there, what is missing and how to mend it.

        Called at the daemon's start and by `pouch doctor`. A finding of level error puts the handler
        into the state `skipped`, with the finding as the reason. Beside.
        """
        raise NotImplementedError

    @hook(10)
    def container_event(self, event: Event) -> None:
        """Hear of something that happened to a container. Its errors are only counted. Beside."""

    @hook(30)
    def image_pulled(self, image: Image, descriptor: Descriptor) -> None:
        """Judge an image whose content is verified, before it gets a name: raise `Refused` to reject it."""

    @hook(10)
    def request_admit(self, action: str, config: ContainerConfig) -> None:
        """Judge a request: raise `Refused` to reject it. `config` is the very model that is executed."""


class RuntimeHooks:
    """Group `pouch.runtime`: runs tasks. Exactly one per container."""

    @hook(10, required=True)
    def runtime_features(self) -> RuntimeFeatures:
        """Tell what this runtime can do on this host, from its own word where it has one. Beside."""
        raise NotImplementedError

    @hook(60, required=True)
    def runtime_create(self, task: Task, checkpoint: Path | None) -> TaskState:
        """Make everything up to the container's process, which must not have run its first instruction.

        Afterwards the attach socket takes connections, the pid file holds `supervised_pid`, and the
        exit file will appear when it ends. With `checkpoint`, the process is restored from it instead.
        On failure nothing is left behind.

        Raises:
            CommandNotFound: the runtime knows already now that the command is not there.
            CommandNotExecutable: or can not be executed.
            RuntimeFailed: with the runtime's own words.
        """
        raise NotImplementedError

    @hook(60, required=True)
    def runtime_start(self, task: Task) -> None:
        """Let the created process run.

        Raises:
            CommandNotFound: the command is not there.
            CommandNotExecutable: it can not be executed.
            RuntimeFailed: with the runtime's own words.
        """
        raise NotImplementedError

    @hook(10, required=True)
    def runtime_kill(self, task: Task, signal: int, everyone: bool) -> None:
        """Send a signal to the first process, or to all. A task that has ended is not an error. Beside."""
        raise NotImplementedError

    @hook(60, required=True)
    def runtime_delete(self, task: Task, force: bool) -> None:
        """Remove what create made: cgroup, state, sockets; with `force` also of a task that still runs.

        Log and exit file stay: they are the engine's.

        Raises:
            Conflict: the task runs and `force` is false.
        """
        raise NotImplementedError

    @hook(10, required=True)
    def runtime_state(self, task: Task) -> TaskState | None:
        """Tell how the task is; None: this runtime does not know it. Beside."""
        raise NotImplementedError

    @hook(30)
    def runtime_exec(self, task: Task, process: Process) -> ExecHandle:
        """Start a further process, supervised by the same kind of files. Beside.

        Raises:
            CommandNotFound: the command is not there.
            CommandNotExecutable: it can not be executed.
            Conflict: the task does not run.
        """
        raise NotImplementedError

    @hook(10)
    def runtime_resize(self, task: Task, process: Process | None, size: Size) -> None:
        """Set the terminal's size of the first process (`process` None) or of an exec. Beside."""

    @hook(10)
    def runtime_pause(self, task: Task) -> None:
        """Freeze all processes."""

    @hook(10)
    def runtime_resume(self, task: Task) -> None:
        """Let frozen processes run again."""

    @hook(30)
    def runtime_update(self, task: Task, resources: Resources) -> None:
        """Put these limits in force, whole: what is None there is unlimited. All or nothing."""

    @hook(10)
    def runtime_stats(self, task: Task) -> Stats:
        """Read the task's figures. Beside."""
        raise NotImplementedError

    @hook(10)
    def runtime_processes(self, task: Task) -> tuple[TaskProcess, ...]:
        """List the processes in the container. Beside."""
        raise NotImplementedError

    @hook(600)
    def runtime_checkpoint(self, task: Task, directory: Path) -> None:
        """Write the task's state into an empty directory; the task goes on."""

    @hook(60)
    def runtime_recover(self, task: Task) -> TaskState | None:
        """After a daemon restart: take the task over, supervise it again if that is needed and possible.

        Returns:
            How it is now; None: it is gone, without an exit code that anybody knows.
        """
        raise NotImplementedError


class StorageHooks:
    """Group `pouch.storage`: keeps layers by chain id and snapshots by container id."""

    @hook(10, required=True)
    def storage_features(self) -> StorageFeatures:
        """Tell what this driver can do in its directory on this host. Beside."""
        raise NotImplementedError

    @hook(3600, required=True)
    def storage_apply_layer(self, layer: Layer, parent: str, tar_fd: int) -> Usage:
        """Unpack a plain tar stream as the layer `layer.chain_id` on top of chain `parent` (empty: none).

        Confined: whatever the tar says, nothing outside the layer is touched. Parents that the tar does
        not list take mode, owner, xattrs or symlink from the chain below; whiteouts take the driver's
        own form. A layer that is there already stays as it is. The engine verifies the stream's digest while
        it is read and calls `storage_remove` when it was wrong; it hands the layer to nobody before.

        Raises:
            DataDamaged: the archive is malformed or tries to escape; the entry is named.
            ResourceExhausted: the disk or a limit of unpacking.
        """
        raise NotImplementedError

    @hook(30, required=True)
    def storage_prepare(self, key: str, parent: str) -> Snapshot:
        """Make the directories of a writable snapshot on top of chain `parent`; mount and fill nothing."""
        raise NotImplementedError

    @hook(120, required=True)
    def storage_mount(self, key: str) -> Path:
        """Mount a snapshot and give its root directory; one that is mounted already stays so."""
        raise NotImplementedError

    @hook(120)
    def storage_mount_mapped(self, key: str, id_mappings: IdMappings) -> Path:
        """Mount a snapshot for a container with a user namespace, and give its root directory.

        What belongs to 0 in the snapshot belongs to the mapped root of `id_mappings` there, and so on; what the
        container writes is kept as if it had no user namespace, so that diff, commit and another mapping at the next
        mount see plain owners. Only asked of a driver whose features say `idmapped_mounts`. Undone by
        `storage_unmount`; one that is mounted already stays so.
        """
        raise NotImplementedError

    @hook(30, required=True)
    def storage_unmount(self, key: str) -> None:
        """Unmount a snapshot; its data stays."""
        raise NotImplementedError

    @hook(600, required=True)
    def storage_diff(self, key: str) -> tuple[Change, ...]:
        """List what differs from the parent, sorted by path."""
        raise NotImplementedError

    @hook(3600, required=True)
    def storage_commit(self, key: str, tar_fd: int) -> None:
        """Write what differs from the parent to a descriptor, as a layer's plain tar (OCI image spec)."""
        raise NotImplementedError

    @hook(600, required=True)
    def storage_usage(self, key: str) -> Usage:
        """Tell the space that this layer or snapshot takes by itself. Beside."""
        raise NotImplementedError

    @hook(600, required=True)
    def storage_remove(self, key: str) -> None:
        """Remove a layer or a snapshot, unmounting it first; no mount stays, whatever happened before.

        Raises:
            Conflict: something stands on this layer.
        """
        raise NotImplementedError

    @hook(60, required=True)
    def storage_list(self) -> tuple[Stored, ...]:
        """List all layers and snapshots that are whole; half made ones are removed by the driver. Beside."""
        raise NotImplementedError


class NetworkHooks:
    """Group `pouch.network`: one per network."""

    @hook(10, required=True)
    def network_features(self) -> NetworkFeatures:
        """Tell what this driver can do. Beside."""
        raise NotImplementedError

    @hook(30, required=True)
    def network_create(self, config: NetworkConfig) -> NetworkConfig:
        """Make a network; the result says what was chosen where the request left it open."""
        raise NotImplementedError

    @hook(30, required=True)
    def network_remove(self, network: str) -> None:
        """Remove a network that has no endpoints."""
        raise NotImplementedError

    @hook(10, required=True)
    def network_inspect(self, network: str) -> NetworkConfig | None:
        """Tell how a network is; None: it is not there. Beside."""
        raise NotImplementedError

    @hook(30, required=True)
    def network_attach(self, netns: Path, endpoint: Endpoint) -> Endpoint:
        """Connect a network namespace; the result has addresses, MAC, gateways, host ports."""
        raise NotImplementedError

    @hook(30, required=True)
    def network_detach(self, netns: Path, endpoint: Endpoint) -> None:
        """Disconnect; also when the namespace is gone."""
        raise NotImplementedError

    @hook(60)
    def network_repair(self, endpoints: tuple[Endpoint, ...]) -> None:
        """Make again what others flushed or a reboot took: bridges, rules, addresses of these endpoints."""

    @hook(10)
    def network_usage(self, netns: Path, endpoint: Endpoint) -> NetworkUsage:
        """Read an endpoint's traffic. Beside."""
        raise NotImplementedError


class VolumeHooks:
    """Group `pouch.volume`: one per volume."""

    @hook(60, required=True)
    def volume_create(self, config: VolumeConfig) -> VolumeInfo:
        """Make a volume; one with the same name and options stays as it is.

        Raises:
            InvalidArgument: an option that this driver does not know.
        """
        raise NotImplementedError

    @hook(30)
    def volume_prepare(self, name: str) -> PreparedVolume:
        """Give the directory above all data of a volume before anything is in it, for quota."""
        raise NotImplementedError

    @hook(120, required=True)
    def volume_mount(self, name: str, container: str) -> Path:
        """Make the data available for a container, and say where."""
        raise NotImplementedError

    @hook(60, required=True)
    def volume_unmount(self, name: str, container: str) -> None:
        """The container no longer uses it."""

    @hook(600, required=True)
    def volume_remove(self, name: str) -> None:
        """Remove a volume and its data."""

    @hook(30, required=True)
    def volume_list(self) -> tuple[VolumeInfo, ...]:
        """List this driver's volumes. Beside."""
        raise NotImplementedError

    @hook(30, required=True)
    def volume_inspect(self, name: str) -> VolumeInfo | None:
        """Tell how a volume is; None: it is not there. Beside."""
        raise NotImplementedError


class IsolationHooks:
    """Group `pouch.isolation`: any number per container, in order.

    `options` is the plugin's `Options`: the handler's configuration with what the container asked for.
    The order of a start: validate, storage_ready (at create); adjust, review, rootfs_ready, created,
    started. Whoever raises before `started` stops the container from starting, and all that was done is
    undone.
    """

    @hook(10)
    def isolation_validate(self, container: ContainerView, options: BaseModel) -> None:
        """Judge the request before anything is made; raise `InvalidArgument`, `Unsupported` or `Refused`."""

    @hook(30)
    def isolation_storage_ready(
        self,
        container: ContainerView,
        options: BaseModel,
        snapshot: Snapshot,
        volumes: tuple[PreparedVolume, ...],
    ) -> None:
        """The directories for the container's data exist and are empty."""

    @hook(10)
    def isolation_adjust(self, container: ContainerView, options: BaseModel) -> Adjustment | None:
        """Say what to add to the container; None: nothing."""

    @hook(10)
    def isolation_review(self, container: ContainerView, options: BaseModel, merged: MergedAdjustment) -> None:
        """See what all enhancements together do; raise `Refused` if it breaks what this one promised."""

    @hook(30)
    def isolation_rootfs_ready(self, container: ContainerView, options: BaseModel, rootfs: Path) -> None:
        """The root file system is mounted and hostile: open paths in it confined only."""

    @hook(30)
    def isolation_created(self, container: ContainerView, options: BaseModel, state: TaskState) -> None:
        """The process and its namespaces exist, and not one instruction has run. May refuse."""

    @hook(30)
    def isolation_started(self, container: ContainerView, options: BaseModel, state: TaskState) -> None:
        """The container runs."""

    @hook(30)
    def isolation_update(self, container: ContainerView, old: BaseModel, new: BaseModel) -> None:
        """Options or limits of a running container change; undone by the same call with the two swapped."""

    @hook(30)
    def isolation_stopped(self, container: ContainerView, options: BaseModel) -> None:
        """The container has ended, by itself or not."""

    @hook(30)
    def isolation_removed(self, container: ContainerView, options: BaseModel) -> None:
        """The container is being removed: give back everything that belongs to it."""

    @hook(120)
    def isolation_resync(self, containers: tuple[ContainerView, ...]) -> None:
        """These run, and should have this enhancement: the daemon came up, or its ground has moved."""

    @hook(10)
    def isolation_report(self, container: ContainerView, options: BaseModel) -> IsolationReport:
        """Tell what it does for a container now, for `inspect` and `stats`. Beside."""
        raise NotImplementedError


class ServiceHooks:
    """Group `pouch.service`: runs beside the engine (CRI, metrics): the only kind that is given it."""

    @hook(60, required=True)
    def service_start(self, engine: EngineApi) -> None:
        """Begin to serve; returns when it does."""

    @hook(30, required=True)
    def service_stop(self) -> None:
        """End: no thread, socket or process of this service is left."""


ROLES: dict[str, type] = {
    "runtime": RuntimeHooks,
    "storage": StorageHooks,
    "network": NetworkHooks,
    "volume": VolumeHooks,
    "isolation": IsolationHooks,
    "service": ServiceHooks,
}
"""Role → its hooks. The entry-point group of a role is `pouch.<role>`."""
