"""The body of POST /containers/create as docker's clients send it (API 1.43): its fields and their types.

Unknown fields are ignored, as docker does; `null` is the same as absent. What the fields mean is `requests`' matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, Strict, ValidationError, model_validator

from pouch_hookspecs.errors import InvalidArgument

_TRUTH: dict[object, bool] = {"true": True, "1": True, "false": False, "0": False, "": False}


def _truth(value: object) -> object:
    """Clients send booleans as 0 and 1, and as text (compose: "True")."""
    if isinstance(value, bool) or (value not in (0, 1) and not isinstance(value, str)):
        return value
    return _TRUTH.get(str(value).lower(), value)


def _words(value: object) -> object:
    """Docker's strslice: one text is a list of one."""
    return [value] if isinstance(value, str) else value


def _keys(value: object) -> object:
    """Go's set: an object of which only the keys mean something."""
    return list(value) if isinstance(value, dict) else value


Truth = Annotated[bool, Strict(), BeforeValidator(_truth)]
Number = Annotated[int, Strict()]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
Keys = Annotated[tuple[str, ...], BeforeValidator(_keys)]
Texts = tuple[str, ...]
Pairs = Mapping[str, str]


class Document(BaseModel):
    """An object of docker's."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data


D = TypeVar("D", bound=Document)


class Ulimit(Document):
    """A resource limit."""

    name: str = Field(alias="Name")
    soft: Number = Field(alias="Soft")
    hard: Number = Field(alias="Hard")


class Device(Document):
    """A device of the host."""

    path_on_host: str = Field(alias="PathOnHost")
    path_in_container: str = Field(default="", alias="PathInContainer")
    permissions: str = Field(default="", alias="CgroupPermissions")


class WeightDevice(Document):
    """A weight of one block device."""

    path: str = Field(alias="Path")
    weight: Number = Field(alias="Weight")


class ThrottleDevice(Document):
    """A rate of one block device."""

    path: str = Field(alias="Path")
    rate: Number = Field(alias="Rate")


class LogConfig(Document):
    """Where output goes."""

    type: str = Field(default="", alias="Type")
    config: Pairs = Field(default_factory=dict, alias="Config")


class RestartPolicy(Document):
    """When to start again."""

    name: str = Field(default="", alias="Name")
    maximum_retry_count: Number = Field(default=0, alias="MaximumRetryCount")


class BindOptions(Document):
    """Of a mount of type bind."""

    propagation: str = Field(default="", alias="Propagation")
    non_recursive: Truth = Field(default=False, alias="NonRecursive")
    create_mountpoint: Truth = Field(default=False, alias="CreateMountpoint")
    read_only_non_recursive: Truth = Field(default=False, alias="ReadOnlyNonRecursive")
    read_only_force_recursive: Truth = Field(default=False, alias="ReadOnlyForceRecursive")


class DriverConfig(Document):
    """Of a volume that is to be made."""

    name: str = Field(default="", alias="Name")
    options: Pairs = Field(default_factory=dict, alias="Options")


class VolumeOptions(Document):
    """Of a mount of type volume."""

    no_copy: Truth = Field(default=False, alias="NoCopy")
    subpath: str = Field(default="", alias="Subpath")
    labels: Pairs = Field(default_factory=dict, alias="Labels")
    driver_config: DriverConfig = Field(default_factory=DriverConfig, alias="DriverConfig")


class TmpfsOptions(Document):
    """Of a mount of type tmpfs."""

    size_bytes: Number = Field(default=0, alias="SizeBytes")
    mode: Number = Field(default=0, alias="Mode")


class Mount(Document):
    """An entry of `HostConfig.Mounts`."""

    type: str = Field(default="", alias="Type")
    source: str = Field(default="", alias="Source")
    target: str = Field(default="", alias="Target")
    read_only: Truth = Field(default=False, alias="ReadOnly")
    bind_options: BindOptions = Field(default_factory=BindOptions, alias="BindOptions")
    volume_options: VolumeOptions = Field(default_factory=VolumeOptions, alias="VolumeOptions")
    tmpfs_options: TmpfsOptions = Field(default_factory=TmpfsOptions, alias="TmpfsOptions")


class HugepageLimit(Document):
    """A limit of huge pages of one size (as in the OCI runtime spec; docker has none)."""

    page_size: str = Field(alias="PageSize")
    limit: Number = Field(alias="Limit")


class Healthcheck(Document):
    """How to tell that a container is well."""

    test: Texts = Field(default=(), alias="Test")


class HostConfig(Document):
    """What depends on the host."""

    console_size: tuple[Number, Number] | None = Field(default=None, alias="ConsoleSize")
    binds: Texts = Field(default=(), alias="Binds")
    mounts: tuple[Mount, ...] = Field(default=(), alias="Mounts")
    tmpfs: Pairs = Field(default_factory=dict, alias="Tmpfs")
    volumes_from: Texts = Field(default=(), alias="VolumesFrom")
    volume_driver: str = Field(default="", alias="VolumeDriver")
    log_config: LogConfig = Field(default_factory=LogConfig, alias="LogConfig")
    network_mode: str = Field(default="", alias="NetworkMode")
    port_bindings: Mapping[str, Any] = Field(default_factory=dict, alias="PortBindings")
    publish_all_ports: Truth = Field(default=False, alias="PublishAllPorts")
    links: Texts = Field(default=(), alias="Links")
    restart_policy: RestartPolicy = Field(default_factory=RestartPolicy, alias="RestartPolicy")
    auto_remove: Truth = Field(default=False, alias="AutoRemove")
    annotations: Pairs = Field(default_factory=dict, alias="Annotations")
    cap_add: Words = Field(default=(), alias="CapAdd")
    cap_drop: Words = Field(default=(), alias="CapDrop")
    dns: Texts = Field(default=(), alias="Dns")
    dns_options: Texts = Field(default=(), alias="DnsOptions")
    dns_search: Texts = Field(default=(), alias="DnsSearch")
    extra_hosts: Texts = Field(default=(), alias="ExtraHosts")
    group_add: Texts = Field(default=(), alias="GroupAdd")
    cgroupns_mode: str = Field(default="", alias="CgroupnsMode")
    ipc_mode: str = Field(default="", alias="IpcMode")
    pid_mode: str = Field(default="", alias="PidMode")
    uts_mode: str = Field(default="", alias="UTSMode")
    userns_mode: str = Field(default="", alias="UsernsMode")
    privileged: Truth = Field(default=False, alias="Privileged")
    readonly_rootfs: Truth = Field(default=False, alias="ReadonlyRootfs")
    security_opt: Texts = Field(default=(), alias="SecurityOpt")
    storage_opt: Pairs = Field(default_factory=dict, alias="StorageOpt")
    shm_size: Number = Field(default=0, alias="ShmSize")
    sysctls: Pairs = Field(default_factory=dict, alias="Sysctls")
    runtime: str = Field(default="", alias="Runtime")
    isolation: str | Mapping[str, Mapping[str, JsonValue]] = Field(default="", alias="Isolation")
    masked_paths: Texts | None = Field(default=None, alias="MaskedPaths")
    readonly_paths: Texts | None = Field(default=None, alias="ReadonlyPaths")
    init: Truth = Field(default=False, alias="Init")
    oom_score_adj: Number = Field(default=0, alias="OomScoreAdj")
    cgroup_parent: str = Field(default="", alias="CgroupParent")
    memory: Number = Field(default=0, alias="Memory")
    memory_swap: Number = Field(default=0, alias="MemorySwap")
    memory_reservation: Number = Field(default=0, alias="MemoryReservation")
    memory_swappiness: Number = Field(default=-1, alias="MemorySwappiness")
    kernel_memory: Number = Field(default=0, alias="KernelMemory")
    oom_kill_disable: Truth = Field(default=False, alias="OomKillDisable")
    nano_cpus: Number = Field(default=0, alias="NanoCpus")
    cpu_shares: Number = Field(default=0, alias="CpuShares")
    cpu_period: Number = Field(default=0, alias="CpuPeriod")
    cpu_quota: Number = Field(default=0, alias="CpuQuota")
    cpu_realtime_period: Number = Field(default=0, alias="CpuRealtimePeriod")
    cpu_realtime_runtime: Number = Field(default=0, alias="CpuRealtimeRuntime")
    cpuset_cpus: str = Field(default="", alias="CpusetCpus")
    cpuset_mems: str = Field(default="", alias="CpusetMems")
    pids_limit: Number = Field(default=0, alias="PidsLimit")
    blkio_weight: Number = Field(default=0, alias="BlkioWeight")
    blkio_weight_device: tuple[WeightDevice, ...] = Field(default=(), alias="BlkioWeightDevice")
    blkio_device_read_bps: tuple[ThrottleDevice, ...] = Field(default=(), alias="BlkioDeviceReadBps")
    blkio_device_write_bps: tuple[ThrottleDevice, ...] = Field(default=(), alias="BlkioDeviceWriteBps")
    blkio_device_read_iops: tuple[ThrottleDevice, ...] = Field(default=(), alias="BlkioDeviceReadIOps")
    blkio_device_write_iops: tuple[ThrottleDevice, ...] = Field(default=(), alias="BlkioDeviceWriteIOps")
    devices: tuple[Device, ...] = Field(default=(), alias="Devices")
    device_cgroup_rules: Texts = Field(default=(), alias="DeviceCgroupRules")
    device_requests: tuple[Any, ...] = Field(default=(), alias="DeviceRequests")
    ulimits: tuple[Ulimit, ...] = Field(default=(), alias="Ulimits")
    hugepage_limits: tuple[HugepageLimit, ...] = Field(default=(), alias="HugepageLimits")
    allow_degraded: Truth = Field(default=False, alias="AllowDegraded")
    enable_lxcfs: Truth = Field(default=False, alias="EnableLxcfs")
    disk_quota: Pairs = Field(default_factory=dict, alias="DiskQuota")
    quota_id: str = Field(default="", alias="QuotaID")


class NetworkingConfig(Document):
    """Places in networks, by the networks' names."""

    endpoints_config: Mapping[str, Any] = Field(default_factory=dict, alias="EndpointsConfig")


