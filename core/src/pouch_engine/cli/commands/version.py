"""`pouch version`: the versions of the command and of the daemon."""

from __future__ import annotations

import sys

from pouch_engine import __version__
from pouch_engine.cli import tell
from pouch_engine.cli.client import API_VERSION
from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Print both versions; without a daemon the command's own, and fail."""
    ours = {
        "Version": __version__,
        "ApiVersion": API_VERSION,
        "PythonVersion": "{}.{}.{}".format(*sys.version_info[:3]),
        "Os": sys.platform,
    }
    server, failure = None, None
    try:
        server = client.get("/version")
    except CommandError as error:
        failure = error
    if options["format"]:
        if failure and "Server" in options["format"]:
            raise failure
        from pouch_engine.cli.gotemplate import show

        show({"Client": ours, "Server": server}, options["format"])
    else:
        print(_client_text(ours))
        if server:
            print("\n" + _server_text(server))
    if failure:
        tell(str(failure))
        return failure.code or 1
    return 0


def own(client: Client, options: Options) -> int:
    """Print the version of this command alone; no daemon is asked."""
    print(f"Pouch version {__version__}")
    return 0


def _client_text(ours: dict[str, str]) -> str:
    return _section(
        "Client: Pouch",
        [("Version", ours["Version"]), ("API version", ours["ApiVersion"]), ("Python version", ours["PythonVersion"])],
    )


def _server_text(server: dict[str, Any]) -> str:
    api = f"{server.get('ApiVersion')} (minimum version {server.get('MinAPIVersion')})"
    lines = [
        ("Version", server.get("Version")),
        ("API version", api),
        ("Python version", server.get("PythonVersion")),
        ("OS/Arch", f"{server.get('Os')}/{server.get('Arch')}"),
        ("Kernel", server.get("KernelVersion")),
    ]
    name = (server.get("Platform") or {}).get("Name") or "Pouch"
    sections = [_section(f"Server: {name}", lines)]
    for component in server.get("Components") or ():
        if component["Name"] != "Engine":
            sections.append(_section(f" {component['Name']}:", [("Version", component.get("Version"))], "  "))
    return "\n".join(sections)


def _section(title: str, lines: list[tuple[str, Any]], indent: str = " ") -> str:
    return "\n".join([title, *(f"{indent}{key + ':':<17}{value}" for key, value in lines if value)])
