"""What `run` and `create` ask the daemon for: docker's JSON fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.cli.catalogue import find
from pouch_engine.cli.creation import creation_body, streams_to_attach
from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.mounts import parse_mount
from pouch_engine.cli.parse import parse


def _body(*argv: str) -> dict[str, Any]:
    command, rest = find(["run", *argv])
    options = parse(command, rest)
    return creation_body(options, streams_to_attach(options))


def test_what_is_not_asked_for_is_not_sent() -> None:
    """A plain run sends the image, the streams and the default network, nothing else."""
    assert _body("x") == {
        "Image": "x",
        "AttachStdout": True,
        "AttachStderr": True,
        "HostConfig": {"NetworkMode": "default"},
    }


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["x", "ls", "-l"], "Cmd", ["ls", "-l"]),
        (["--entrypoint", "", "x"], "Entrypoint", [""]),
        (["--entrypoint", "sh", "x"], "Entrypoint", ["sh"]),
        (["-i", "x"], "OpenStdin", True),
        (["-i", "x"], "StdinOnce", True),
        (["-t", "x"], "Tty", True),
        (["-h", "n", "x"], "Hostname", "n"),
        (["-l", "a=b", "x"], "Labels", {"a": "b"}),
        (["-v", "/data", "x"], "Volumes", {"/data": {}}),
        (["--stop-timeout", "0", "x"], "StopTimeout", 0),
        (["-p", "80", "x"], "ExposedPorts", {"80/tcp": {}}),
        (["--expose", "53/udp", "x"], "ExposedPorts", {"53/udp": {}}),
    ],
)
def test_configuration(argv: list[str], field: str, value: Any) -> None:
    """Flags about the process and the image's defaults are fields of the configuration."""
    assert _body(*argv)[field] == value


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        (["-m", "64m"], "Memory", 64 << 20),
        (["--memory-swap", "-1"], "MemorySwap", -1),
        (["--cpus", "0.5"], "NanoCpus", 500_000_000),
        (["-c", "512"], "CpuShares", 512),
        (["--pids-limit", "-1"], "PidsLimit", -1),
        (["--oom-score-adj", "0"], "OomScoreAdj", 0),
        (["--rm"], "AutoRemove", True),
        (["--network", "none"], "NetworkMode", "none"),
        (["-v", "data:/data:ro"], "Binds", ["data:/data:ro"]),
        (["--tmpfs", "/t:size=1m"], "Tmpfs", {"/t": "size=1m"}),
        (["--restart", "on-failure:3"], "RestartPolicy", {"Name": "on-failure", "MaximumRetryCount": 3}),
        (["--ulimit", "nofile=10:20"], "Ulimits", [{"Name": "nofile", "Soft": 10, "Hard": 20}]),
        (["--ulimit", "core=-1"], "Ulimits", [{"Name": "core", "Soft": -1, "Hard": -1}]),
        (
            ["--device", "/dev/null:rw"],
            "Devices",
            [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/null", "CgroupPermissions": "rw"}],
        ),
        (
            ["--device", "/dev/null:/dev/x"],
            "Devices",
            [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}],
        ),
        (["--log-opt", "a=b"], "LogConfig", {"Type": "", "Config": {"a": "b"}}),
        (["--sysctl", "net.x=1"], "Sysctls", {"net.x": "1"}),
        (["--annotation", "a=b"], "Annotations", {"a": "b"}),
        (["--runtime", "crun"], "Runtime", "crun"),
        (["--init"], "Init", True),
        (["--security-opt", "no-new-privileges"], "SecurityOpt", ["no-new-privileges"]),
        (["--security-opt", "seccomp:unconfined"], "SecurityOpt", ["seccomp=unconfined"]),
        (["--security-opt", "systempaths=unconfined"], "MaskedPaths", []),
        (["-p", "127.0.0.1:8080:80"], "PortBindings", {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}),
        (["-p", "[::1]:1:2/udp"], "PortBindings", {"2/udp": [{"HostIp": "::1", "HostPort": "1"}]}),
        (
            ["-p", "8000-8001:80-81"],
            "PortBindings",
            {"80/tcp": [{"HostIp": "", "HostPort": "8000"}], "81/tcp": [{"HostIp": "", "HostPort": "8001"}]},
        ),
    ],
)
def test_host_configuration(argv: list[str], field: str, value: Any) -> None:
    """Flags about the host's side are fields of HostConfig."""
    assert _body(*argv, "x")["HostConfig"][field] == value


