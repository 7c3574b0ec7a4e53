"""What every operation on containers needs, in one place."""

from __future__ import annotations

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pouch_engine.config import Config
from pouch_engine.events.bus import Events
from pouch_engine.images.store import ImageStore
from pouch_engine.plugins.handlers import Handler
from pouch_engine.plugins.options import for_container
from pouch_engine.plugins.registry import Registry
from pouch_engine.state.database import Database
from pouch_engine.volumes.store import Volumes
from pouch_hookspecs import ContainerView, Sandbox, Task, TaskIO
from pouch_hookspecs.errors import PouchError, Unavailable
from pouch_hookspecs.hooks import IsolationHooks, RuntimeHooks, StorageHooks

from .attach import Attachments
from .cgroups import cgroups_path
from .execs import Execs
from .exits import ExitWatcher
from .record import Container
from .staging import unstage
from .table import Containers
from .waits import Waits

log = logging.getLogger(__name__)


@dataclass
class Context:
    """The engine's parts.

    Attributes:
        root: survives a reboot.
        run: does not.
        ends_asked: container → a new object with each signal that is meant to end it; `pause` looks whether one came.
        closing: set when the engine ends: nothing new is begun.
        workers: threads for what goes on behind an answer (tear-down, restarts).
    """

    config: Config
    root: Path
    run: Path
    database: Database
    registry: Registry
    images: ImageStore
    volumes: Volumes
    events: Events
    table: Containers
    exits: ExitWatcher
    waits: Waits = field(default_factory=Waits)
    attachments: Attachments = field(default_factory=Attachments)
    execs: Execs = field(default_factory=Execs)
    ends_asked: dict[str, object] = field(default_factory=dict)
    closing: threading.Event = field(default_factory=threading.Event)
    workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(64, thread_name_prefix="worker"))

    @classmethod
    def open(cls, config: Config, root: Path, run: Path, *, no_plugins: bool = False) -> Context:
        """Open the directories and everything in them."""
        for directory in (root, root / "containers", run, run / "tasks", run / "exits", run / "execs", run / "own"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (run / "mounts").mkdir(exist_ok=True)
        (run / "mounts").chmod(0o711)  # the root of a user namespace walks through to its root file system
        database = Database(root / "state.db")
        registry = Registry(config, root, run, no_plugins=no_plugins)
        events = Events()
        images = ImageStore(
            database,
            root / "images",
            registry.storage_in_use(),
            storage_name=registry.storage_name(),
            emit=lambda action, id_, attributes: events.emit("image", action, id_, attributes),
            judge=registry.judge_image,
        )
        return cls(
            config=config,
            root=root,
            run=run,
            database=database,
            registry=registry,
            images=images,
            volumes=Volumes(database, registry, events),
            events=events,
            table=Containers(database),
            exits=ExitWatcher(run / "exits"),
        )

    def close(self) -> None:
        """End the threads and close the database; containers run on."""
        self.closing.set()
        self.exits.close()
        self.attachments.close()
        self.workers.shutdown(wait=True, cancel_futures=True)
        self.database.close()

    def require_life(self) -> None:
        """See `Engine.require_life`."""
        if not self.exits.alive:
            raise Unavailable("the thread that watches for the containers' ends has ended")
        self.database.query("SELECT 1")
        self.table.all()

    # directories of a container

    def data_dir(self, container_id: str) -> Path:
        """Survives a reboot: log, files, plugins' data."""
        return self.root / "containers" / container_id

    def bundle(self, container_id: str) -> Path:
        """The OCI bundle and the task's files; short, since a socket is in it."""
        return self.run / "tasks" / container_id

    def log_path(self, container_id: str) -> Path:
        """The CRI format log."""
        return self.data_dir(container_id) / "container.log"

    def exit_path(self, container_id: str) -> Path:
        """The exit file."""
        return self.run / "exits" / container_id

    def plugins_run_dir(self, container_id: str) -> Path:
        """Above the plugins' `run_dir`s; a part of the id keeps paths short enough for sockets in them (108 bytes)."""
        return self.run / "own" / container_id[:24]

    def plugin_dirs(self, container_id: str, handler: str) -> tuple[Path, Path]:
        """A plugin's own directories for one container: `data_dir` and `run_dir`; made when missing."""
        data, run = self.data_dir(container_id) / "plugins" / handler, self.plugins_run_dir(container_id) / handler
        for directory in (data, run):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return data, run

    def mounts_dir(self, container_id: str) -> Path:
        """What the engine mounts for one run; see `staging`."""
        return self.run / "mounts" / container_id

    def remove_directories(self, container_id: str) -> None:
        """Remove everything of the engine's own that is kept for a container; again is fine."""
        self.remove_run_directories(container_id)
        if self.data_dir(container_id).exists():
            shutil.rmtree(self.data_dir(container_id))
        self.exit_path(container_id).unlink(missing_ok=True)

    def remove_run_directories(self, container_id: str) -> None:
        """Remove what one run needed; again is fine."""
        unstage(self.mounts_dir(container_id))
        for directory in (self.bundle(container_id), self.plugins_run_dir(container_id)):
            if directory.exists():
                shutil.rmtree(directory)

    # drivers of a container

    def runtime(self, container: Container) -> RuntimeHooks:
        """Its runtime's hooks."""
        return self.registry.runtime(container.runtime)

    def storage(self, container: Container) -> StorageHooks:
        """Its storage's hooks."""
        return self.registry.handler("storage", container.storage).hooks(StorageHooks)

    def task(self, container: Container) -> Task:
        """The container as its runtime sees it."""
        config, bundle = container.config, self.bundle(container.id)
        handler = self.registry.handler("runtime", container.runtime)
        assert handler.options is not None  # a container is only made for a handler that has them
        requested = config.options.get(handler.name, {})
        options, _ = for_container(handler.name, handler.options, requested, config.annotations)
        data, run = self.plugin_dirs(container.id, handler.name)
        return Task(
            id=container.id,
            handler=handler.name,
            bundle=bundle,
            rootfs=bundle / "rootfs",
            io=TaskIO(
                log_path=None if config.log_driver == "none" else self.log_path(container.id),
                attach_dir=bundle,
                exit_dir=self.run / "exits",
                control_fifo=bundle / "ctl",
                pid_file=bundle / "pid",
                terminal=config.terminal,
                stdin=config.stdin,
                # With a terminal clients come and go, as docker has it: the input ends by Ctrl-D alone.
                stdin_once=config.stdin_once and not config.terminal,
            ),
            sandbox=self.sandbox(container),
            id_mappings=container.id_mappings,
            cgroup=self.cgroup(container),
            annotations=config.annotations,
            resources=container.limits,
            options=options,
            data_dir=data,
            run_dir=run,
        )

    def sandbox(self, container: Container) -> Sandbox:
        """What the container belongs to: a pod, or itself."""
        parent = container.config.cgroup_parent
        return container.config.sandbox or Sandbox(
            id=container.id, cgroup_parent=parent, hostname=container.config.hostname
        )

    def cgroup(self, container: Container) -> str:
        """`linux.cgroupsPath`."""
        return cgroups_path(self.sandbox(container).cgroup_parent, container.id)

    # enhancements of a container

    def enhancements(self, container: Container) -> list[tuple[Handler, IsolationHooks, BaseModel, ContainerView]]:
        """Those that take part, in order, ready to be called with their options.

        Raises:
            NotFound: one is no longer installed.
            Unavailable: one is not ready.
        """
        found = []
        for enhancement in container.enhancements:
            handler = self.registry.handler("isolation", enhancement.handler)
            hooks = handler.hooks(IsolationHooks)
            assert handler.options_model is not None  # it is ready
            options = handler.options_model.model_validate(enhancement.options)
            found.append((handler, hooks, options, self.view(container, handler.name)))
        return found

    def view(self, container: Container, handler: str) -> ContainerView:
        """The container as a plugin may see it."""
        data, run = self.plugin_dirs(container.id, handler)
        return ContainerView(
            id=container.id,
            name=container.name,
            image=container.image_name,
            image_id=container.image_id,
            labels=container.labels,
            config=container.config,
            resources=container.limits,
            mounts=container.mounts,
            sandbox=self.sandbox(container),
            runtime=container.runtime,
            runtime_features=self.runtime(container).runtime_features(),
            data_dir=str(data),
            run_dir=str(run),
        )

    def isolation_reports(self, container: Container) -> dict[str, dict[str, object]]:
        """What each enhancement says of the container; one that can not be asked says why."""
        reports: dict[str, dict[str, object]] = {}
        for enhancement in container.enhancements:
            entry: dict[str, Any] = {"options": dict(enhancement.options), "asked": enhancement.asked}
            try:
                handler = self.registry.handler("isolation", enhancement.handler)
                if handler.participant and handler.participant.implements("isolation_report"):
                    assert handler.options_model is not None  # it has a participant
                    report = handler.hooks(IsolationHooks).isolation_report(
                        container=self.view(container, handler.name),
                        options=handler.options_model.model_validate(enhancement.options),
                    )
                    entry["report"] = report.model_dump(mode="json")
            except PouchError as error:
                entry["error"] = str(error)
            reports[enhancement.handler] = entry
        return reports

    # events of a container

    def tell(self, action: str, container: Container, **attributes: str) -> None:
        """Emit an event of a container, with what docker's have."""
        labels = {key: value for key, value in container.labels.items() if len(value) < 4096}
        about = {"image": container.image_name, "name": container.name, **labels, **attributes}
        self.events.emit("container", action, container.id, about)
