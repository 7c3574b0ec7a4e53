"""The child process of view: enters a container's file system, does one thing there, and ends."""

from __future__ import annotations

import errno
import json
import os
import posixpath
import resource
import stat
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from pouch_linux.jail import JailMount, enter_namespace, enter_root
from pouch_linux.paths import Root

_ADDRESS_SPACE = 4 << 30
_ARCHIVE = 0

Order = dict[str, Any]


def main() -> NoReturn:
    """Takes its order as JSON in argv[2]; ends the process with a line of JSON on stdout."""
    at = _At()
    try:
        order = json.loads(sys.argv[2])
        _limit_resources()
        operation = _prepared(order["operation"], at)
        if order["namespace"] is not None:
            enter_namespace(order["namespace"], order["user_namespace"], bare=order["operation"] == "export")
        else:
            enter_root(order["root"], [JailMount(**each) for each in order["mounts"]], read_only=order["read_only"])
        with Root("/") as root:
            operation(root, order)
        _say({})
    except BaseException as error:
        # Also what nobody expects: printing a traceback would read source files, which are now the container's.
        number = (error.errno if isinstance(error, OSError) else 0) or 0
        words = (error.strerror if isinstance(error, OSError) else "") or str(error) or repr(error)
        filename = getattr(error, "filename", "")
        _say({"error": words, "errno": number, "path": at.path or (filename if isinstance(filename, str) else "")})
        os._exit(1)
    os._exit(0)


class _At:
    """Where the work is, for an error's words."""

    path = ""


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _limit_resources() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or hard > _ADDRESS_SPACE:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    os.umask(0)  # every mode is given in full


def _prepared(name: str, at: _At) -> Callable[[Root, Order], None]:
    """The operation, with all that it will ever import."""
    if name == "stat":
        return lambda root, order: _say({"status": _status(root, order["path"])})
    if name == "write":
        from pouch_linux.view_unpack import Unpacking, warm_up

        warm_up()

        def write(root: Root, order: Order) -> None:
            owner = order["owner"] and (order["owner"][0], order["owner"][1])
            with Unpacking(root, order["path"], at, owner=owner, keep_kinds=order["keep_kinds"]) as unpacking:
                unpacking.run(_ARCHIVE)

        return write
    from pouch_linux.view_pack import pack

    def read(root: Root, order: Order) -> None:
        path = order["path"]
        _say({"status": _status(root, path)})
        clean, follow = _resolved(path)
        base = posixpath.basename(clean) or "/"
        pack(root, clean, _ARCHIVE, "." if path.endswith("/.") else base, follow=follow)

    return read if name == "read" else lambda root, order: pack(root, "/", _ARCHIVE, "")


def _resolved(path: str) -> tuple[str, bool]:
    """The path in its normal form, as docker has it (".." by text), and whether a link at its end is followed."""
    clean = "/" + posixpath.normpath(f"/{path}").strip("/")
    return clean, clean == "/" or path.endswith(("/", "/."))


def _status(root: Root, path: str) -> dict[str, Any]:
    clean, follow = _resolved(path)
    status = root.stat(clean, follow=follow)
    if follow and not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return {
        "name": posixpath.basename(clean) or "/",
        "size": status.st_size,
        "mode": status.st_mode,
        "modified_ns": status.st_mtime_ns,
        # Only told: whoever uses it resolves it again.
        "link_target": posixpath.realpath(clean) if stat.S_ISLNK(status.st_mode) else "",
    }
