"""update: limits, restart policy, environment, labels, annotations and plugins' options of an existing container.

What a running container can take is in force at once, all or nothing; the environment counts from the next start on,
and all of it for a container that does not run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue

from pouch_engine.plugins.options import annotated_plugins, for_container
from pouch_engine.spec.granted import this_host
from pouch_engine.spec.limits import validate_resources
from pouch_engine.spec.offered import offered_here, settled_limits
from pouch_hookspecs import ContainerConfig, Resources, RestartPolicy
from pouch_hookspecs.errors import Conflict, DeadlineExceeded, InvalidArgument, Unsupported
from pouch_hookspecs.hooks import IsolationHooks

from . import restarts
from .context import Context
from .record import Container, Enhancement, Status
from .undo import Undo

LATE_ENVIRONMENT = "The environment of the running process stays as it is; the next start has the new one."
RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")


@dataclass(frozen=True)
class Update:
    """What is to be changed; what is not in it stays as it is.

    Attributes:
        resources: name of a field of `Resources` → its new value; None: no limit any more.
        restart_policy: None: unchanged.
        env: `NAME=value` sets a variable, `NAME` alone takes it away.
        labels: an empty value takes the label away.
        annotations: an empty value takes the annotation away.
        options: of plugins: handler → field → value.
        allow_degraded: leave out limits that this kernel can't set, with a warning.
    """

    resources: Mapping[str, Any] = field(default_factory=dict)
    restart_policy: RestartPolicy | None = None
    env: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    allow_degraded: bool = False


def update(context: Context, container_id: str, change: Update) -> tuple[str, ...]:
    """See `Engine.container_update`."""
    with context.table.changing(container_id):
        old = context.table.get(container_id)
        if old.state.status in (Status.REMOVING, Status.DEAD):
            raise Conflict(f"container {old.name} is {old.state.status} and can not be updated")
        new = _changed(old, change)
        context.registry.judge_request("update", new.config)
        _judge(old, new, change)
        new, warnings = _settled(new, change)
        new = new.model_copy(update={"enhancements": _enhancements(context, old, new, change)})
        _validate_enhancements(context, old, new)
        with Undo() as undo:
            if old.state.running:
                _put_in_force(context, old, new, undo)
            changed = ("config", "command", "labels", "resources", "enhancements")
            recorded = context.table.update(old.id, updating=None, **{name: getattr(new, name) for name in changed})
            undo.keep()
        if recorded.state.status is Status.RESTARTING and recorded.config.restart_policy.name == "no":
            restarts.give_up(context, container_id)
        context.tell("update", recorded)
    late = old.state.running and old.command.env != new.command.env
    return (*warnings, LATE_ENVIRONMENT) if late else warnings


def settle(context: Context, container: Container) -> None:
    """Take back what an update had put in force when the daemon was killed in it; again is fine."""
    if container.updating is not None:
        task = context.task(container).model_copy(update={"resources": container.updating})
        context.runtime(container).runtime_update(task=task, resources=container.limits)
        context.table.update(container.id, updating=None)


def _changed(old: Container, change: Update) -> Container:
    """The record as it is to be."""
    resources = old.resources.model_copy(update=dict(change.resources))
    options = {name: dict(values) for name, values in old.config.options.items()}
    for name, values in change.options.items():
        options[name] = options.get(name, {}) | dict(values)
    config = old.config.model_copy(
        update={
            "resources": resources,
            "restart_policy": change.restart_policy or old.config.restart_policy,
            "env": _merged_env(old.config.env, change.env),
            "labels": _merged(old.config.labels, change.labels),
            "annotations": _merged(old.config.annotations, change.annotations),
            "options": options,
        }
    )
    command = old.command.model_copy(update={"env": _merged_env(old.command.env, change.env)})
    labels = _merged(old.labels, change.labels)
    return old.model_copy(update={"config": config, "command": command, "labels": labels, "resources": resources})


def _merged(old: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in {**old, **changes}.items() if value or key not in changes}


def _merged_env(old: Sequence[str], changes: Sequence[str]) -> tuple[str, ...]:
    named = {entry.partition("=")[0]: entry for entry in (*old, *changes)}
    gone = {entry for entry in changes if "=" not in entry}
    return tuple(entry for name, entry in named.items() if name not in gone or entry not in gone)


def _judge(old: Container, new: Container, change: Update) -> None:
    """Refuse at the door what can not be."""
    _judge_strings(change)
    _judge_policy(new.config)
    _judge_memory(new.resources, change.resources)
    validate_resources(new.resources, this_host())
    for name in change.resources:
        owner = old.owners.get(f"resources:{name}")
        if owner is not None and old.state.running:
            raise Conflict(f"{name} of container {old.name} is set by {owner}, and can not be changed beside it")


def _judge_strings(change: Update) -> None:
    for text in (*change.env, *change.labels.values(), *change.annotations.values()):
        if "\0" in text:
            raise InvalidArgument(f"{text!r} has a null character")
    for entry in change.env:
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry!r}")
    for what, names in (("label", change.labels), ("annotation", change.annotations)):
        if "" in names:
            raise InvalidArgument(f"invalid {what}: it has no name")


def _judge_policy(config: ContainerConfig) -> None:
    policy = config.restart_policy.name
    if policy not in RESTART_POLICIES:
        raise InvalidArgument(f"restart policy {policy!r} is not one of {', '.join(RESTART_POLICIES)}")
    if policy != "no" and config.auto_remove:
        raise Conflict(f"a container that is removed when it ends (--rm) can not have restart policy {policy}")


def _judge_memory(resources: Resources, changes: Mapping[str, Any]) -> None:
    """Docker's rule, with its advice: a new memory limit must fit the limit of memory and swap that is there."""
    memory, swap = resources.memory_limit_bytes, resources.memory_swap_limit_bytes
    if "memory_swap_limit_bytes" in changes or swap is None or swap == -1:
        return
    if "memory_limit_bytes" in changes and (memory is None or memory > swap):
        raise InvalidArgument(
            f"memory limit {'-1 (none)' if memory is None else memory} is above the memory-swap limit {swap} that is "
            "set already",
            hint="give --memory-swap at the same time",
        )


