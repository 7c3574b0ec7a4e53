"""`pouch stats`: what containers use, once or again every second."""

from __future__ import annotations

import sys
import time

from pouch_engine.cli.errors import ApiError
from pouch_engine.cli.listing import show_list
from pouch_engine.cli.sizes import binary_size, decimal_size
from pouch_engine.cli.tables import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

    Samples = Mapping[str, Mapping[str, Any]]
    """A container's id → its figures."""

INTERVAL_SECONDS = 1.0
_CLEAR = "\033[H\033[2J"
_NOTHING = "--"
_HEADERS = {
    "ID": "CONTAINER ID",
    "Container": "CONTAINER",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")


def execute(client: Client, options: Options) -> int:
    """Print the table each second, on a terminal always at its top, until the user interrupts; or print it once."""
    names = options["containers"]
    clear = not options["no_stream"] and sys.stdout.isatty()
    before = _look(client, names or _running(client, options["all"]))
    while True:
        time.sleep(INTERVAL_SECONDS)
        now = _look(client, names or _running(client, options["all"]), known=before)
        rows = [_row(figures, before.get(identity), options["no_trunc"]) for identity, figures in now.items()]
        if clear:
            sys.stdout.write(_CLEAR)
        show_list(rows, _HEADERS, _COLUMNS, options["format"])
        sys.stdout.flush()
        if options["no_stream"] or (names and not now):
            return 0
        before = now


def _running(client: Client, everything: bool) -> list[str]:
    containers = client.get("/containers/json", {"all": everything or None})
    return [container["Id"] for container in containers]


def _look(client: Client, containers: Sequence[str], known: Samples | None = None) -> Samples:
    """Return the figures of each container now; one that is gone is an error only at the first look."""
    found = {}
    for container in containers:
        try:
            figures = client.get(f"/containers/{container}/stats", {"stream": 0, "one-shot": 1})
        except ApiError as error:
            if error.status != 404 or known is None:
                raise
            continue
        found[figures["id"]] = figures
    return found


def _row(figures: Mapping[str, Any], before: Mapping[str, Any] | None, full: bool) -> dict[str, str]:
    identity = figures["id"] if full else short_id(figures["id"])
    name = figures["name"].removeprefix("/")
    row = {"ID": identity, "Container": identity, "Name": name}
    memory = figures.get("memory_stats") or {}
    if not memory:  # it does not run
        absent = f"{_NOTHING} / {_NOTHING}"
        return row | {
            "CPUPerc": _NOTHING,
            "MemUsage": absent,
            "MemPerc": _NOTHING,
            "NetIO": absent,
            "BlockIO": absent,
            "PIDs": _NOTHING,
        }
    used = memory["usage"] - (memory.get("stats") or {}).get("inactive_file", 0)
    limit = memory["limit"]
    networks = (figures.get("networks") or {}).values()
    return row | {
        "CPUPerc": f"{_cpu_percent(figures, before):.2f}%",
        "MemUsage": f"{binary_size(used)} / {binary_size(limit)}",
        "MemPerc": f"{100 * used / limit if limit else 0:.2f}%",
        "NetIO": _two(sum(n["rx_bytes"] for n in networks), sum(n["tx_bytes"] for n in networks)),
        "BlockIO": _two(_block_bytes(figures, "read"), _block_bytes(figures, "write")),
        "PIDs": str((figures.get("pids_stats") or {}).get("current", 0)),
    }


def _cpu_percent(figures: Mapping[str, Any], before: Mapping[str, Any] | None) -> float:
    """Of one processor, so that two that are busy are 200: docker's way to count."""
    now, then = figures["cpu_stats"], (before or {}).get("cpu_stats") or {}
    used = now["cpu_usage"]["total_usage"] - (then.get("cpu_usage") or {}).get("total_usage", 0)
    host = now.get("system_cpu_usage", 0) - then.get("system_cpu_usage", 0)
    return 100.0 * used / host * now.get("online_cpus", 1) if used > 0 and host > 0 else 0.0


def _block_bytes(figures: Mapping[str, Any], operation: str) -> int:
    entries = (figures.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    return sum(entry["value"] for entry in entries if entry["op"].lower() == operation)


def _two(first: int, second: int) -> str:
    return f"{decimal_size(first, 3)} / {decimal_size(second, 3)}"
