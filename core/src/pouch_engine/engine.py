"""The engine: a thread-safe library that all edges use (Docker's API, CRI, tests). No HTTP in it.

Names of containers may be full ids, unique prefixes of ids, or names. Errors are those of `pouch_hookspecs.errors`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from pouch_hookspecs import Change, ContainerConfig, Size, TaskProcess
from pouch_hookspecs.errors import Conflict, Unsupported
from pouch_linux.view import PathStatus

from .config import Config
from .containers import (
    archive,
    attach,
    commit,
    create,
    diff,
    ended,
    exec,
    export,
    kill,
    pause,
    prune,
    reconcile,
    remove,
    rename,
    restart,
    start,
    stats,
    stop,
    update,
)
from .containers.context import Context
from .containers.exec import Exec, ExecConfig
from .containers.logs import LogFiles
from .containers.prune import Pruned
from .containers.record import Container
from .containers.rotation import Rotation
from .containers.stats import Sample
from .containers.update import Update
from .containers.waits import Exit
from .events.bus import Events
from .images.committing import Commit
from .images.store import ImageStore
from .plugins.registry import Registry
from .volumes.store import Volumes


class Engine:
    """Everything that Pouch can do.

    Args:
        config: of the daemon.
        root: what survives a reboot; the caller holds the lock on it.
        run: what does not (on a tmpfs); short, since sockets are in it.
        no_plugins: load no plugins at all.

    Attributes:
        config: of the daemon.
        root: its directory.
        registry: plugins and handlers.
        images: the image store.
        volumes: the volumes.
        events: what happened and happens.
    """

    def __init__(self, config: Config, root: Path, run: Path, *, no_plugins: bool = False) -> None:
        self._context = Context.open(config, root, run, no_plugins=no_plugins)
        self._context.exits.on_container_end = ended.callback(self._context)
        self.config = config
        self.root = root
        self.registry: Registry = self._context.registry
        self.images: ImageStore = self._context.images
        self.volumes: Volumes = self._context.volumes
        self.events: Events = self._context.events
        self._rotation: Rotation | None = None

    def begin(self) -> None:
        """Compare what should be with what is, mend it, and watch from now on.

        Raises:
            Unavailable: a plugin that the configuration requires is not ready.
        """
        self.registry.require_all()
        reconcile.reconcile(self._context)
        self._rotation = Rotation(self._context)

    def require_life(self) -> None:
        """Look whether the engine still does its work; does not return where something in it hangs.

        Raises:
            Unavailable: a thread of it has ended, or the database can not be used.
        """
        self._context.require_life()

    def close(self) -> None:
        """End all threads; containers run on."""
        if self._rotation is not None:
            self._rotation.close()
        self._context.close()

    # containers

    def container_create(self, config: ContainerConfig) -> tuple[Container, tuple[str, ...]]:
        """Create a container; the second value has warnings for the user."""
        return create.create(self._context, config)

    def container_start(self, name: str) -> bool:
        """Start a container; False if it ran already."""
        return start.start(self._context, self.container(name).id)

    def container_stop(self, name: str, timeout_seconds: int | None = None, signal: str = "") -> bool:
        """Stop a container: its stop signal, then SIGKILL; False if it did not run.

        Args:
            name: which one.
            timeout_seconds: before SIGKILL; None: the container's own or the daemon's; -1: wait without end.
            signal: instead of the container's own stop signal.
        """
        return stop.stop(self._context, self.container(name).id, timeout_seconds, signal)

    def container_kill(self, name: str, signal: str = "KILL") -> None:
        """Send a signal by name (with or without SIG) or number.

        Raises:
            Conflict: it does not run.
        """
        kill.kill(self._context, self.container(name).id, signal)

    def container_remove(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a container.

        Args:
            name: which one.
            force: also a running one, by SIGKILL.
            volumes: its anonymous volumes, too.
        """
        remove.remove(self._context, self.container(name).id, force=force, volumes=volumes)

    def container_rename(self, name: str, new_name: str) -> None:
        """Give a container another name.

        Raises:
            Conflict: the name is in use.
        """
        rename.rename(self._context, self.container(name).id, new_name)

    def container_restart(self, name: str, timeout_seconds: int | None = None, signal: str = "") -> None:
        """Stop a container if it runs (see `container_stop`), and start it; one with `--rm` is kept at this end."""
        restart.restart(self._context, self.container(name).id, timeout_seconds, signal)

    def container_pause(self, name: str) -> None:
        """Freeze all processes. What is to end the container (stop, SIGKILL, forced removal) lets them go on.

        Raises:
            Conflict: it does not run, or is paused already.
            Unsupported: its runtime can not.
        """
        pause.pause(self._context, self.container(name).id)

    def container_unpause(self, name: str) -> None:
        """Let frozen processes go on.

        Raises:
            Conflict: it is not paused.
        """
        pause.unpause(self._context, self.container(name).id)

    def container_update(self, name: str, change: Update) -> tuple[str, ...]:
        """Change limits, restart policy, environment, labels, annotations, options of plugins; gives warnings.

        All or nothing. What a running container can not take at once is in force from its next start on.

        Raises:
            InvalidArgument: a value that can not be.
            Conflict: the container's state, or another owner of a limit, forbids it.
            Unsupported: it can not be changed while the container runs, or not at all.
        """
        return update.update(self._context, self.container(name).id, change)

    def container_stats(self, name: str) -> Sample:
        """Read a container's figures, now; a container that does not run has none."""
        return stats.sample(self._context, self.container(name).id)

    def containers_prune(self, wanted: Callable[[Container], bool] = lambda _: True) -> Pruned:
        """Remove all containers that do not run and that `wanted` says yes to; their volumes stay."""
        return prune.prune(self._context, wanted)

    def container(self, name: str) -> Container:
        """Find a container.

        Raises:
            NotFound: there is none.
            InvalidArgument: several ids begin so; they are listed.
        """
        return self._context.table.find(name)

    def settle(self, seconds: float = 2.0) -> None:
        """Wait for removals that go on behind an answer (docs/decisions/0005), each at most so long: what they used is
        free, or not, when a client asks for it next.
        """
        self._context.table.settle(seconds)

    def volume_users(self, volume: str) -> list[str]:
        """The names of the containers that have a volume, running or not."""
        return remove.volume_users(self._context, volume)

    def containers(self) -> list[Container]:
        """All containers, newest first."""
        return self._context.table.all()

    def container_wait(self, name: str, condition: str = "not-running") -> Future[Exit]:
        """Give the exit code when it is known.

        Args:
            name: which one.
            condition: `not-running`, `next-exit` or `removed`.
        """
        return self._context.waits.wait(self.container(name), condition)

    def container_attach(self, name: str) -> Future[socket.socket]:
        """A connection to the streams (hookspecs/task-contract.md, 2); for a container that is not started yet it comes
        with its start, before its first instruction. The receiver owns the socket. Cancel to give up.
        """
        return attach.attach(self._context, self.container(name).id)

    def container_resize(self, name: str, size: Size) -> None:
        """Set the terminal's size.

        Raises:
            Conflict: it does not run.
        """
        container = self.container(name)
        if not container.state.running:
            raise Conflict(f"container {container.name} is not running")
        self._context.runtime(container).runtime_resize(task=self._context.task(container), process=None, size=size)

    def container_top(self, name: str) -> tuple[TaskProcess, ...]:
        """List the processes in a running container.

        Raises:
            Conflict: it does not run.
            Unsupported: its runtime can not tell.
        """
        container = self.container(name)
        if not container.state.running:
            raise Conflict(f"container {container.name} is not running")
        processes = self._context.runtime(container).runtime_processes(task=self._context.task(container))
        if processes is None:
            raise Unsupported(f"runtime {container.runtime} can not list processes")
        return processes

    def container_logs(self, name: str) -> LogFiles:
        """The log, with its rotated files.

        Raises:
            Unsupported: the container has none (`--log-driver none`).
        """
        container = self.container(name)
        if container.config.log_driver == "none":
            raise Unsupported(f"container {container.name} keeps no log", hint="it was created with --log-driver none")
        return LogFiles(self._context.log_path(container.id))

    # files

    def container_stat_path(self, name: str, path: str) -> PathStatus:
        """Tell what is at a path in a container, whether it runs or not, as it sees it: volumes are in their places.

        A link at the path's end is not followed, unless a slash comes after it.

        Raises:
            NotFound: there is nothing.
        """
        return archive.stat(self._context, self.container(name).id, path)

    def container_read_archive(
        self, name: str, path: str, archive_fd: int, on_status: Callable[[PathStatus], None]
    ) -> None:
        """Write what is at a path to a descriptor as a tar archive; its names begin with the path's last component.

        Args:
            name: which one.
            path: inside; `DIRECTORY/.` gives names that begin with `./`.
            archive_fd: stays the caller's.
            on_status: hears what is at the path before anything is written.

        Raises:
            NotFound: there is nothing.
        """
        archive.read(self._context, self.container(name).id, path, archive_fd, on_status)

    def container_write_archive(
        self, name: str, path: str, archive_fd: int, *, keep_kinds: bool = False, as_user: bool = False
    ) -> None:
        """Unpack a tar archive, plain or compressed, into a directory of a container.

        Args:
            name: which one.
            path: a directory that exists; links are followed inside.
            archive_fd: read to its end; stays the caller's.
            keep_kinds: refuse to put a file in the place of a directory, or the other way round.
            as_user: all belongs to the container's user where it has one; else owners are the archive's.

        Raises:
            NotFound: there is no such path.
            InvalidArgument: it is no directory, or the archive is none.
            PermissionDenied: it is read-only for the container.
        """
        archive.write(self._context, self.container(name).id, path, archive_fd, keep_kinds=keep_kinds, as_user=as_user)

    def container_export(self, name: str, archive_fd: int) -> None:
        """Write the root file system to a descriptor as a tar archive, without what is mounted in it."""
        export.export(self._context, self.container(name).id, archive_fd)

    def container_diff(self, name: str) -> tuple[Change, ...]:
        """List what differs from the image, sorted by path."""
        return diff.diff(self._context, self.container(name).id)

    def container_commit(self, name: str, wanted: Commit, *, freeze: bool = True) -> str:
        """Make an image of a container's image and what the container has changed; gives its id.

        Args:
            name: which one.
            wanted: see `Commit`.
            freeze: pause a running container meanwhile.

        Raises:
            Conflict: its image was removed.
            InvalidArgument: a name or change is wrong.
        """
        return commit.commit(self._context, self.container(name).id, wanted, freeze=freeze)

    def container_isolation(self, name: str) -> dict[str, dict[str, object]]:
        """What each enhancement does for a container, for `inspect`: handler → report, options, asked."""
        return self._context.isolation_reports(self.container(name))

    # exec

    def exec_create(self, name: str, config: ExecConfig) -> Exec:
        """Prepare a further process in a running container.

        Raises:
            Conflict: it does not run, or is paused.
        """
        return exec.create(self._context, self.container(name).id, config)

    def exec_start(self, exec_id: str, *, detach: bool = False, size: Size | None = None) -> socket.socket | None:
        """Start it; gives a connection to its streams that misses nothing, None if detached.

        Raises:
            NotFound: no such exec.
            Conflict: it was started already.
            CommandNotFound: the command is not there.
            CommandNotExecutable: it can not be executed.
        """
        return exec.start(self._context, exec_id, detach=detach, size=size)

    def exec_inspect(self, exec_id: str) -> Exec:
        """Tell how it is.

        Raises:
            NotFound: no such exec.
        """
        return self._context.execs.get(exec_id)

    def exec_wait(self, exec_id: str) -> Future[int]:
        """Give its exit code when it is known."""
        return self._context.execs.get(exec_id).exit

    def exec_resize(self, exec_id: str, size: Size) -> None:
        """Set its terminal's size."""
        exec.resize(self._context, exec_id, size)
