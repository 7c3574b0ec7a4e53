"""cp: files into and out of a container, as the container sees them, whether it runs or not (CVE-2018-15664).

A running one is entered by its mount namespace; of any other the root file system and its mounts are put together for
the time. Either way a child process does the work that can reach nothing else (pouch_linux.view).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pouch_engine.images.compression import decompressed, peek, recognise
from pouch_engine.images.streams import piped, read_chunks
from pouch_engine.spec.users import resolve_user
from pouch_hookspecs import Mount
from pouch_hookspecs.errors import InvalidArgument, NotFound, PermissionDenied, PouchError, ResourceExhausted
from pouch_linux.paths import Root
from pouch_linux.pidfd import process_start_time
from pouch_linux.view import JailMount, PathStatus, View, ViewError, read_path, stat_path, write_path

from .context import Context
from .files import file_mounts, write_files
from .record import Container


def stat(context: Context, container_id: str, path: str) -> PathStatus:
    """See `Engine.container_stat_path`."""
    _judge(path)
    with view_of(context, container_id) as view, told(context, container_id, path):
        return stat_path(view, path)


def read(
    context: Context, container_id: str, path: str, archive_fd: int, on_status: Callable[[PathStatus], None]
) -> None:
    """See `Engine.container_read_archive`."""
    _judge(path)
    with view_of(context, container_id) as view, told(context, container_id, path):
        read_path(view, path, archive_fd, on_status)
    context.tell("archive-path", context.table.get(container_id))


def write(context: Context, container_id: str, path: str, archive_fd: int, *, keep_kinds: bool, as_user: bool) -> None:
    """See `Engine.container_write_archive`."""
    _judge(path)
    head, stream = peek(read_chunks(archive_fd))
    plain = decompressed(stream, recognise(head))
    owner = _user(context, container_id) if as_user else None
    with view_of(context, container_id) as view, told(context, container_id, path):
        piped(plain, lambda tar: write_path(view, path, tar, owner=owner, keep_kinds=keep_kinds))
    context.tell("extract-to-dir", context.table.get(container_id))


def _judge(path: str) -> None:
    if not path or "\0" in path:
        raise InvalidArgument(f"path {path!r} is not valid: expected a path inside the container")


@contextmanager
def view_of(context: Context, container_id: str, *, bare: bool = False) -> Iterator[View]:
    """The container's file system; one that does not run can't be started before this ends.

    Args:
        context: of the engine.
        container_id: whose.
        bare: nothing is needed that is mounted in it.
    """
    with ExitStack() as held:
        container = context.table.get(container_id)
        view = _namespaces(container, held) if container.state.running else None
        if view is None:
            held.enter_context(context.table.changing(container_id))
            view = _parts(context, context.table.get(container_id), held, bare=bare)
        yield view


def _namespaces(container: Container, held: ExitStack) -> View | None:
    """The view of its first process; None: it has none on this host, or it has just ended."""
    init = container.state.init
    if init is None:
        return None
    try:
        descriptors = [_opened(f"/proc/{init.pid}/ns/{kind}", held) for kind in ("mnt", "user")]
        if process_start_time(init.pid) != init.start_time:  # looked at afterwards: these are not somebody else's
            return None
    except (FileNotFoundError, ProcessLookupError):
        return None
    own_users = os.fstat(descriptors[1]).st_ino == os.stat("/proc/self/ns/user").st_ino
    return View(namespace=descriptors[0], user_namespace=None if own_users else descriptors[1])


def _opened(path: str, held: ExitStack) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    held.callback(os.close, descriptor)
    return descriptor


def _parts(context: Context, container: Container, held: ExitStack, *, bare: bool) -> View:
    """Root file system and mounts as they will be when it runs; the caller holds the container's lock."""
    root = held.enter_context(_mounted_root(context, container))
    mounts: list[JailMount] = []
    for mount in () if bare else (*_own_files(context, container), *container.mounts):
        source = mount.source if mount.type == "bind" else ""
        if mount.volume:
            if not container.state.running:
                held.callback(context.volumes.unmount, mount.volume, container.id)
            source = str(context.volumes.mount(mount.volume, container.id))
        mounts.append(JailMount(source, mount.target, read_only="ro" in mount.options, subpath=mount.subpath))
    return View(root=str(root), mounts=tuple(mounts), read_only=container.config.read_only_rootfs)


def _own_files(context: Context, container: Container) -> list[Mount]:
    data = context.data_dir(container.id)
    data.mkdir(mode=0o700, exist_ok=True)
    mounts = file_mounts(container, data)
    if not all(os.path.exists(mount.source) for mount in mounts):
        write_files(container, data)  # it never ran
    return mounts


@contextmanager
def _mounted_root(context: Context, container: Container) -> Iterator[Path]:
    """Where its root file system is mounted on the host; the caller holds the container's lock."""
    storage = context.storage(container)
    root = storage.storage_mount(key=container.id)
    try:
        yield root
    finally:
        if not container.state.running:
            storage.storage_unmount(key=container.id)


def _user(context: Context, container_id: str) -> tuple[int, int] | None:
    """Who its processes are; None where nobody was chosen."""
    with context.table.changing(container_id):
        container = context.table.get(container_id)
        if not container.command.user:
            return None
        with _mounted_root(context, container) as path, Root(path) as root:
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
        return PermissionDenied(f"{where}: {at}{error.message}", hint=_why_not(error, container))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ResourceExhausted(f"{where}: {at}{error.message}", hint="free some disk space")
    return InvalidArgument(f"{where}: {at}{error.message}")


def _why_not(error: ViewError, container: Container) -> str:
    if error.errno != errno.EROFS:
        return ""
    reason = "the root file system, or what is mounted there, is read-only for the container"
    return reason if container.state.running else f"{reason}; a tmpfs has no content until it runs"
