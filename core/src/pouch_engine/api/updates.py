"""POST /containers/{id}/update: docker's body (limits and restart policy) and PouchContainer's (the rest) as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web
from pydantic import Field

from pouch_engine.containers.update import Update
from pouch_hookspecs.errors import InvalidArgument

from . import queries
from .create_body import HostConfig, Pairs, Texts, read_body
from .keys import ENGINE, WORKERS
from .requests import plugin_options, resources_of, restart_policy_of

_LIMITS = {
    "memory": "memory_limit_bytes",
    "memory_reservation": "memory_reservation_bytes",
    "cpu_quota": "cpu_quota_us",
}
"""Of which -1 takes the limit away; docker has a word for that only for some others."""


class UpdateBody(HostConfig):
    """The body; limits and restart policy are where docker has them, with the names of HostConfig."""

    env: Texts = Field(default=(), alias="Env")
    labels: Pairs = Field(default_factory=dict, alias="Labels")
    label: Texts = Field(default=(), alias="Label")
    spec_annotation: Pairs = Field(default_factory=dict, alias="SpecAnnotation")
    host_config: HostConfig = Field(default_factory=HostConfig, alias="HostConfig")


def read_update(document: Mapping[str, Any]) -> tuple[Update, tuple[str, ...]]:
    """Read the body.

    Docker's 0 (of PidsLimit: null) leaves a limit as it is. -1 takes it away, also of Memory, MemoryReservation and
    CpuQuota. An empty label or annotation is taken away, and so is a variable that is named without `=`.

    Returns:
        What is to be changed, and warnings about what is ignored.

    Raises:
        InvalidArgument: a field's type or value is wrong.
        Conflict: two fields exclude each other.
    """
    body = read_body(UpdateBody, document)
    change = Update(
        resources=_resources(body),
        restart_policy=restart_policy_of(body) if body.restart_policy.name else None,
        env=body.env,
        labels={**body.labels, **dict(_pairs(body.label))},
        annotations={**body.annotations, **body.spec_annotation, **body.host_config.annotations},
        options={**plugin_options(body), **plugin_options(body.host_config)},
        allow_degraded=body.allow_degraded or body.host_config.allow_degraded,
    )
    return change, tuple(_ignored(body))


def _resources(body: UpdateBody) -> dict[str, Any]:
    lifted = {name: field for name, field in _LIMITS.items() if getattr(body, name) == -1}
    asked = resources_of(body.model_copy(update=dict.fromkeys(lifted, 0)))
    found = {name: value for name, value in asked if value not in (None, (), {})}
    if not body.memory_swap:
        found.pop("memory_swap_limit_bytes", None)  # what create derives from the memory limit
    if body.pids_limit == 0 and "pids_limit" in body.model_fields_set:
        found["pids_limit"] = -1
    return found | dict.fromkeys(lifted.values())


def _pairs(labels: Texts) -> Iterator[tuple[str, str]]:
    for label in labels:
        key, _, value = label.partition("=")
        if not key:
            raise InvalidArgument(f"invalid label {label[:80]!r}: expected KEY=VALUE")
        yield key, value


def _ignored(body: UpdateBody) -> Iterator[str]:
    if body.kernel_memory:
        yield "KernelMemory is ignored: kernels have no such limit any more."
    for field, value in (("DiskQuota", body.disk_quota), ("QuotaID", body.quota_id)):
        if value:
            yield f"{field} is ignored: no installed plugin offers it."


async def update_container(request: web.Request) -> web.Response:
    """Answer with warnings; null for none, as docker has it."""
    change, ignored = read_update(await queries.json_object(request))
    warnings = await request.app[WORKERS].change(
        request.app[ENGINE].container_update, request.match_info["name"], change
    )
    return web.json_response({"Warnings": [*ignored, *warnings] or None})


ROUTES = (("POST", "/containers/{name}/update", update_container),)
