"""Taking away what a start has made: processes, enhancements, mounts, the bundle. The container itself stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial

from .context import Context
from .record import Container
from .staging import unstage


def tear_down(context: Context, container: Container) -> None:
    """Take away what the start made. Every step is tried; what failed is raised together at the end.

    Raises:
        ExceptionGroup: with all that failed.
    """
    failures: list[Exception] = []

    def attempt(step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            failures.append(error)

    attempt(partial(_stop_enhancements, context, container, attempt))
    attempt(lambda: context.runtime(container).runtime_delete(task=context.task(container), force=True))
    attempt(partial(unstage, context.mounts_dir(container.id)))
    for mount in container.mounts:
        if mount.volume:
            attempt(partial(context.volumes.unmount, mount.volume, container.id))
    attempt(lambda: context.storage(container).storage_unmount(key=container.id))
    attempt(partial(context.remove_run_directories, container.id))
    _end_execs(context, container)
    if failures:
        raise ExceptionGroup(f"container {container.id[:12]} could not be torn down wholly", failures)


def _stop_enhancements(context: Context, container: Container, attempt: Callable[[Callable[[], None]], None]) -> None:
    for _, isolation, options, view in reversed(context.enhancements(container)):
        attempt(partial(isolation.isolation_stopped, container=view, options=options))


def _end_execs(context: Context, container: Container) -> None:
    """Execs die with their container's pid namespace; one whose supervisor wrote no exit file is ended here."""
    for exec_ in context.execs.of(container.id):
        if exec_.started and exec_.process is not None:
            context.exits.forget(exec_.process.io.exit_dir / container.id)
            exec_.ended(137)
        shutil.rmtree(context.run / "execs" / exec_.id, ignore_errors=True)
    context.execs.forget(container.id)
