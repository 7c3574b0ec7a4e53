"""What the engine remembers of a container: one immutable record, replaced as a whole on each change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from pouch_hookspecs import ContainerConfig, IdMappings, Model, Mount, Resources
from pouch_linux.pidfd import ProcessIdentity, process_start_time


class Status(StrEnum):
    """As docker shows it."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


class Intent(StrEnum):
    """What is being done, recorded before it is begun: a daemon that finds it at its start finishes or undoes it."""

    NONE = ""
    CREATING = "creating"
    STARTING = "starting"
    REMOVING = "removing"


class Pid(Model):
    """A process that can be told from a later one with the same number."""

    pid: int
    start_time: int

    @classmethod
    def of(cls, pid: int | None) -> Pid | None:
        """The process with its start time; one that has ended already is remembered without (0 fits no process)."""
        if pid is None:
            return None
        try:
            return cls(pid=pid, start_time=process_start_time(pid))
        except OSError:
            return cls(pid=pid, start_time=0)

    def identity(self) -> ProcessIdentity:
        """For signals and waiting."""
        return ProcessIdentity(self.pid, self.start_time)


class Command(Model):
    """What runs in the container: the image's configuration and the request, merged.

    Attributes:
        args: entrypoint and command.
        env: `NAME=value`, each name once.
        working_dir: absolute.
        user: as text, resolved at each start.
        stop_signal: a number.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    working_dir: str = "/"
    user: str = ""
    stop_signal: int = 15


class Enhancement(Model):
    """An isolation enhancement that takes part.

    Attributes:
        handler: its name.
        options: its `Options` as plain data.
        asked: the container asked for it; False: a default of the configuration.
    """

    handler: str
    options: Mapping[str, JsonValue]
    asked: bool


class State(Model):
    """How a container is now.

    Attributes:
        status: see `Status`.
        supervised: the process whose end is the container's end.
        init: its first process, where there is one on this host.
        exit_code: of the last run.
        error: why it could not be started, or why its end is not an ordinary one.
        oom_killed: the last run ended for want of memory.
        started_at: of the last run.
        finished_at: of the last run.
        restart_count: by the restart policy, since the last start by hand.
        quick_ends: restarts in a row after a run that was soon over: each doubles the delay before the next.
        stopped_by_user: the restart policies `always` and `unless-stopped` honour this.
        kept_at_end: a restart by hand is under way: `--rm` does not count for this end.
        unsupervised: its supervisor was killed; its exit code will not be known.
    """

    status: Status = Status.CREATED
    supervised: Pid | None = None
    init: Pid | None = None
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    restart_count: int = 0
    quick_ends: int = 0
    stopped_by_user: bool = False
    kept_at_end: bool = False
    unsupervised: bool = False

    @property
    def running(self) -> bool:
        """There is a process: paused counts."""
        return self.status in (Status.RUNNING, Status.PAUSED)


class Container(Model):
    """The record.

    Attributes:
        id: 64 hexadecimal digits.
        name: unique.
        created_at: UTC.
        image_name: the reference that was asked for.
        image_id: digest of the image's configuration; empty for none.
        config: the request, as it was judged.
        command: see `Command`.
        labels: of image and request.
        runtime: the handler's name.
        storage: the handler's name.
        chain_id: the image's top layer.
        resources: limits as they were asked for, by updates too.
        adjusted: limits that enhancements set at the last start; those that they leave alone are None.
        updating: the limits that an update was about to put in force; None: none is under way.
        mounts: volumes and binds.
        id_mappings: of its user namespace; empty: it has none.
        anonymous_volumes: made for this container alone.
        enhancements: in order.
        owners: claim → enhancement, of the last start.
        warnings: told at create.
        state: see `State`.
        intent: see `Intent`.
        remove_volumes: with the intent of removing: the anonymous volumes, too.
    """

    id: str
    name: str
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    image_name: str
    image_id: str
    config: ContainerConfig
    command: Command
    labels: Mapping[str, str] = Field(default_factory=dict)
    runtime: str
    storage: str
    chain_id: str
    resources: Resources = Resources()
    adjusted: Resources = Resources()
    updating: Resources | None = None
    mounts: tuple[Mount, ...] = ()
    id_mappings: IdMappings = IdMappings()
    anonymous_volumes: tuple[str, ...] = ()
    enhancements: tuple[Enhancement, ...] = ()
    owners: Mapping[str, str] = Field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    state: State = State()
    intent: Intent = Intent.NONE
    remove_volumes: bool = False

    @property
    def limits(self) -> Resources:
        """The limits in force: those that were asked for, and over them what enhancements set."""
        return self.resources.model_copy(
            update={name: value for name, value in self.adjusted if value not in (None, (), {})}
        )