class CreateBody(Document):
    """The whole body."""

    hostname: str = Field(default="", alias="Hostname")
    domainname: str = Field(default="", alias="Domainname")
    user: str = Field(default="", alias="User")
    attach_stdin: Truth = Field(default=False, alias="AttachStdin")
    attach_stdout: Truth = Field(default=False, alias="AttachStdout")
    attach_stderr: Truth = Field(default=False, alias="AttachStderr")
    tty: Truth = Field(default=False, alias="Tty")
    open_stdin: Truth = Field(default=False, alias="OpenStdin")
    stdin_once: Truth = Field(default=False, alias="StdinOnce")
    env: Texts = Field(default=(), alias="Env")
    cmd: Words = Field(default=(), alias="Cmd")
    entrypoint: Words | None = Field(default=None, alias="Entrypoint")
    image: str = Field(default="", alias="Image")
    volumes: Keys = Field(default=(), alias="Volumes")
    working_dir: str = Field(default="", alias="WorkingDir")
    network_disabled: Truth = Field(default=False, alias="NetworkDisabled")
    labels: Pairs = Field(default_factory=dict, alias="Labels")
    stop_signal: str = Field(default="", alias="StopSignal")
    stop_timeout: Number | None = Field(default=None, alias="StopTimeout")
    healthcheck: Healthcheck = Field(default_factory=Healthcheck, alias="Healthcheck")
    host_config: HostConfig = Field(default_factory=HostConfig, alias="HostConfig")
    networking_config: NetworkingConfig = Field(default_factory=NetworkingConfig, alias="NetworkingConfig")


