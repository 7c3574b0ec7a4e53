"""start: mount → namespaces → spec → bundle → create → created hooks → start. Each step registers its undo first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pouch_engine.spec.adjustments import merge
from pouch_engine.spec.build import Start, build_spec, shm_size
from pouch_engine.spec.granted import Grants, this_host
from pouch_engine.spec.users import resolve_user
from pouch_hookspecs import Adjustment, MergedAdjustment, Mount, NamespaceKind, Resources, Task, TaskState, User
from pouch_hookspecs.errors import CommandNotExecutable, CommandNotFound, Conflict, PouchError
from pouch_linux.paths import Root

from . import remove, sharing, staging, userns
from .context import Context
from .files import file_mounts, write_files
from .record import Container, Intent, Pid, State, Status
from .undo import Undo
from .waits import Exit


def start(context: Context, container_id: str) -> bool:
    """See `Engine.container_start`."""
    with context.table.changing(container_id):
        container = context.table.get(container_id)
        if container.state.status is Status.PAUSED:
            raise Conflict(f"container {container.name} is paused, unpause it instead")
        if container.state.running:
            return False
        if container.state.status is Status.REMOVING:
            raise Conflict(f"container {container.name} is being removed")
        context.table.update_state(container_id, stopped_by_user=False, restart_count=0, quick_ends=0)
        try:
            run(context, container_id)
        except PouchError:
            if container.config.auto_remove:  # it will never end, and so never be removed by its end
                remove.begin_and_finish(context, context.table.get(container_id), volumes=True)
            raise
    return True


def run(context: Context, container_id: str) -> None:
    """Start it; the caller holds the container's lock and has seen that it does not run."""
    container = context.table.update(container_id, intent=Intent.STARTING, adjusted=Resources(), updating=None)
    try:
        with Undo() as undo:
            _run(context, container, undo)
            undo.keep()
    except BaseException as error:
        _record_failure(context, container_id, error)
        raise


def _run(context: Context, container: Container, undo: Undo) -> None:
    task = _fresh_bundle(context, container, undo)
    joined = sharing.join(context, container)
    with userns.namespaces_for(container, joined.paths) as namespaces:
        rootfs = _mount_root(context, container, undo)
        task = task.model_copy(update={"rootfs": rootfs, "namespaces": namespaces})
        container = _mount_volumes(context, container, namespaces.get(NamespaceKind.USER), undo)
        enhancements = context.enhancements(container)
        merged = _adjust(container, enhancements)
        if merged.adjustment.resources is not None:
            limits = context.table.update(container.id, adjusted=merged.adjustment.resources).limits
            task = task.model_copy(update={"resources": limits})
        document = build_spec(
            container, _start_of(context, container, task, merged.adjustment), task.cgroup, Grants(this_host())
        )
        (task.bundle / "config.json").write_text(json.dumps(document))
        for _, isolation, options, view in enhancements:
            undo.later(isolation.isolation_stopped, container=view, options=options)
            isolation.isolation_rootfs_ready(container=view, options=options, rootfs=rootfs)
        runtime = context.runtime(container)
        undo.later(runtime.runtime_delete, task=task, force=True)
        created: TaskState = runtime.runtime_create(task=task, checkpoint=None)
    joined.confirm()
    for _, isolation, options, view in enhancements:
        isolation.isolation_created(container=view, options=options, state=created)
    context.attachments.connect(container.id, task.io.attach_dir)
    context.exits.expect(context.exit_path(container.id))
    undo.later(context.exits.forget, context.exit_path(container.id))
    runtime.runtime_start(task=task)
    _record_start(context, container.id, created, merged)
    for _, isolation, options, view in enhancements:
        isolation.isolation_started(container=view, options=options, state=created)
    context.tell("start", container)


def _fresh_bundle(context: Context, container: Container, undo: Undo) -> Task:
    undo.later(context.remove_run_directories, container.id)
    context.remove_run_directories(container.id)
    context.bundle(container.id).mkdir(mode=0o700)
    context.exit_path(container.id).unlink(missing_ok=True)
    return context.task(container)


def _mount_root(context: Context, container: Container, undo: Undo) -> Path:
    storage = context.storage(container)
    undo.later(storage.storage_unmount, key=container.id)
    if not container.id_mappings.uids:
        return storage.storage_mount(key=container.id)
    mapped = storage.storage_mount_mapped(key=container.id, id_mappings=container.id_mappings)
    return staging.stage_root(context, container, mapped)


