"""create: request → image → enhancements judge → directories → volumes → copy-up. Nothing runs yet."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pouch_engine.images.catalog import ImageRecord
from pouch_engine.plugins.options import for_container
from pouch_engine.plugins.registry import Registry
from pouch_engine.spec.build import Start, build_spec
from pouch_engine.spec.granted import Grants, this_host
from pouch_engine.spec.offered import offered_here, settled_limits
from pouch_hookspecs import Adjustment, ContainerConfig, MountKind, MountRequest, RuntimeFeatures, User
from pouch_hookspecs.errors import InvalidArgument, Unavailable
from pouch_hookspecs.hooks import IsolationHooks

from . import sharing
from .cgroups import checked_parent
from .context import Context
from .contradictions import refuse_contradictions
from .judge import judge
from .mounts import copy_up, make_mount, make_subpath, name_anonymous, needs_copy_up, requested_mounts
from .names import checked_id, checked_name, new_id, new_name
from .record import Command, Container, Enhancement, Intent
from .remove import volume_users
from .signals import signal_number
from .undo import Undo
from .userns import id_mappings
from .volumes_from import inherited_mounts

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def create(context: Context, config: ContainerConfig) -> tuple[Container, tuple[str, ...]]:
    """See `Engine.container_create`."""
    context.registry.judge_request("create", config)
    refuse_contradictions(config)
    config = _normal(config, context)
    features = context.registry.runtime(config.runtime).runtime_features()
    judge(config, features)
    parent = checked_parent(config.cgroup_parent, context.config, config.runtime, features)
    config = config.model_copy(update={"cgroup_parent": parent})
    _judge_runtime_options(context.registry, config)
    config = sharing.settled(context, config, features)
    config, warnings = _settle_limits(config)
    image = context.images.resolve(config.image)
    storage, hooks = context.registry.storage()
    mappings = id_mappings(config, context.config.userns.remap, features, hooks.storage_features)
    sharing.judge_user_namespaces(context, config, mappings)
    inherited = inherited_mounts(context, config.volumes_from)
    requests, anonymous = name_anonymous(requested_mounts(config, image.config.config.volumes, inherited))
    container = Container(
        id=config.id or new_id(),
        name=config.name or _free_name(context),
        image_name=config.image,
        image_id=image.id,
        config=config,
        command=merge_command(config, image),
        labels={**image.config.config.labels, **config.labels},
        runtime=config.runtime,
        storage=storage,
        chain_id=image.chain_id,
        resources=config.resources,
        anonymous_volumes=anonymous,
        id_mappings=mappings,
        enhancements=_enhancements(context, config, warnings),
        intent=Intent.CREATING,
    )
    warnings += _rehearse(container, features)
    with context.images.lease(image):
        context.images.ensure_unpacked(image)
        with Undo() as undo:
            context.table.insert(container)
            undo.later(context.table.delete, container.id)
            undo.later(context.remove_directories, container.id)
            _validate_enhancements(context, container)
            snapshot = hooks.storage_prepare(key=container.id, parent=container.chain_id)
            undo.later(hooks.storage_remove, key=container.id)
            container = _make_mounts(context, container, requests, undo)
            prepared = tuple(context.volumes.prepare(m.volume) for m in container.mounts if m.volume)
            for _, isolation, options, view in context.enhancements(container):
                undo.later(isolation.isolation_removed, container=view, options=options)
                isolation.isolation_storage_ready(container=view, options=options, snapshot=snapshot, volumes=prepared)
            _fill_volumes(context, container, requests)
            container = context.table.update(container.id, intent=Intent.NONE, warnings=tuple(warnings))
            undo.keep()
    context.tell("create", container)
    return container, container.warnings


def _normal(config: ContainerConfig, context: Context) -> ContainerConfig:
    """Fill in what the daemon's configuration decides."""
    of_host = "host" in (config.network_mode, config.uts_mode)
    return config.model_copy(
        update={
            "name": checked_name(config.name) if config.name else "",
            "id": checked_id(config.id) if config.id else "",
            "runtime": config.runtime or context.config.default_runtime,
            "network_mode": config.network_mode or "none",
            "hostname": config.hostname or (socket.gethostname() if of_host else ""),
            "log_driver": config.log_driver or "json-file",
        }
    )


def _settle_limits(config: ContainerConfig) -> tuple[ContainerConfig, list[str]]:
    resources, warnings = settled_limits(config.resources, offered_here(), degraded=config.allow_degraded)
    return config.model_copy(update={"resources": resources}), list(warnings)


def _judge_runtime_options(registry: Registry, config: ContainerConfig) -> None:
    """Options of the container's runtime must fit it; those of another would mean nothing."""
    enhancements = {handler.name for handler in registry.of_role("isolation")}
    for handler in registry.of_role("runtime"):
        if handler.name in config.options and handler.name != config.runtime and handler.name not in enhancements:
            raise InvalidArgument(f"options for runtime {handler.name} are given, but the runtime is {config.runtime}")
    handler = registry.handler("runtime", config.runtime)
    assert handler.options is not None  # it is ready: its features were asked for
    for_container(handler.name, handler.options, config.options.get(handler.name, {}), config.annotations)


