"""A container as it is asked for, and as a plugin may see it; events; images.

Every edge (Docker's API, CRI, the command line through it) translates its own words into
`ContainerConfig`; this is the model that policies judge and the engine executes: there is no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from pydantic import Field, JsonValue

from .model import Model
from .network import PortMapping
from .resources import Resources
from .tasks import Rlimit, RuntimeFeatures, Sandbox, Size


class MountKind(StrEnum):
    """What is mounted: a host path, a named volume, or fresh memory."""

    BIND = "bind"
    VOLUME = "volume"
    TMPFS = "tmpfs"


class MountRequest(Model):
    """A mount that a container asks for.

    Attributes:
        kind: see `MountKind`.
        target: absolute path inside the container.
        source: host path of a bind, name of a volume (empty: an anonymous one); nothing for tmpfs.
        read_only: also for everything mounted below a bind (recursively, where the kernel can).
        read_only_recursive: with `read_only`: True refuses where the kernel can't do it for what is mounted below,
            False leaves that writable; None: see `read_only`.
        recursive: a bind shows what is mounted below its source, too.
        propagation: `private`, `rprivate`, `slave`, `rslave`, `shared`, `rshared`; empty for `rprivate`.
        create_source: make a missing bind source, or a missing `subpath`, as a directory (docker's `-v`), rather than
            refuse.
        subpath: of a volume: only this directory of it is mounted; relative.
        copy_up: copy what the image has at the target into a fresh volume.
        driver: the volume handler for a volume that does not exist yet.
        driver_options: for a volume that does not exist yet.
        labels: for a volume that does not exist yet.
        options: mount(8) options of a tmpfs (`size=64m`, `mode=1770`), or of a bind (`noexec` …).
        from_image: asked for by the image's VOLUME, not by the user.
    """

    kind: MountKind
    target: str
    source: str = ""
    read_only: bool = False
    read_only_recursive: bool | None = None
    recursive: bool = True
    propagation: str = ""
    create_source: bool = False
    subpath: str = ""
    copy_up: bool = True
    driver: str = ""
    driver_options: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    options: tuple[str, ...] = ()
    from_image: bool = False


class DeviceRequest(Model):
    """A device of the host that a container asks for; `access` is any of r, w, m."""

    host_path: str
    container_path: str
    access: str = "rwm"


class RestartPolicy(Model):
    """When an ended container is started again.

    Attributes:
        name: `no`, `always`, `unless-stopped`, `on-failure`.
        maximum_retries: for `on-failure`; 0 is without end.
    """

    name: str = "no"
    maximum_retries: int = 0


class ContainerConfig(Model):
    """Everything that can be asked of a container, in the engine's own words.

    None (or an empty value where None is not allowed) means: the image's or the engine's default.

    Attributes:
        name: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`; empty lets the engine invent one.
        id: a given id of 64 hexadecimal digits (CRI, PouchContainer's `--specific-id`); empty: random.
        image: a reference or an id.
        entrypoint: replaces the image's and drops its command; `()` clears it.
        command: replaces the image's.
        env: `NAME=value`, later ones win; a name alone takes nothing away here.
        working_dir: absolute; made when missing.
        user: `uid`, `name`, with an optional `:gid` or `:group`.
        groups: further groups by name or number.
        hostname: of its own uts namespace; empty: the first 12 digits of the id.
        domainname: NIS domain name.
        labels: for people and filters.
        annotations: of the OCI spec, and for plugins.
        terminal: a pseudo-terminal.
        console_size: of the terminal at the start.
        stdin: standard input stays open for attaching clients.
        stdin_once: it is closed after the first of them.
        attach_stdin: docker's record of what the creating client attaches to.
        attach_stdout: the same.
        attach_stderr: the same.
        stop_signal: name or number; empty: the image's or SIGTERM.
        stop_timeout_seconds: before SIGKILL; None: 10.
        runtime: the handler; empty: the daemon's default.
        resources: limits.
        mounts: in the order given.
        volumes_from: containers whose volumes and binds this one has, too: `ID` or `ID:ro`.
        network_mode: `none`, `host`, `container:ID`, `ns:PATH` or a network's name; empty: the default.
        ports: to be published.
        pid_mode: `` (own), `host`, `container:ID`.
        ipc_mode: `private`, `host`, `container:ID`, `none`, `shareable`; empty: private.
        uts_mode: `` (own), `host`, `container:ID`.
        cgroup_mode: `private` or `host`; empty: private on cgroup v2, host on v1.
        userns_mode: `` (the daemon's default), `host` (none of its own) or `private`.
        cgroup_parent: in the form of the cgroup driver in force.
        capabilities_add: names with or without CAP_, or ALL.
        capabilities_drop: names with or without CAP_, or ALL.
        privileged: all that this host can grant.
        read_only_rootfs: the root file system is mounted read-only.
        no_new_privileges: prctl(2) PR_SET_NO_NEW_PRIVS.
        seccomp: empty for the default profile, `unconfined`, or a profile's JSON text.
        apparmor: empty for the default, `unconfined`, or a profile's name.
        rlimits: ulimits.
        devices: of the host.
        sysctls: namespaced ones.
        shm_size_bytes: size of /dev/shm; None: 64 MiB.
        init: an init process as pid 1.
        oom_score_adj: -1000 to 1000.
        masked_paths: None: the default list.
        readonly_paths: None: the default list.
        dns: name servers.
        dns_search: search domains.
        dns_options: of resolv.conf(5).
        extra_hosts: `name:address`.
        restart_policy: see `RestartPolicy`.
        auto_remove: removed as soon as it has ended.
        log_driver: `json-file`, `local` or `none`.
        log_options: `max-size`, `max-file`.
        options: what plugins were asked for: handler's name → field → value as it came.
        allow_degraded: a limit that this kernel can't set is left out with a warning, rather than refused.
        sandbox: of a pod's member; None: alone.
    """

    name: str = ""
    id: str = ""
    image: str = ""
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    working_dir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    hostname: str = ""
    domainname: str = ""
    labels: Mapping[str, str] = Field(default_factory=dict)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    terminal: bool = False
    console_size: Size | None = None
    stdin: bool = False
    stdin_once: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    stop_signal: str = ""
    stop_timeout_seconds: int | None = None
    runtime: str = ""
    resources: Resources = Resources()
    mounts: tuple[MountRequest, ...] = ()
    volumes_from: tuple[str, ...] = ()
    network_mode: str = ""
    ports: tuple[PortMapping, ...] = ()
    pid_mode: str = ""
    ipc_mode: str = ""
    uts_mode: str = ""
    cgroup_mode: str = ""
    userns_mode: str = ""
    cgroup_parent: str = ""
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only_rootfs: bool = False
    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    rlimits: tuple[Rlimit, ...] = ()
    devices: tuple[DeviceRequest, ...] = ()
    sysctls: Mapping[str, str] = Field(default_factory=dict)
    shm_size_bytes: int | None = None
    init: bool = False
    oom_score_adj: int | None = None
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    dns: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    log_driver: str = ""
    log_options: Mapping[str, str] = Field(default_factory=dict)
    options: Mapping[str, Mapping[str, JsonValue]] = Field(default_factory=dict)
    allow_degraded: bool = False
    sandbox: Sandbox | None = None


class Mount(Model):
    """A mount as it is, or will be, in a container (OCI runtime spec, `mounts`).

    Attributes:
        target: absolute path inside.
        source: on the host.
        type: `bind`, `tmpfs`, `proc` …
        options: of the OCI runtime spec.
        volume: the volume's name where it is one.
        driver: the volume's handler where it is one.
        subpath: the directory of the volume that is mounted, relative; empty: all of it.
    """

    target: str
    source: str
    type: str = "bind"
    options: tuple[str, ...] = ()
    volume: str = ""
    driver: str = ""
    subpath: str = ""


class ContainerView(Model):
    """What a plugin may see of a container.

    Attributes:
        id: 64 hexadecimal digits.
        name: may change (rename).
        image: the reference that was asked for.
        image_id: digest of the image's configuration.
        labels: of image and request, merged. Never a source of rights: images are hostile.
        config: the request.
        resources: limits now in force.
        mounts: volumes and binds.
        sandbox: what it belongs to.
        runtime: the handler's name.
        runtime_features: what its runtime can do.
        data_dir: of this container for this handler; survives a reboot; exists.
        run_dir: of this container for this handler; gone after a reboot; exists.
    """

    id: str
    name: str
    image: str
    image_id: str
    labels: Mapping[str, str] = Field(default_factory=dict)
    config: ContainerConfig
    resources: Resources
    mounts: tuple[Mount, ...] = ()
    sandbox: Sandbox
    runtime: str
    runtime_features: RuntimeFeatures
    data_dir: str
    run_dir: str


class Event(Model):
    """Something that happened, in the words of Docker's events.

    Attributes:
        type: container, image, volume, network, plugin, daemon.
        action: create, start, die, destroy, …
        id: of the thing: an id or a name.
        attributes: name, image, exitCode, …
        time_ns: nanoseconds since the epoch; never the same twice.
    """

    type: str
    action: str
    id: str
    attributes: Mapping[str, str] = Field(default_factory=dict)
    time_ns: int


class Image(Model):
    """An image in the store.

    Attributes:
        id: digest of its configuration.
        names: references `registry/name:tag`.
        digests: of its manifests.
        labels: of its configuration.
        size_bytes: of all its layers, unpacked.
        created: as its configuration says.
        os: `linux`.
        architecture: `amd64` …
    """

    id: str
    names: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    labels: Mapping[str, str] = Field(default_factory=dict)
    size_bytes: int = 0
    created: datetime | None = None
    os: str = "linux"
    architecture: str = ""


class Descriptor(Model):
    """Verified content (OCI image spec, descriptor)."""

    media_type: str
    digest: str
    size: int
