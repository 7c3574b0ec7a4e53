"""Docker's create bodies → what the engine is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pouch_engine.api.requests import read_create
from pouch_hookspecs import ContainerConfig, MountKind, RestartPolicy, Rlimit
from pouch_hookspecs.errors import Conflict, InvalidArgument, PouchError, Unsupported


def create(host: dict[str, Any] | None = None, **fields: Any) -> ContainerConfig:
    """Read a body with these fields and this HostConfig."""
    return read_create({"Image": "busybox", **fields, "HostConfig": host or {}}, "")[0]


def test_what_the_docker_command_line_sends_for_run() -> None:
    """The body of `docker run --rm -it` (20.10), with its empty lists, nulls and zeros, asks for nothing more."""
    config, warnings = read_create(
        {
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": True, "AttachStdout": True,
            "AttachStderr": True, "Tty": True, "OpenStdin": True, "StdinOnce": True, "Env": [], "Cmd": ["sh"],
            "Image": "busybox", "Volumes": {}, "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": {},
            "HostConfig": {
                "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}},
                "NetworkMode": "default", "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
                "AutoRemove": True, "VolumeDriver": "", "VolumesFrom": None, "CapAdd": None, "CapDrop": None,
                "CgroupnsMode": "", "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": None,
                "GroupAdd": None, "IpcMode": "", "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "",
                "Privileged": False, "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None,
                "UTSMode": "", "UsernsMode": "", "ShmSize": 0, "ConsoleSize": [0, 0], "Isolation": "",
                "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
                "BlkioWeightDevice": [], "BlkioDeviceReadBps": None, "CpuPeriod": 0, "CpuQuota": 0,
                "CpusetCpus": "", "CpusetMems": "", "Devices": [], "DeviceCgroupRules": None, "DeviceRequests": None,
                "KernelMemory": 0, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": -1,
                "OomKillDisable": False, "PidsLimit": 0, "Ulimits": None, "CpuCount": 0, "MaskedPaths": None,
                "ReadonlyPaths": None,
            },
            "NetworkingConfig": {"EndpointsConfig": {}},
        },
        "",
    )  # fmt: skip
    assert warnings == ()
    assert config == ContainerConfig(
        image="busybox", command=("sh",), terminal=True, stdin=True, stdin_once=True,
        attach_stdin=True, attach_stdout=True, attach_stderr=True, auto_remove=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "entrypoint"), [(None, None), ([], ()), ([""], ()), ("sh", ("sh",)), (["a", "b"], ("a", "b"))]
)
def test_entrypoint(given: object, entrypoint: object) -> None:
    """Absent is the image's, an empty one clears it, a text is one word."""
    assert create(Entrypoint=given).entrypoint == entrypoint


@pytest.mark.parametrize("value", [True, 1, "True", "true", "1"])
def test_booleans_of_all_clients(value: object) -> None:
    """compose sends 0, 1 and "True"."""
    assert create(Tty=value).terminal is True


def test_limits() -> None:
    """--cpus becomes a quota; what is not said of swap is the engine's to decide."""
    limits = create({"Memory": 64 << 20, "NanoCpus": 500_000_000, "PidsLimit": -1}).resources
    assert (limits.memory_limit_bytes, limits.memory_swap_limit_bytes) == (64 << 20, None)
    assert (limits.cpu_quota_us, limits.cpu_period_us, limits.pids_limit) == (50_000, 100_000, -1)


def test_binds_volumes_and_tmpfs() -> None:
    """A path is a bind whose source is made, a name a volume, nothing an anonymous one; an explicit mount wins."""
    config = create(
        {"Binds": ["/src:/a:ro,rslave", "data:/b:nocopy", "/c"], "Tmpfs": {"/d": "size=1m,mode=700"}},
        Volumes={"/a": {}, "/e": {}},
    )
    bind, volume, anonymous, tmpfs, declared = config.mounts
    assert (bind.kind, bind.source, bind.read_only, bind.propagation, bind.create_source) == (
        MountKind.BIND, "/src", True, "rslave", True,
    )  # fmt: skip
    assert (volume.kind, volume.source, volume.copy_up) == (MountKind.VOLUME, "data", False)
    assert (anonymous.kind, anonymous.source, anonymous.target) == (MountKind.VOLUME, "", "/c")
    assert (tmpfs.kind, tmpfs.options) == (MountKind.TMPFS, ("size=1m", "mode=700"))
    assert (declared.target, declared.source) == ("/e", "")