def merge_command(config: ContainerConfig, image: ImageRecord) -> Command:
    """docker's rules: a given entrypoint drops the image's command; env of the request wins.

    Raises:
        InvalidArgument: there is no command at all, or the working directory is below /proc.
    """
    defaults = image.config.config
    entrypoint = defaults.entrypoint if config.entrypoint is None else config.entrypoint
    fallback = defaults.cmd if config.entrypoint is None else ()
    args = (*entrypoint, *(fallback if config.command is None else config.command))
    if not args:
        raise InvalidArgument("no command specified: neither the request nor the image has one")
    working_dir = config.working_dir or defaults.working_dir or "/"
    if not working_dir.startswith("/"):
        raise InvalidArgument(f"the working directory {working_dir!r} is invalid, it needs to be an absolute path")
    if Path(working_dir).parts[1:2] == ("proc",) or ".." in Path(working_dir).parts:
        raise InvalidArgument(
            f"the working directory {working_dir!r} is refused: below /proc lies the host (CVE-2024-21626)"
        )
    env = dict(entry.partition("=")[::2] for entry in (DEFAULT_PATH, *defaults.env, *_assignments(config.env)))
    for entry in config.env:
        if "=" not in entry:
            env.pop(entry, None)
    return Command(
        args=args,
        env=tuple(f"{name}={value}" for name, value in env.items()),
        working_dir=working_dir,
        user=config.user or defaults.user,
        stop_signal=signal_number(config.stop_signal or _signal_of(defaults.stop_signal)),
    )


def _assignments(env: Sequence[str]) -> list[str]:
    """A name alone takes a variable away (docker's `-e NAME` for one that is not set)."""
    return [entry for entry in env if "=" in entry]


def _signal_of(image_signal: str) -> str:
    """The image's stop signal; one that is none counts as absent: images are hostile."""
    try:
        signal_number(image_signal or "TERM")
    except InvalidArgument:
        return "TERM"
    return image_signal or "TERM"


def _free_name(context: Context) -> str:
    for _ in range(10):
        name = new_name()
        if all(container.name != name for container in context.table.all()):
            return name
    return f"{new_name()}_{new_id()[:6]}"


def _enhancements(context: Context, config: ContainerConfig, warnings: list[str]) -> tuple[Enhancement, ...]:
    """Those that take part; a default one that is absent and not required is a warning, all else is an error."""
    found = []
    for handler, options, asked in context.registry.enhancements(config.options, config.annotations):
        try:
            handler.hooks(IsolationHooks)
        except Unavailable as error:
            if asked or handler.config.required:
                raise
            warnings.append(f"Isolation {handler.name} is not applied: {error.message}")
            continue
        found.append(Enhancement(handler=handler.name, options=options.model_dump(mode="json"), asked=asked))
    return tuple(found)


def _rehearse(container: Container, features: RuntimeFeatures) -> list[str]:
    """Build the spec once without a root file system: what can not be is refused now, what is reduced is told now."""
    start = Start(
        rootfs=Path("/"),
        user=User(),
        files=(),
        adjustment=Adjustment(),
        namespaces={},
        host_namespaces=frozenset(),
        features=features,
    )
    grants = Grants(this_host())
    build_spec(container, start, "", grants)
    return grants.warnings


def _validate_enhancements(context: Context, container: Container) -> None:
    for _, isolation, options, view in context.enhancements(container):
        isolation.isolation_validate(container=view, options=options)


def _make_mounts(context: Context, container: Container, requests: Sequence[MountRequest], undo: Undo) -> Container:
    mounts = []
    for request in requests:
        anonymous = request.source in container.anonymous_volumes
        if request.kind is MountKind.VOLUME and not context.volumes.exists(request.source):
            undo.later(context.volumes.remove, request.source, partial(_other_users, context, container), force=True)
        mounts.append(make_mount(request, context.volumes, this_host(), anonymous=anonymous))
        if request.subpath and request.create_source:
            make_subpath(mounts[-1], context.volumes, container.id)
    return context.table.update(container.id, mounts=tuple(mounts))


def _other_users(context: Context, container: Container, volume: str) -> list[str]:
    return [name for name in volume_users(context, volume) if name != container.name]


def _fill_volumes(context: Context, container: Container, requests: Sequence[MountRequest]) -> None:
    """Copy image data up into fresh volumes; the root file system is mounted for this alone."""
    fresh = [
        mount
        for request, mount in zip(requests, container.mounts, strict=True)
        if mount.volume and needs_copy_up(request, context.volumes.get(mount.volume))
    ]
    if not fresh:
        return
    storage = context.storage(container)
    rootfs = storage.storage_mount(key=container.id)
    try:
        for mount in fresh:
            copy_up(rootfs, mount, context.volumes, container.id)
    finally:
        storage.storage_unmount(key=container.id)
