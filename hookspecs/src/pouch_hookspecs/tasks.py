"""A container as a runtime sees it: the task, its files, its state, its processes.

The files of a task (log, attach socket, exit file, control fifo, pid file) are specified in
`task-contract.md`; whoever runs the container's process, the engine sees the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field, SerializeAsAny

from .model import Model
from .network import PortMapping
from .resources import Resources


class NamespaceKind(StrEnum):
    """The names of the OCI runtime spec's `linux.namespaces[].type`."""

    MOUNT = "mount"
    UTS = "uts"
    IPC = "ipc"
    PID = "pid"
    NETWORK = "network"
    USER = "user"
    CGROUP = "cgroup"
    TIME = "time"


class IdMapping(Model):
    """One line of uid_map or gid_map, user_namespaces(7)."""

    container_id: int
    host_id: int
    size: int


class IdMappings(Model):
    """The mappings of a user namespace; both empty means: no user namespace of its own."""

    uids: tuple[IdMapping, ...] = ()
    gids: tuple[IdMapping, ...] = ()


class SandboxRole(StrEnum):
    """Where a task stands in its sandbox: alone (docker's way), a pod's first, or a further member."""

    ALONE = "alone"
    FIRST = "first"
    MEMBER = "member"


class Sandbox(Model):
    """A pod, or one container by itself.

    A machine (a runtime with a kernel of its own) belongs to the sandbox: it has its own supervisor and
    lives in `cgroup_parent`, never in its first container's cgroup.

    Attributes:
        id: equal to the container's id where `role` is alone.
        role: see `SandboxRole`.
        namespaces: those that the members share, pinned at these paths.
        cgroup_parent: in the form of the cgroup driver in force.
        resources: limits of the whole sandbox.
        overhead: what the runtime itself may use on top (Kubernetes' pod overhead).
        hostname: of the shared uts namespace.
        dns: name servers.
        ports: published ports.
    """

    id: str
    role: SandboxRole = SandboxRole.ALONE
    namespaces: Mapping[NamespaceKind, Path] = Field(default_factory=dict)
    cgroup_parent: str = ""
    resources: Resources = Resources()
    overhead: Resources = Resources()
    hostname: str = ""
    dns: tuple[str, ...] = ()
    ports: tuple[PortMapping, ...] = ()


class TaskIO(Model):
    """The files through which the engine talks with a supervised process (hookspecs/task-contract.md).

    Attributes:
        log_path: CRI format log; None for no log at all.
        attach_dir: the directory in which the SOCK_SEQPACKET socket `attach` appears.
        exit_dir: the directory in which the exit file, named by the container's id, appears.
        control_fifo: terminal size and log reopening are asked for here.
        pid_file: holds `supervised_pid` as decimal text.
        terminal: the process gets a pseudo-terminal.
        stdin: the process's standard input can be written to; otherwise it is /dev/null.
        stdin_once: standard input is closed when the first attached client has closed its side.
    """

    log_path: Path | None
    attach_dir: Path
    exit_dir: Path
    control_fifo: Path
    pid_file: Path
    terminal: bool = False
    stdin: bool = False
    stdin_once: bool = False


class Task(Model):
    """One container to be run, or running.

    Attributes:
        id: the container's id, 64 hexadecimal digits (CRI and `--specific-id` included).
        handler: the name of the handler that runs it.
        bundle: an OCI bundle; the engine has written its `config.json`. Must stay until `runtime_delete`.
        rootfs: the mounted root file system, also in the bundle's config.
        io: the files of its first process.
        sandbox: what it belongs to.
        namespaces: those that the engine made or found and the runtime must join, as in config.json.
        id_mappings: of its user namespace.
        cgroup: `linux.cgroupsPath` of config.json.
        annotations: of config.json.
        resources: the limits of config.json in neutral form.
        options: the driver's `Options`: the handler's configuration with what this container asked for.
        data_dir: a directory of this container for this handler that survives a reboot; exists.
        run_dir: a directory of this container for this handler, gone after a reboot; exists, short
            enough for a socket in it (108 bytes).
    """

    id: str
    handler: str
    bundle: Path
    rootfs: Path
    io: TaskIO
    sandbox: Sandbox
    namespaces: Mapping[NamespaceKind, Path] = Field(default_factory=dict)
    id_mappings: IdMappings = IdMappings()
    cgroup: str = ""
    annotations: Mapping[str, str] = Field(default_factory=dict)
    resources: Resources = Resources()
    options: SerializeAsAny[BaseModel]
    data_dir: Path
    run_dir: Path