class ExecBody(Document):
    """The body of POST /containers/{id}/exec."""

    cmd: Words = Field(default=(), alias="Cmd")
    env: Texts = Field(default=(), alias="Env")
    working_dir: str = Field(default="", alias="WorkingDir")
    user: str = Field(default="", alias="User")
    tty: Truth = Field(default=False, alias="Tty")
    privileged: Truth = Field(default=False, alias="Privileged")
    attach_stdin: Truth = Field(default=False, alias="AttachStdin")
    attach_stdout: Truth = Field(default=False, alias="AttachStdout")
    attach_stderr: Truth = Field(default=False, alias="AttachStderr")
    detach_keys: str = Field(default="", alias="DetachKeys")


class ExecStartBody(Document):
    """The body of POST /exec/{id}/start."""

    detach: Truth = Field(default=False, alias="Detach")
    tty: Truth = Field(default=False, alias="Tty")
    console_size: tuple[Number, Number] | None = Field(default=None, alias="ConsoleSize")


class VolumeBody(Document):
    """The body of POST /volumes/create."""

    name: str = Field(default="", alias="Name")
    driver: str = Field(default="", alias="Driver")
    driver_opts: Pairs = Field(default_factory=dict, alias="DriverOpts")
    labels: Pairs = Field(default_factory=dict, alias="Labels")


def read_body(model: type[D], document: Mapping[str, Any]) -> D:
    """Put a JSON object into a model.

    Raises:
        InvalidArgument: a field has a wrong type; the first one is named, with its value.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        given = repr(first["input"])[:80]
        raise InvalidArgument(f"{where or 'the body'} is {given}: {first['msg'].lower()}") from error
