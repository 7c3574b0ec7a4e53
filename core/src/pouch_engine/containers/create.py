"""create: request → image → enhancements judge → directories → volumes → copy-up. Nothing runs yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pouch_engine.images.catalog import ImageRecord
from pouch_engine.spec.build import Start, build_spec
from pouch_engine.spec.granted import Grants, this_host
from pouch_engine.spec.limits import validate_resources
from pouch_hookspecs import Adjustment, ContainerConfig, MountKind, MountRequest, RuntimeFeatures, User
from pouch_hookspecs.errors import InvalidArgument, Unavailable, Unsupported
from pouch_hookspecs.hooks import IsolationHooks

from .context import Context
from .files import validate_names
from .log_options import validate_log_options
from .mounts import copy_up, make_mount, name_anonymous, needs_copy_up, requested_mounts
from .names import checked_id, checked_name, new_id, new_name
from .record import Command, Container, Enhancement, Intent
from .signals import signal_number
from .undo import Undo

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_RESTART_POLICIES = ("no", "always", "unless-stopped", "on-failure")
_LOG_DRIVERS = ("json-file", "local", "none")


def create(context: Context, config: ContainerConfig) -> tuple[Container, tuple[str, ...]]:
    """See `Engine.container_create`."""
    context.registry.judge_request("create", config)
    config = _normal(config, context)
    features = context.registry.runtime(config.runtime).runtime_features()
    _judge(config, features)
    image = context.images.resolve(config.image)
    storage, hooks = context.registry.storage()
    requests, anonymous = name_anonymous(requested_mounts(config, image.config.config.volumes))
    warnings: list[str] = []
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
    memory, swap = config.resources.memory_limit_bytes, config.resources.memory_swap_limit_bytes
    resources = config.resources
    if memory is not None and swap is None:
        resources = resources.model_copy(update={"memory_swap_limit_bytes": 2 * memory})
    return config.model_copy(
        update={
            "name": checked_name(config.name) if config.name else "",
            "id": checked_id(config.id) if config.id else "",
            "runtime": config.runtime or context.config.default_runtime,
            "network_mode": config.network_mode or "none",
            "resources": resources,
            "log_driver": config.log_driver or "json-file",
        }
    )


def _judge(config: ContainerConfig, features: RuntimeFeatures) -> None:
    """Refuse at the door what can not be."""
    validate_resources(config.resources, this_host())
    validate_names(config)
    if config.ports:
        raise Unsupported("published ports need a network driver, and none is installed", hint="use --network host")
    if config.network_mode not in ("none", "host"):
        raise InvalidArgument(f"network {config.network_mode!r} is not there", hint="there are: none, host")
    if config.network_mode == "host" and not features.host_network:
        raise Unsupported(f"runtime {config.runtime} can not use the host's network")
    for flag, mode, allowed in (
        ("pid", config.pid_mode, ("", "private", "host")),
        ("ipc", config.ipc_mode, ("", "private", "shareable", "host", "none")),
        ("uts", config.uts_mode, ("", "private", "host")),
        ("cgroupns", config.cgroup_mode, ("", "private", "host")),
        ("userns", config.userns_mode, ("", "host")),
    ):
        if mode not in allowed:
            raise InvalidArgument(f"{flag} mode {mode!r} is not one of {', '.join(filter(None, allowed))}")
    if config.restart_policy.name not in _RESTART_POLICIES:
        raise InvalidArgument(
            f"restart policy {config.restart_policy.name!r} is not one of {', '.join(_RESTART_POLICIES)}"
        )
    if config.auto_remove and config.restart_policy.name != "no":
        raise InvalidArgument("a container can't be both removed (--rm) and restarted (--restart) at its end")
    validate_log_options(config.log_options)
    if config.log_driver not in _LOG_DRIVERS:
        raise InvalidArgument(f"log driver {config.log_driver!r} is not one of {', '.join(_LOG_DRIVERS)}")
    if config.stop_signal:
        signal_number(config.stop_signal)
    _judge_strings(config)


def _judge_strings(config: ContainerConfig) -> None:
    for text in (*config.env, *(config.command or ()), *(config.entrypoint or ()), *config.labels.values()):
        if "\0" in text:
            raise InvalidArgument(f"{text!r} has a null character")
    for entry in config.env:
        if not entry.partition("=")[0]:
            raise InvalidArgument(f"invalid environment variable: {entry!r}")
    for name, value in config.sysctls.items():
        if not name.isascii() or any(c.isspace() or c in "=,+\0" for c in name) or any(c in "\n\0+" for c in value):
            raise InvalidArgument(f"sysctl {name}={value} has a character that is not allowed")
        if not name.startswith(("net.", "kernel.shm", "kernel.msg", "kernel.sem", "fs.mqueue.")):
            raise InvalidArgument(f"sysctl {name!r} is not namespaced: it would change the host")
        if name.startswith("net.") and config.network_mode == "host":
            raise InvalidArgument(f"sysctl {name!r} is not allowed in the host's network namespace")


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
            undo.later(context.volumes.remove, request.source, lambda _name: [], force=True)
        mounts.append(make_mount(request, context.volumes, this_host(), anonymous=anonymous))
    return context.table.update(container.id, mounts=tuple(mounts))


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
