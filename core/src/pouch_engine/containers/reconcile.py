"""The daemon's start: compare what should be (the database) with what is (runtimes and task files), and mend it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from pouch_hookspecs import StoredKind, TaskState, TaskStatus
from pouch_hookspecs.errors import PouchError
from pouch_hookspecs.hooks import IsolationHooks, StorageHooks

from . import ended, remove, restarts, staging, teardown, update
from .context import Context
from .record import Container, Intent, Pid, Status

log = logging.getLogger(__name__)

HOST_RESTARTED = "host-restarted: the machine went down while it ran"


def reconcile(context: Context) -> None:
    """Bring every container into a state that is true, then remove what belongs to none."""
    context.images.recover()
    containers = context.table.all()
    for future in [context.workers.submit(_mend_logged, context, container) for container in containers]:
        future.result()
    _remove_orphans(context)
    _resync_enhancements(context)


def _mend_logged(context: Context, container: Container) -> None:
    """One container that can not be mended must not keep the others from it."""
    try:
        with context.table.changing(container.id):
            _mend(context, container)
    except Exception as error:
        log.exception("container %s (%s) could not be mended", container.name, container.id[:12])
        text = str(error) if isinstance(error, PouchError) else repr(error)
        context.table.update_state(container.id, status=Status.DEAD, error=f"after a daemon restart: {text}")


def _mend(context: Context, container: Container) -> None:
    if container.intent is Intent.CREATING:
        log.info("container %s was half created: removing it", container.name)
        remove.finish(context, context.table.update(container.id, remove_volumes=True))
    elif container.intent is Intent.REMOVING:
        log.info("container %s was half removed: finishing", container.name)
        remove.finish(context, container)
    elif container.intent is Intent.STARTING:
        _mend_start(context, container)
    elif container.state.running:
        _mend_run(context, container)
    else:
        _mend_ended(context, container)


def _mend_start(context: Context, container: Container) -> None:
    """A start that nobody got an answer for: a process that runs is kept, anything less is undone."""
    state = _runtime_state(context, container)
    if state is not None and state.status is TaskStatus.RUNNING:
        container = context.table.update_state(
            container.id,
            intent=Intent.NONE,
            status=Status.RUNNING,
            supervised=Pid.of(state.supervised_pid),
            init=Pid.of(state.init_pid),
            started_at=state.started_at or datetime.now(UTC),
        )
        _mend_run(context, container)
        return
    log.info("container %s was half started: undoing it", container.name)
    teardown.tear_down(context, container)
    before = container.state.status
    status = before if before in (Status.CREATED, Status.RESTARTING) else Status.EXITED
    context.table.update_state(
        container.id, intent=Intent.NONE, status=status, error="the daemon ended while it was being started"
    )
    if status is Status.RESTARTING:
        restarts.resume(context, container.id)


def _mend_run(context: Context, container: Container) -> None:
    """It ran when the daemon went: it still does, it has ended and left its code, or it was lost."""
    exit_path = context.exit_path(container.id)
    supervised = container.state.supervised
    if not context.bundle(container.id).exists():
        _lost(context, container, HOST_RESTARTED)
    elif exit_path.exists() or (supervised is not None and supervised.identity().alive()):
        if context.registry.handler("runtime", container.runtime).settled() == "ready":
            _recover(context, container)
        context.exits.expect(exit_path)
        if supervised is not None and not exit_path.exists():
            context.exits.guard(exit_path, supervised.pid)
    else:
        _lost(context, container, ended.UNSUPERVISED)


def _recover(context: Context, container: Container) -> None:
    """The runtime takes the task over; what it says of it counts: a pause, or an update, may have been interrupted."""
    state = context.runtime(container).runtime_recover(task=context.task(container))
    told = {TaskStatus.RUNNING: Status.RUNNING, TaskStatus.PAUSED: Status.PAUSED}
    if state is not None and state.status in told:
        context.table.update_state(container.id, status=told[state.status])
        _logged(f"container {container.name}", partial(update.settle, context, container))


def _lost(context: Context, container: Container, why: str) -> None:
    log.warning("container %s: %s", container.name, why)
    container = ended.record_end(context, container, None, why)
    if ended.removed_at_end(container):
        remove.finish(context, container)
    else:
        teardown.tear_down(context, container)
        restarts.consider(context, container)


def _mend_ended(context: Context, container: Container) -> None:
    """It had ended: what was not done about that any more is done now.

    `always` also starts what was stopped by hand before the daemon's restart, as docker does.
    """
    if container.state.kept_at_end and container.config.auto_remove:
        remove.finish(context, context.table.update(container.id, intent=Intent.REMOVING, remove_volumes=True))
        return
    if context.bundle(container.id).exists():
        teardown.tear_down(context, container)
    if container.state.status is Status.RESTARTING:
        restarts.resume(context, container.id)
        return
    if container.state.started_at is None:
        return
    if container.config.restart_policy.name == "always":
        container = context.table.update_state(container.id, stopped_by_user=False)
    restarts.consider(context, container)


def _runtime_state(context: Context, container: Container) -> TaskState | None:
    try:
        return context.runtime(container).runtime_state(task=context.task(container))
    except PouchError as error:
        log.warning("runtime %s does not tell about %s: %s", container.runtime, container.id[:12], error)
        return None


def _remove_orphans(context: Context) -> None:
    """Directories and snapshots that no record knows: a crash between two steps."""
    known = {container.id for container in context.table.all()}
    for parent in (context.root / "containers", context.run / "tasks"):
        for directory in parent.iterdir():
            if directory.name not in known:
                log.info("removing %s, which belongs to no container", directory)
                shutil.rmtree(directory, ignore_errors=True)
    for directory in (context.run / "mounts").iterdir():
        if directory.name not in known:
            staging.unstage(directory)
    own = {context.plugins_run_dir(container_id).name for container_id in known}
    for directory in (context.run / "own").iterdir():
        if directory.name not in own:
            shutil.rmtree(directory, ignore_errors=True)
    for path in (context.run / "exits").iterdir():
        if path.name not in known:
            path.unlink(missing_ok=True)
    for handler in context.registry.of_role("storage"):
        _logged(f"storage {handler.name}", partial(_remove_orphan_snapshots, context, handler.name, known))


def _remove_orphan_snapshots(context: Context, name: str, known: set[str]) -> None:
    storage = context.registry.handler("storage", name).hooks(StorageHooks)
    for stored in storage.storage_list():
        if stored.kind is StoredKind.SNAPSHOT and stored.key not in known:
            log.info("removing snapshot %s, which belongs to no container", stored.key[:12])
            storage.storage_remove(key=stored.key)


def _resync_enhancements(context: Context) -> None:
    """Every enhancement hears which running containers it belongs to."""
    running = [container for container in context.table.all() if container.state.running]
    for handler in context.registry.of_role("isolation"):
        if handler.participant is None or not handler.participant.implements("isolation_resync"):
            continue
        concerned = [c for c in running if any(e.handler == handler.name for e in c.enhancements)]
        _logged(f"isolation {handler.name}", partial(_resync, context, handler.name, concerned))


def _resync(context: Context, name: str, containers: list[Container]) -> None:
    hooks = context.registry.handler("isolation", name).hooks(IsolationHooks)
    hooks.isolation_resync(containers=tuple(context.view(container, name) for container in containers))


def _logged(what: str, step: Callable[[], None]) -> None:
    try:
        step()
    except PouchError as error:
        log.warning("%s: %s", what, error)