def test_seccomp_profile_is_read_here(tmp_path: Path) -> None:
    """The profile's content is sent, for the path means something only to the caller."""
    path = tmp_path / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}, indent=2))
    sent = _body("--security-opt", f"seccomp={path}", "x")["HostConfig"]["SecurityOpt"]
    assert sent == ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']


def test_relative_sources_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bind source that begins with a dot is relative to the caller's directory."""
    monkeypatch.chdir(tmp_path)
    assert _body("-v", "./a:/b", "x")["HostConfig"]["Binds"] == [f"{tmp_path}/a:/b"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-v", "a:b:c:d"], "expected \\[SOURCE:\\]PATH"),
        (["-v", "a:b"], "'b', is not absolute"),
        (["-v", ""], "invalid volume"),
        (["--tmpfs", "t"], "not absolute"),
        (["--ulimit", "nofile"], "expected NAME=SOFT"),
        (["--device", ":x"], "expected HOST"),
        (["--restart", "sometimes"], "invalid restart policy"),
        (["--restart", "always:3"], "invalid restart policy"),
        (["--sysctl", "x"], "expected KEY=VALUE"),
        (["-e", "=x"], "has no name"),
        (["-a", "stdnope"], "expected stdin, stdout or stderr"),
        (["-d", "-a", "stdin"], "--attach and --detach"),
        (["-p", "70000"], "neither a port"),
        (["-p", "1-3:4-5"], "differ in length"),
        (["-p", "80/icmp"], "protocol"),
        (["-p", "9-5"], "ends before it begins"),
        (["--security-opt", "seccomp=/nope.json"], "opening the seccomp profile /nope.json failed"),
    ],
)
def test_what_does_not_parse_is_refused(argv: list[str], message: str) -> None:
    """A value that does not parse is an error of exit code 125 that says what was expected."""
    with pytest.raises(CommandError, match=message) as caught:
        _body(*argv, "x")
    assert caught.value.code == 125


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,src=/a,dst=/b,ro", {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": True}),
        ("source=data,target=/d", {"Type": "volume", "Source": "data", "Target": "/d"}),
        ("target=/d,readonly=false", {"Type": "volume", "Target": "/d", "ReadOnly": False}),
        (
            "bind-propagation=rshared,type=bind,src=/a,dst=/b",
            {"Type": "bind", "Source": "/a", "Target": "/b", "BindOptions": {"Propagation": "rshared"}},
        ),
        (
            'type=volume,dst=/d,volume-driver=local,"volume-opt=o=size=1m,uid=5",volume-nocopy',
            {
                "Type": "volume",
                "Target": "/d",
                "VolumeOptions": {
                    "DriverConfig": {"Name": "local", "Options": {"o": "size=1m,uid=5"}},
                    "NoCopy": True,
                },
            },
        ),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777",
            {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}},
        ),
    ],
)
def test_mounts(text: str, mount: dict[str, Any]) -> None:
    """--mount reads docker's CSV, keys in any order."""
    assert parse_mount(text) == mount


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=bind,dst=/b", "source is required"),
        ("type=bind,src=/a", "target is required"),
        ("type=nfs,dst=/b", "unknown type 'nfs'"),
        ("dst=/b,colour=red", "unknown key 'colour'"),
        ("dst=/b,wild", "not of the form KEY=VALUE"),
        ("type=tmpfs,src=/a,dst=/b", "a tmpfs has no source"),
        ("type=bind,src=/a,dst=/b,tmpfs-size=1m", "is for type=tmpfs"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "octal"),
        ("type=tmpfs,dst=/b,tmpfs-size=big", "invalid size"),
        ("dst=/b,ro=perhaps", "expected true or false"),
    ],
)
def test_wrong_mounts_are_refused(text: str, message: str) -> None:
    """A wrong mount is an error that quotes it and says what is wrong."""
    with pytest.raises(CommandError, match=message):
        parse_mount(text)
