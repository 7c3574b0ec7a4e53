"""/_ping, /version, /info: what the daemon is and runs on."""

from __future__ import annotations

import os
import platform
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.containers.cgroups import driver_in_force
from pouch_engine.plugins.handlers import Handler
from pouch_hookspecs import API
from pouch_hookspecs.errors import Unavailable
from pouch_linux.cgroups import Layout, Mode, detect_layout

from .keys import ENGINE, WORKERS
from .versions import NEWEST, OLDEST, POUCH_VERSION, text

if TYPE_CHECKING:
    from pouch_engine.engine import Engine

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}


async def ping(request: web.Request) -> web.Response:
    """GET and HEAD /_ping: what the clients' negotiation of the version begins with."""
    return web.Response(
        text="" if request.method == "HEAD" else "OK",
        headers={"Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache"},
    )


async def version(_: web.Request) -> web.Response:
    """GET /version."""
    kernel, python = platform.release(), platform.python_version()
    architecture = _ARCHITECTURES.get(platform.machine(), platform.machine())
    details = {
        "ApiVersion": text(NEWEST),
        "Arch": architecture,
        "KernelVersion": kernel,
        "MinAPIVersion": text(OLDEST),
        "Os": "linux",
        "PluginApiVersion": API,
        "PythonVersion": python,
    }
    return web.json_response(
        {
            "Platform": {"Name": "Pouch"},
            "Components": [{"Name": "Engine", "Version": POUCH_VERSION, "Details": details}],
            "Version": POUCH_VERSION,
            "ApiVersion": text(NEWEST),
            "MinAPIVersion": text(OLDEST),
            "GitCommit": "",
            "GoVersion": "",
            "PythonVersion": python,
            "Os": "linux",
            "Arch": architecture,
            "KernelVersion": kernel,
            "Experimental": False,
            "BuildTime": "",
        }
    )


async def info(request: web.Request) -> web.Response:
    """GET /info."""
    engine = request.app[ENGINE]
    return web.json_response(await request.app[WORKERS].look(describe, engine))


def describe(engine: Engine) -> dict[str, object]:
    """The engine and its host in docker's fields."""
    states = Counter(str(container.state.status) for container in engine.containers())
    running, paused = states["running"], states["paused"]
    registry, layout = engine.registry, detect_layout()
    return {
        "ID": _machine_id(),
        "Containers": states.total(),
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": states.total() - running - paused,
        "Images": len(engine.images.images()),
        "Driver": _storage(engine),
        "DriverStatus": [[handler.name, _state(handler)] for handler in registry.of_role("storage")],
        "Plugins": {
            "Volume": [handler.name for handler in registry.of_role("volume")],
            "Network": ["host", "none", *(handler.name for handler in registry.of_role("network"))],
            "Authorization": [],
            "Log": ["json-file", "local", "none"],
            "Isolation": [handler.name for handler in registry.of_role("isolation")],
        },
        **_limits(layout),
        "Debug": False,
        "SystemTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "LoggingDriver": "json-file",
        "CgroupDriver": driver_in_force(engine.config),
        "CgroupVersion": "2" if layout.mode is Mode.V2 else "1",
        "KernelVersion": platform.release(),
        "OperatingSystem": _operating_system(),
        "OSType": "linux",
        "Architecture": platform.machine(),
        "IndexServerAddress": "",
        "RegistryConfig": {"IndexConfigs": {}, "InsecureRegistryCIDRs": [], "Mirrors": []},
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "DockerRootDir": str(engine.root),
        "Name": platform.node(),
        "Labels": [],
        "ExperimentalBuild": False,
        "ServerVersion": POUCH_VERSION,
        "Runtimes": {row["name"]: {"path": row["driver"]} for row in registry.describe_runtimes()},
        "DefaultRuntime": engine.config.default_runtime,
        "Swarm": {"LocalNodeState": "inactive", "NodeID": "", "NodeAddr": "", "RemoteManagers": None},
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "",
        "SecurityOptions": ["name=seccomp,profile=default"],
        "Warnings": _warnings(engine),
    }


def _storage(engine: Engine) -> str:
    try:
        return engine.registry.storage()[0]
    except Unavailable:
        return ""


def _warnings(engine: Engine) -> list[str]:
    try:
        engine.registry.storage()
    except Unavailable as error:
        return [f"WARNING: {error}"]
    return []


def _state(handler: Handler) -> str:
    state = str(handler.settled())
    return f"{state}: {handler.reason}" if handler.reason else state


def _limits(layout: Layout) -> dict[str, bool]:
    """Which limits this host's cgroups have."""
    if layout.unified and layout.mode is Mode.V2:
        there = set(Path(layout.unified, "cgroup.controllers").read_text().split())
        swap = "memory" in there
    else:
        there = set(layout.controllers)
        swap = "memory" in there and Path(layout.controllers["memory"], "memory.memsw.limit_in_bytes").exists()
    return {
        "MemoryLimit": "memory" in there,
        "SwapLimit": swap,
        "CpuCfsPeriod": "cpu" in there,
        "CpuCfsQuota": "cpu" in there,
        "CPUShares": "cpu" in there,
        "CPUSet": "cpuset" in there,
        "PidsLimit": "pids" in there,
        "OomKillDisable": "memory" in there and layout.mode is not Mode.V2,
        "IPv4Forwarding": _switched_on("/proc/sys/net/ipv4/ip_forward"),
        "BridgeNfIptables": _switched_on("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "BridgeNfIp6tables": _switched_on("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
    }


def _switched_on(path: str) -> bool:
    try:
        return Path(path).read_text().strip() == "1"
    except OSError:
        return False


def _machine_id() -> str:
    """machine-id(5); docker's clients show it and nothing more."""
    try:
        return Path("/etc/machine-id").read_text().strip()
    except OSError:
        return ""


def _operating_system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"


ROUTES = (
    ("GET", "/_ping", ping),
    ("HEAD", "/_ping", ping),
    ("GET", "/version", version),
    ("GET", "/info", info),
)
