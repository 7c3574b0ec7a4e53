"""`pouch ps`: list containers."""

from __future__ import annotations

from pouch_engine.cli.listing import filters, show_list
from pouch_engine.cli.tables import ellipsis, short_id
from pouch_engine.cli.times import ago, local_rfc3339

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "RunningFor": "CREATED",
    "CreatedAt": "CREATED AT",
    "Status": "STATUS",
    "State": "STATE",
    "Ports": "PORTS",
    "Names": "NAMES",
    "Runtime": "RUNTIME",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "Networks": "NETWORKS",
}
_COLUMNS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names", "Runtime")


def execute(client: Client, options: Options) -> int:
    """List containers as docker does, with the runtime of each."""
    size = options["size"] or "{{.Size}}" in (options["format"] or "")
    last = 1 if options["latest"] else options["last"]
    query = {
        "all": True if options["all"] or last else None,
        "limit": last,
        "size": size or None,
        "filters": filters(options["filter"]),
    }
    containers = client.get("/containers/json", query)
    if options["quiet"] and not options["format"]:
        for container in containers:
            print(container["Id"] if options["no_trunc"] else short_id(container["Id"]))
        return 0
    rows = [_row(container, options["no_trunc"]) for container in containers]
    show_list(rows, _HEADERS, (*_COLUMNS, "Size") if size else _COLUMNS, options["format"])
    return 0


def _row(container: dict[str, Any], full: bool) -> dict[str, str]:
    command = container.get("Command") or ""
    names = [name.removeprefix("/") for name in container.get("Names") or ()]
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {
        "ID": container["Id"] if full else short_id(container["Id"]),
        "Image": container["Image"] if full else _image(container["Image"]),
        "Command": f'"{command if full else ellipsis(command, 20)}"',
        "RunningFor": ago(container["Created"]),
        "CreatedAt": local_rfc3339(container["Created"], 0),
        "Status": container.get("Status", ""),
        "State": container.get("State", ""),
        "Ports": ports(container.get("Ports") or ()),
        "Names": ",".join(names if full else [name for name in names if "/" not in name]),
        "Runtime": container.get("Runtime") or (container.get("HostConfig") or {}).get("Runtime", ""),
        "Size": _size(container),
        "Labels": ",".join(f"{key}={value}" for key, value in (container.get("Labels") or {}).items()),
        "Mounts": ",".join(mount.get("Name") or mount.get("Source", "") for mount in container.get("Mounts") or ()),
        "Networks": ",".join(networks),
    }


def _image(image: str) -> str:
    return short_id(image) if image.startswith("sha256:") else image


def _size(container: dict[str, Any]) -> str:
    if "SizeRw" not in container and "SizeRootFs" not in container:
        return ""
    from pouch_engine.cli.sizes import decimal_size

    own = decimal_size(container.get("SizeRw") or 0, 3)
    total = container.get("SizeRootFs") or 0
    return f"{own} (virtual {decimal_size(total, 3)})" if total else own


def ports(published: Sequence[dict[str, Any]]) -> str:
    """Return ports as docker lists them: `0.0.0.0:8080->80/tcp, 443/tcp`."""
    texts = []
    for port in sorted(published, key=lambda entry: (entry["PrivatePort"], entry.get("PublicPort") or 0)):
        inside = f"{port['PrivatePort']}/{port.get('Type', 'tcp')}"
        if port.get("PublicPort"):
            address = port.get("IP", "")
            host = f"[{address}]" if ":" in address else address
            inside = f"{host}:{port['PublicPort']}->{inside}"
        texts.append(inside)
    return ", ".join(texts)