def _settled(new: Container, change: Update) -> tuple[Container, tuple[str, ...]]:
    """With the limits that this kernel can set, and warnings about those that it can't."""
    if not change.resources:
        return new, ()
    degraded = change.allow_degraded or new.config.allow_degraded
    resources, warnings = settled_limits(new.resources, offered_here(), degraded=degraded)
    config = new.config.model_copy(update={"resources": resources})
    return new.model_copy(update={"resources": resources, "config": config}), warnings


def _enhancements(context: Context, old: Container, new: Container, change: Update) -> tuple[Enhancement, ...]:
    """Those that take part, with their new options.

    Raises:
        InvalidArgument: an option that is not there, or a wrong value.
        Unsupported: one would have to take part that did not from the container's creation on.
        Conflict: an option of the runtime of a running container.
    """
    if not change.options and not change.annotations:
        return old.enhancements
    options, annotations = new.config.options, new.config.annotations
    there = {enhancement.handler for enhancement in old.enhancements}
    named = set(change.options) | annotated_plugins(change.annotations)
    for handler, _, _ in context.registry.enhancements(options, annotations):
        if handler.name in named - there:
            raise Unsupported(
                f"{handler.name} takes no part in container {old.name}, and can not be added to it",
                hint="create the container anew with this option",
            )
    if old.runtime in named - there and old.state.running:
        raise Conflict(f"options of the runtime {old.runtime} can not be changed while the container runs")
    return tuple(_with_options(context, each, options.get(each.handler, {}), annotations) for each in old.enhancements)


def _with_options(
    context: Context, enhancement: Enhancement, requested: Mapping[str, JsonValue], annotations: Mapping[str, str]
) -> Enhancement:
    handler = context.registry.handler("isolation", enhancement.handler)
    handler.hooks(IsolationHooks)  # it is ready, or says why not
    assert handler.options is not None
    options, asked = for_container(handler.name, handler.options, requested, annotations)
    return Enhancement(handler=handler.name, options=options.model_dump(mode="json"), asked=asked)


def _concerned(old: Container, new: Container) -> set[str]:
    """Enhancements that are told: all of them when limits change, else those whose options do."""
    pairs = zip(old.enhancements, new.enhancements, strict=True)
    return {before.handler for before, after in pairs if old.limits != new.limits or before.options != after.options}


def _validate_enhancements(context: Context, old: Container, new: Container) -> None:
    concerned = _concerned(old, new)
    for handler, isolation, options, view in context.enhancements(new) if concerned else ():
        if handler.name in concerned:
            isolation.isolation_validate(container=view, options=options)


def _put_in_force(context: Context, old: Container, new: Container, undo: Undo) -> None:
    """Enhancements first, since they may refuse, then the runtime, which does all or nothing itself."""
    concerned = _concerned(old, new)
    before = {h.name: (options, view) for h, _, options, view in context.enhancements(old)} if concerned else {}
    for handler, isolation, options, view in context.enhancements(new) if concerned else ():
        if handler.name in concerned:
            was, view_before = before[handler.name]
            undo.later(isolation.isolation_update, container=view_before, old=options, new=was)
            isolation.isolation_update(container=view, old=was, new=options)
    if old.limits != new.limits:
        if not context.runtime(old).runtime_features().update:
            raise Unsupported(f"runtime {old.runtime} can not change limits while it runs", hint="stop it first")
        context.table.update(old.id, updating=new.limits)
        undo.later(context.table.update, old.id, updating=None)
        try:
            context.runtime(old).runtime_update(task=context.task(old), resources=new.limits)
        except DeadlineExceeded:
            undo.later(settle, context, old.model_copy(update={"updating": new.limits}))
            raise
