"""`pouch info`: what the engine runs with."""

from __future__ import annotations

from pouch_engine import __version__
from pouch_engine.cli import tell
from pouch_engine.cli.sizes import binary_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Show the daemon's state; its warnings go to stderr."""
    info = client.get("/info")
    if options["format"]:
        from pouch_engine.cli.gotemplate import show

        show(info, options["format"])
        return 0
    print(f"Client: Pouch\n Version:    {__version__}\n\nServer:")
    for line in _lines(info):
        print(f" {line}")
    for warning in info.get("Warnings") or ():
        tell(warning)
    return 0


def _lines(info: dict[str, Any]) -> Iterator[str]:
    yield f"Containers: {info['Containers']}"
    for state in ("Running", "Paused", "Stopped"):
        yield f" {state}: {info[f'Containers{state}']}"
    yield f"Images: {info['Images']}"
    yield f"Server Version: {info['ServerVersion']}"
    yield f"Storage Driver: {info['Driver']}"
    for key, value in info.get("DriverStatus") or ():
        yield f" {key}: {value}"
    yield f"Logging Driver: {info.get('LoggingDriver', '')}"
    yield f"Cgroup Driver: {info.get('CgroupDriver', '')}"
    yield f"Cgroup Version: {info.get('CgroupVersion', '')}"
    plugins = {kind: names for kind, names in (info.get("Plugins") or {}).items() if names}
    if plugins:
        yield "Plugins:"
        yield from (f" {kind}: {' '.join(names)}" for kind, names in plugins.items())
    yield f"Runtimes: {' '.join(sorted(info.get('Runtimes') or {}))}"
    yield f"Default Runtime: {info.get('DefaultRuntime', '')}"
    if info.get("SecurityOptions"):
        yield "Security Options:"
        yield from (f" {_security_option(option)}" for option in info["SecurityOptions"])
    yield f"Kernel Version: {info.get('KernelVersion', '')}"
    yield f"Operating System: {info.get('OperatingSystem', '')}"
    yield f"OSType: {info.get('OSType', '')}"
    yield f"Architecture: {info.get('Architecture', '')}"
    yield f"CPUs: {info.get('NCPU', '')}"
    yield f"Total Memory: {binary_size(info.get('MemTotal') or 0)}"
    yield f"Name: {info.get('Name', '')}"
    yield f"ID: {info.get('ID', '')}"
    yield f"Pouch Root Dir: {info.get('DockerRootDir', '')}"


def _security_option(option: str) -> str:
    """Return `name=seccomp,profile=default` as `seccomp (profile: default)`."""
    fields = dict(field.partition("=")[::2] for field in option.split(","))
    name = fields.pop("name", option)
    details = ", ".join(f"{key}: {value}" for key, value in fields.items())
    return f"{name} ({details})" if details else name