def test_mounts() -> None:
    """A bind of `Mounts` does not make its source unless it is told to."""
    options = {"NoCopy": True, "Labels": {"k": "v"}}
    config = create(
        {
            "Mounts": [
                {"Type": "bind", "Source": "/s", "Target": "/a", "ReadOnly": True},
                {"Type": "volume", "Source": "v", "Target": "/b", "VolumeOptions": options},
                {"Type": "tmpfs", "Target": "/c", "TmpfsOptions": {"SizeBytes": 1024, "Mode": 0o1770}},
            ]
        }
    )  # fmt: skip
    bind, volume, tmpfs = config.mounts
    assert (bind.create_source, bind.read_only) == (False, True)
    assert (volume.copy_up, volume.labels) == (False, {"k": "v"})
    assert tmpfs.options == ("size=1024", "mode=1770")


def test_isolation_of_plugins() -> None:
    """An object is for plugins; docker's own text means nothing."""
    assert create({"Isolation": {"quota": {"size": "1g"}}}).options == {"quota": {"size": "1g"}}
    assert create({"Isolation": "default"}).options == {}


def test_security_options() -> None:
    """In both spellings."""
    config = create({"SecurityOpt": ["no-new-privileges", "seccomp:unconfined", "label=disable"]})
    assert (config.no_new_privileges, config.seccomp) == (True, "unconfined")


def test_ulimits_and_restart_policy() -> None:
    """-1 is infinity; `on-failure` has a count."""
    config = create(
        {
            "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": -1}],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        }
    )
    assert config.rlimits == (Rlimit(type="RLIMIT_NOFILE", soft=1024, hard=2**64 - 1),)
    assert config.restart_policy == RestartPolicy(name="on-failure", maximum_retries=3)


def test_ignored_fields_are_told() -> None:
    """What is left out is said, not hidden."""
    _, warnings = read_create({"Image": "x", "HostConfig": {"EnableLxcfs": True, "DiskQuota": {"/": "1g"}}}, "")
    assert [warning.split()[0] for warning in warnings] == ["HostConfig.EnableLxcfs", "HostConfig.DiskQuota"]


@pytest.mark.parametrize(
    ("host", "error", "words"),
    [
        ({"Memory": "64m"}, InvalidArgument, "HostConfig.Memory is '64m'"),
        ({"Memory": -5}, InvalidArgument, "Memory is -5"),
        ({"Memory": True}, InvalidArgument, "Memory"),
        ({"Binds": "x"}, InvalidArgument, "HostConfig.Binds"),
        ({"Binds": ["a:b:c:d"]}, InvalidArgument, "expected .SOURCE"),
        ({"Binds": ["/a:/b:rx"]}, InvalidArgument, "option 'rx'"),
        ({"Mounts": [{"Type": "cluster", "Target": "/a"}]}, InvalidArgument, "mount type 'cluster'"),
        ({"Mounts": [{"Type": "bind", "Source": "rel", "Target": "/a"}]}, InvalidArgument, "absolute"),
        ({"RestartPolicy": {"Name": "sometimes"}}, InvalidArgument, "restart policy 'sometimes'"),
        ({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 1}}, InvalidArgument, "only on-failure"),
        ({"RestartPolicy": {"Name": "always"}, "AutoRemove": True}, Conflict, "AutoRemove"),
        ({"NanoCpus": 10**9, "CpuQuota": 1000}, Conflict, "NanoCpus"),
        ({"NanoCpus": 1}, InvalidArgument, "0.01"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 5}]}, InvalidArgument, "soft ≤ hard"),
        ({"Ulimits": [{"Name": "no file", "Soft": 1, "Hard": 1}]}, InvalidArgument, "ulimit name"),
        ({"Devices": [{"PathOnHost": "/dev/null", "CgroupPermissions": "x"}]}, InvalidArgument, "access 'x'"),
        ({"DeviceCgroupRules": ["c 1:3"]}, InvalidArgument, "device rule"),
        ({"SecurityOpt": ["label="]}, InvalidArgument, "security option"),
        ({"Isolation": "hyperv"}, InvalidArgument, "hyperv"),
        ({"PortBindings": {"80/tcp": [{"HostPort": "80"}]}}, Unsupported, "80/tcp"),
        ({"NetworkMode": "bridge"}, Unsupported, "network mode 'bridge'"),
        ({"StorageOpt": {"size": "1g"}}, Unsupported, "StorageOpt"),
        ({"DeviceRequests": [{"Count": -1}]}, Unsupported, "DeviceRequests"),
    ],
)
def test_wrong_or_unsupported_values_are_named(host: dict[str, Any], error: type[PouchError], words: str) -> None:
    """The field, the value, and what is allowed."""
    with pytest.raises(error, match=words):
        create(host)


@pytest.mark.parametrize("mode", ["", "default", "none", "host", "container:abc"])
def test_endpoints_of_the_chosen_mode_are_fine(mode: str) -> None:
    """docker 28 names the mode again in NetworkingConfig."""
    config = create({"NetworkMode": mode}, NetworkingConfig={"EndpointsConfig": {mode or "default": {}}})
    assert config.network_mode == ("" if mode == "default" else mode)
