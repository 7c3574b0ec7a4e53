"""Containers in docker's words: the list's row, and inspect."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pouch_engine.containers.record import Container, State, Status
from pouch_hookspecs import Mount

from .host_config import host_config
from .times import ZERO, duration, seconds, timestamp


def listed(container: Container) -> dict[str, Any]:
    """A row of GET /containers/json."""
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image_name,
        "ImageID": container.image_id,
        "Command": " ".join(container.command.args),
        "Created": seconds(container.created_at),
        "Ports": [],
        "Labels": dict(container.labels),
        "State": str(container.state.status),
        "Status": status_text(container.state, datetime.now(UTC)),
        "HostConfig": {"NetworkMode": _network_mode(container)},
        "NetworkSettings": {"Networks": _networks(container)},
        "Mounts": [_mount(mount) for mount in container.mounts],
        "Runtime": container.runtime,
    }


def status_text(state: State, now: datetime) -> str:
    """The status for people: `Up 2 minutes`, `Exited (0) 3 seconds ago`."""
    since_start = duration(_seconds_between(state.started_at, now))
    since_end = duration(_seconds_between(state.finished_at, now))
    match state.status:
        case Status.RUNNING:
            return f"Up {since_start}{' (unsupervised)' if state.unsupervised else ''}"
        case Status.PAUSED:
            return f"Up {since_start} (Paused)"
        case Status.RESTARTING:
            return f"Restarting ({state.exit_code}) {since_end} ago"
        case Status.EXITED:
            return f"Exited ({state.exit_code}) {since_end} ago"
        case Status.CREATED:
            return "Created"
        case Status.REMOVING:
            return "Removal In Progress"
        case _:
            return "Dead"


def shown_as_running(state: State) -> bool:
    """Docker counts a container that is about to be started again among the running ones."""
    return state.running or state.status is Status.RESTARTING


def _seconds_between(begin: datetime | None, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds()) if begin else 0.0


def _network_mode(container: Container) -> str:
    return container.config.network_mode or "default"


def _networks(container: Container) -> dict[str, Any]:
    """Docker counts `none` and `host` as networks."""
    mode = container.config.network_mode or "none"
    if mode not in ("none", "host"):
        return {}
    return {
        mode: {
            "IPAMConfig": None,
            "Links": None,
            "Aliases": None,
            "NetworkID": "",
            "EndpointID": "",
            "Gateway": "",
            "IPAddress": "",
            "IPPrefixLen": 0,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "MacAddress": "",
            "DriverOpts": None,
        }
    }


def _mount(mount: Mount) -> dict[str, Any]:
    kind = "volume" if mount.volume else mount.type if mount.type in ("bind", "tmpfs") else "bind"
    propagation = [option for option in mount.options if option.endswith(("private", "slave", "shared"))]
    document: dict[str, Any] = {
        "Type": kind,
        "Source": mount.source,
        "Destination": mount.target,
        "Mode": "",
        "RW": "ro" not in mount.options,
        "Propagation": propagation[-1] if propagation and kind == "bind" else "",
    }
    return {"Name": mount.volume, "Driver": mount.driver} | document if mount.volume else document


def inspected(container: Container, isolation: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """GET /containers/{id}/json; `isolation` is the engine's report of the enhancements."""
    args = container.command.args
    return {
        "Id": container.id,
        "Created": timestamp(container.created_at),
        "Path": args[0] if args else "",
        "Args": list(args[1:]),
        "State": _state(container.state),
        "Image": container.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": "",
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": container.storage,
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": host_config(container),
        "GraphDriver": {"Name": container.storage, "Data": None},
        "Mounts": [_mount(mount) for mount in container.mounts],
        "Config": _config(container),
        "NetworkSettings": {
            "Bridge": "",
            "SandboxID": "",
            "Ports": {},
            "SandboxKey": "",
            "EndpointID": "",
            "Gateway": "",
            "IPAddress": "",
            "IPPrefixLen": 0,
            "MacAddress": "",
            "Networks": _networks(container),
        },
        "Pouch": {
            "Runtime": container.runtime,
            "Owners": dict(container.owners),
            "Enhancements": {name: dict(report) for name, report in isolation.items()},
            "Warnings": list(container.warnings),
            "Unsupervised": container.state.unsupervised,
        },
    }


def _state(state: State) -> dict[str, Any]:
    init = state.init or state.supervised
    return {
        "Status": str(state.status),
        "Running": shown_as_running(state),
        "Paused": state.status is Status.PAUSED,
        "Restarting": state.status is Status.RESTARTING,
        "OOMKilled": state.oom_killed,
        "Dead": state.status is Status.DEAD,
        "Pid": init.pid if state.running and init else 0,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": timestamp(state.started_at),
        "FinishedAt": ZERO if state.finished_at is None else timestamp(state.finished_at),
    }


def _config(container: Container) -> dict[str, Any]:
    config = container.config
    return {
        "Hostname": config.hostname or container.id[:12],
        "Domainname": config.domainname,
        "User": container.command.user,
        "AttachStdin": config.attach_stdin,
        "AttachStdout": config.attach_stdout,
        "AttachStderr": config.attach_stderr,
        "Tty": config.terminal,
        "OpenStdin": config.stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(container.command.env),
        "Cmd": None if config.command is None else list(config.command),
        "Image": container.image_name,
        "Volumes": {mount.target: {} for mount in config.mounts if mount.kind == "volume" and not mount.source} or None,
        "WorkingDir": config.working_dir or container.command.working_dir,
        "Entrypoint": None if config.entrypoint is None else list(config.entrypoint),
        "OnBuild": None,
        "Labels": dict(container.labels),
        "StopSignal": config.stop_signal or str(container.command.stop_signal),
        "StopTimeout": config.stop_timeout_seconds,
    }
