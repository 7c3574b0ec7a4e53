"""`pouch update`: change what containers may use, and how they are restarted and named to plugins."""

from __future__ import annotations

from pouch_engine.cli import tell
from pouch_engine.cli.batch import for_each
from pouch_engine.cli.creation import plugin_options, restart_policy
from pouch_engine.cli.environment import key_values, labels, variables
from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_LIMITS = {
    "blkio_weight": "BlkioWeight",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpu_shares": "CpuShares",
    "cpus": "NanoCpus",
    "cpuset_cpus": "CpusetCpus",
    "cpuset_mems": "CpusetMems",
    "memory": "Memory",
    "memory_reservation": "MemoryReservation",
    "memory_swap": "MemorySwap",
    "memory_swappiness": "MemorySwappiness",
    "pids_limit": "PidsLimit",
}
"""A flag's key → docker's field."""


def execute(client: Client, options: Options) -> int:
    """Update each container and print its name; warnings go to stderr."""
    body = update_body(options)
    if not body:
        raise CommandError("nothing to update: give at least one flag, see 'pouch update --help'", 1)

    def update(container: str) -> None:
        answer = client.post(f"/containers/{container}/update", None, body)
        for warning in answer.get("Warnings") or ():
            tell(f"WARNING: {warning}")

    return for_each(options["containers"], update)


def update_body(options: Options) -> dict[str, Any]:
    """Return the JSON body of POST /containers/{id}/update; what was not asked for is not in it."""
    body: dict[str, Any] = {
        field: options[key] for key, field in _LIMITS.items() if options.get(key) not in (None, "", [])
    }
    further = {
        "RestartPolicy": restart_policy(options["restart"]),
        "Env": variables(options["env_file"], options["env"]),
        "Labels": labels(options["label_file"], options["label"]),
        "Annotations": key_values(options["annotation"], "annotation", value_needed=True),
    }
    body |= {field: value for field, value in further.items() if value}
    if body and options["allow_degraded"]:
        body["AllowDegraded"] = True
    if isolation := plugin_options(options["plugin_options"]):
        body["HostConfig"] = {"Isolation": isolation}
    return body