def _mount_volumes(context: Context, container: Container, user_namespace: Path | None, undo: Undo) -> Container:
    mounts: list[Mount] = []
    for number, mount in enumerate(container.mounts):
        if mount.volume:
            undo.later(context.volumes.unmount, mount.volume, container.id)
            where = context.volumes.mount(mount.volume, container.id)
            mount = staging.stage_volume(context, container, number, mount, where, user_namespace)
            context.volumes.used(mount.volume)
        mounts.append(mount)
    return container.model_copy(update={"mounts": tuple(mounts)})


def _adjust(container: Container, enhancements: Sequence[tuple]) -> MergedAdjustment:  # type: ignore[type-arg]
    """All speak, then all judge what came out."""
    spoken = [
        (handler.name, adjustment)
        for handler, isolation, options, view in enhancements
        if (adjustment := isolation.isolation_adjust(container=view, options=options)) is not None
    ]
    merged = merge(container.config, container.mounts, spoken)
    for _, isolation, options, view in enhancements:
        isolation.isolation_review(container=view, options=options, merged=merged)
    return merged


def _start_of(context: Context, container: Container, task: Task, adjustment: Adjustment) -> Start:
    config = container.config
    shared = {
        NamespaceKind.NETWORK: config.network_mode == "host",
        NamespaceKind.PID: config.pid_mode == "host",
        NamespaceKind.IPC: config.ipc_mode == "host",
        NamespaceKind.UTS: config.uts_mode == "host",
    }
    data = context.data_dir(container.id)
    data.mkdir(mode=0o700, exist_ok=True)
    return Start(
        rootfs=task.rootfs,
        user=_prepare_root(container, task.rootfs),
        files=_files(context, container, data),
        adjustment=adjustment,
        namespaces=task.namespaces,
        host_namespaces=frozenset(kind for kind, with_host in shared.items() if with_host),
        features=context.runtime(container).runtime_features(),
        shm=staging.stage_shm(context, container, shm_size(container.config)),
    )


def _files(context: Context, container: Container, data: Path) -> Sequence[Mount]:
    """The engine's own files; where the network is another container's, so are they."""
    owner = sharing.owner_of(container.config.network_mode)
    if owner:
        return file_mounts(container, context.data_dir(owner))
    return write_files(container, data, staging.root_ids(container))


def _prepare_root(container: Container, rootfs: Path) -> User:
    """Resolve the user in the root file system, and make the working directory there when it is missing."""
    with Root(rootfs) as root:
        user = resolve_user(root, container.command.user, container.config.groups)
        working_dir = container.command.working_dir
        on_a_mount = any(Path(working_dir).is_relative_to(mount.target) for mount in container.mounts)
        if not on_a_mount and not container.config.read_only_rootfs and not root.exists(working_dir):
            make = partial(root.mkdirs, working_dir, 0o755, *staging.root_ids(container))
            staging.as_container_root(container, make)
    return user


def _record_start(context: Context, container_id: str, created: TaskState, merged: MergedAdjustment) -> None:
    supervised = Pid.of(created.supervised_pid)
    container = context.table.get(container_id)
    state = State(
        status=Status.RUNNING,
        supervised=supervised,
        init=Pid.of(created.init_pid),
        started_at=datetime.now(UTC),
        restart_count=container.state.restart_count,
        quick_ends=container.state.quick_ends,
        stopped_by_user=container.state.stopped_by_user,
    )
    context.table.update(container_id, state=state, intent=Intent.NONE, owners=merged.owners)
    if supervised is not None:
        context.exits.guard(context.exit_path(container_id), supervised.pid)


def _record_failure(context: Context, container_id: str, error: BaseException) -> None:
    """Not started: the exit code is docker's, so that clients can tell why."""
    code = 127 if isinstance(error, CommandNotFound) else 126 if isinstance(error, CommandNotExecutable) else 128
    text = str(error) if isinstance(error, PouchError) else f"{type(error).__name__}: {error}"
    previous = context.table.get(container_id).state.status
    status = previous if previous is Status.CREATED else Status.EXITED
    context.table.update_state(
        container_id, intent=Intent.NONE, status=status, exit_code=code, error=text, supervised=None, init=None
    )
    context.waits.not_started(container_id, Exit(code, text))
    failure = error if isinstance(error, Exception) else Conflict(text)
    context.attachments.give_up(container_id, failure)