class TaskStatus(StrEnum):
    """As the OCI runtime spec's state, and `paused`."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"


class TaskState(Model):
    """What a runtime says of a task.

    Attributes:
        status: see `TaskStatus`.
        supervised_pid: the process whose end is the container's end; None once it has ended.
        init_pid: the container's first process on this host, good for /proc, setns and top; None where
            there is none (a kernel of its own) or no longer one.
        exit_code: 0 to 255, 128+n for signal n; None while it runs.
        started_at: when the process was started, if the runtime knows.
        finished_at: when it ended, if the runtime knows.
        oom: it was killed for want of memory.
    """

    status: TaskStatus
    supervised_pid: int | None = None
    init_pid: int | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    oom: bool = False


class Rlimit(Model):
    """One resource limit; `type` as in the OCI runtime spec: `RLIMIT_NOFILE`."""

    type: str
    soft: int
    hard: int


class User(Model):
    """Whom a process runs as: numbers, resolved inside the container's root file system."""

    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()


class Size(Model):
    """A terminal's size in characters."""

    width: int
    height: int


class Process(Model):
    """A further process in a running container (exec).

    Attributes:
        exec_id: its id, 64 hexadecimal digits.
        args: command and arguments; the first is looked up in the container's PATH.
        env: the whole environment, `NAME=value`.
        cwd: absolute.
        user: see `User`.
        io: its own files; `exit_dir` is its own, too, since the exit file bears the container's id.
        capabilities: names with CAP_; None: those of the container.
        no_new_privileges: prctl(2) PR_SET_NO_NEW_PRIVS.
        rlimits: of this process.
        size: the terminal's size at the start.
        apparmor_profile: empty for none.
    """

    exec_id: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: User = User()
    io: TaskIO
    capabilities: tuple[str, ...] | None = None
    no_new_privileges: bool = False
    rlimits: tuple[Rlimit, ...] = ()
    size: Size | None = None
    apparmor_profile: str = ""


class ExecHandle(Model):
    """A started exec process: `supervised_pid`'s end is its end.

    Attributes:
        exec_id: of `Process`.
        supervised_pid: its end is the exec's end.
        attach_fd: a connection to `process.io.attach_dir/attach` that was made before the process ran and misses
            nothing. The receiver owns it and must close it. None: connect to the socket.
    """

    exec_id: str
    supervised_pid: int
    attach_fd: int | None = None


class TaskProcess(Model):
    """A row of `top`: a process inside the container, `pid` is the host's where that means something."""

    pid: int
    ppid: int
    uid: int
    args: str
    cpu_ns: int = 0
    started_at: datetime | None = None
    tty: str = "?"


class RootfsKind(StrEnum):
    """How the runtime takes its root file system: a directory shared with the host, or a block device."""

    SHARED = "shared"
    BLOCK = "block"


class RuntimeFeatures(Model):
    """What a runtime can do. The engine asks these, never a runtime's name.

    Attributes:
        namespaces: kinds that it can make or join.
        cgroup_versions: of 1 and 2; on a hybrid host 1 counts.
        cgroup_drivers: of `cgroupfs` and `systemd`.
        exec: further processes.
        pause: pause and resume.
        update: limits of a running container.
        checkpoint: checkpoint and restore.
        idmapped_mounts: mounts with `uidMappings`.
        user_namespaces: containers with a user namespace.
        seccomp: filters, with the actions in `seccomp_actions` if known.
        seccomp_actions: as `SCMP_ACT_ERRNO`.
        apparmor: profiles.
        selinux: labels.
        rlimits: as `RLIMIT_NOFILE`, empty for all.
        hooks: of the OCI runtime spec.
        own_kernel: containers do not share the host's kernel.
        guest_kernel: its version, where the runtime knows.
        rootfs: see `RootfsKind`.
        proc_binds: files below /proc that may be bound over; None for any.
        supervised_by_proxy: the supervised process only stands for the container: exits of 137 and 255
            are confirmed by `runtime_state`.
        pods: a sandbox of several containers.
        host_network: can join the host's network namespace.
        assumed: true where no command told, but a table by version.
        version: of the runtime's command.
    """

    namespaces: frozenset[NamespaceKind] = frozenset()
    cgroup_versions: frozenset[int] = frozenset({1, 2})
    cgroup_drivers: frozenset[str] = frozenset({"cgroupfs"})
    exec: bool = True
    pause: bool = True
    update: bool = True
    checkpoint: bool = False
    idmapped_mounts: bool = False
    user_namespaces: bool = True
    seccomp: bool = True
    seccomp_actions: frozenset[str] = frozenset()
    apparmor: bool = False
    selinux: bool = False
    rlimits: frozenset[str] = frozenset()
    hooks: frozenset[str] = frozenset()
    own_kernel: bool = False
    guest_kernel: str = ""
    rootfs: RootfsKind = RootfsKind.SHARED
    proc_binds: frozenset[str] | None = None
    supervised_by_proxy: bool = False
    pods: bool = True
    host_network: bool = True
    assumed: bool = True
    version: str = ""
