"""cp: files into and out of a container, as the container sees them, whether it runs or not (CVE-2018-15664).

A running one is entered by its mount namespace; of any other the root file system and its mounts are put together for
the time. Either way a child process does the work that can reach nothing else (pouch_linux.view).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pouch_engine.images.compression import decompressed, peek, recognise
from pouch_engine.images.streams import piped, read_chunks
from pouch_engine.spec.users import resolve_user
from pouch_hookspecs import Mount
from pouch_hookspecs.errors import InvalidArgument, NotFound, PermissionDenied, PouchError, ResourceExhausted
from pouch_linux.paths import Root
from pouch_linux.pidfd import process_start_time
from pouch_linux.view import JailMount, PathStatus, View, ViewError, read_path, stat_path, write_path

from .context import Context
from .files import write_files
from .record import Container


def stat(context: Context, container_id: str, path: str) -> PathStatus:
    """See `Engine.container_stat_path`."""
    _judge(path)
    with _view(context, container_id) as view, told(context, container_id, path):
        return stat_path(view, path)


def read(
    context: Context, container_id: str, path: str, archive_fd: int, on_status: Callable[[PathStatus], None]
) -> None:
    """See `Engine.container_read_archive`."""
    _judge(path)
    with _view(context, container_id) as view, told(context, container_id, path):
        read_path(view, path, archive_fd, on_status)
    context.tell("archive-path", context.table.get(container_id))


def write(
    context: Context, container_id: str, path: str, archive_fd: int, *, keep_kinds: bool, as_user: bool
) -> None:
    """See `Engine.container_write_archive`."""
    _judge(path)
    head, stream = peek(read_chunks(archive_fd))
    plain = decompressed(stream, recognise(head))
    owner = _user(context, context.table.get(container_id)) if as_user else None
    with _view(context, container_id) as view, told(context, container_id, path):
        piped(plain, lambda tar: write_path(view, path, tar, owner=owner, keep_kinds=keep_kinds))
    context.tell("extract-to-dir", context.table.get(container_id))


def _judge(path: str) -> None:
    if not path or "\0" in path:
        raise InvalidArgument(f"path {path!r} is not valid: expected a path inside the container")


@contextmanager
def _view(context: Context, container_id: str) -> Iterator[View]:
    """The container's file system; one that does not run can't be started before this ends."""
    container = context.table.get(container_id)
    if container.state.running:
        namespace = _mount_namespace(container)
        if namespace is not None:
            try:
                yield View(namespace=namespace)
            finally:
                os.close(namespace)
            return
    with context.table.changing(container_id):
        container = context.table.get(container_id)
        with mounted_root(context, container) as root, _mounts(context, container) as mounts:
            yield View(root=root, mounts=tuple(mounts), read_only=container.config.read_only_rootfs)


def _mount_namespace(container: Container) -> int | None:
    """A descriptor of its first process's mount namespace; None: it has none on this host, or it has just ended."""
    init = container.state.init
    if init is None:
        return None
    try:
        descriptor = os.open(f"/proc/{init.pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        if process_start_time(init.pid) == init.start_time:  # looked at afterwards: it is not somebody else's
            return descriptor
    except ProcessLookupError:
        pass
    os.close(descriptor)
    return None


@contextmanager
def mounted_root(context: Context, container: Container) -> Iterator[str]:
    """Where its root file system is mounted on the host; the caller holds the container's lock, or it runs."""
    storage = context.storage(container)
    root = storage.storage_mount(key=container.id)
    try:
        yield str(root)
    finally:
        if not context.table.get(container.id).state.running:
            storage.storage_unmount(key=container.id)


@contextmanager
def _mounts(context: Context, container: Container) -> Iterator[list[JailMount]]:
    """What will be mounted in it when it runs."""
    data = context.data_dir(container.id)
    data.mkdir(mode=0o700, exist_ok=True)
    found: list[JailMount] = []
    volumes: list[str] = []
    try:
        for mount in (*write_files(container, data), *container.mounts):
            source = mount.source if mount.type == "bind" else ""
            if mount.volume:
                volumes.append(mount.volume)
                source = str(context.volumes.mount(mount.volume, container.id))
            found.append(JailMount(source, mount.target, read_only=_is_read_only(mount)))
        yield found
    finally:
        if not context.table.get(container.id).state.running:
            for volume in volumes:
                context.volumes.unmount(volume, container.id)


def _is_read_only(mount: Mount) -> bool:
    return "ro" in mount.options


def _user(context: Context, container: Container) -> tuple[int, int] | None:
    """Who its processes are; None where nobody was chosen."""
    if not container.command.user:
        return None
    with context.table.changing(container.id), mounted_root(context, container) as path, Root(path) as root:
        user = resolve_user(root, container.command.user)
    return user.uid, user.gid


@contextmanager
def told(context: Context, container_id: str, path: str) -> Iterator[None]:
    """Turn what the child says into errors for users."""
    try:
        yield
    except ViewError as error:
        raise _for_user(error, context.table.get(container_id), path) from error


def _for_user(error: ViewError, container: Container, path: str) -> PouchError:
    where = f"{container.name}:{path}"
    at = f"{error.path!r}: " if error.path and error.path != path else ""
    if error.errno == errno.ENOENT and not at:
        return NotFound(f"could not find the file {path} in container {container.name}")
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        hint = "the container's root file system is read-only" if container.config.read_only_rootfs else ""
        if not container.state.running:
            hint = hint or "it is mounted read-only, or a tmpfs, which has no content until the container runs"
        return PermissionDenied(f"{where} can not be written: {at}{error.message}", hint=hint)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(f"{where}: {at}{error.message}", hint="free some disk space")
    return InvalidArgument(f"{where}: {at}{error.message}")
