"""`pouch cp`: files between containers and here, by docker's rules (docs.docker.com, `docker container cp`)."""

from __future__ import annotations

import os
import sys

from pouch_engine.cli.copying import Place, base_name, local_source, local_target, placement
from pouch_engine.cli.errors import ApiError, CommandError
from pouch_engine.cli.sizes import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

# Go's io/fs.FileMode, in which the API tells of modes.
_GO_DIRECTORY = 1 << 31
_GO_SYMLINK = 1 << 27


def execute(client: Client, options: Options) -> int:
    """Copy into a container or out of one; `-` is a tar archive on stdin or stdout."""
    (container, source), (target_container, target) = _split(options["source"]), _split(options["target"])
    if container and target_container:
        raise CommandError("copying between containers is not supported: copy to this host in between", 1)
    if container:
        size = _out_of(client, container, source, target, options)
    elif target_container:
        size = _into(client, source, target_container, target, options)
    else:
        raise CommandError("one of the two must be in a container: CONTAINER:PATH", 1)
    if not options["quiet"] and "-" not in (source, target):
        print(f"Successfully copied {decimal_size(size, 3)} to {options['target']}", file=sys.stderr)
    return 0


def _split(text: str) -> tuple[str, str]:
    """Return (container, path); no container for a path of this host, as `/a:b` or `./a:b` is."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    if not container or not path:
        raise CommandError(f"invalid place {text!r}: expected CONTAINER:PATH", 1)
    return container, path


def _out_of(client: Client, container: str, path: str, target: str, options: Options) -> int:
    name = base_name(path)
    if options["follow_link"]:
        path, _ = _followed(client, container, path)
    place = None if target == "-" else local_target(target)
    if place is None and os.isatty(1):
        raise CommandError("the archive would go to the terminal: redirect stdout", 1)
    with client.open("GET", f"/containers/{container}/archive", {"path": path}) as answer:
        if place is None:
            return sum(map(_write_out, answer.chunks()))
        from pouch_engine.cli.untarring import Extraction

        directory, rename = placement(_is_directory(_status(answer.headers)), place, name)
        extraction = Extraction(directory, base_name(path), rename, keep_owners=options["archive"])
        return extraction.run(answer.chunks())


def _write_out(piece: bytes) -> int:
    left = memoryview(piece)
    while left:
        left = left[os.write(1, left) :]
    return len(piece)


def _into(client: Client, source: str, container: str, path: str, options: Options) -> int:
    target = _container_target(client, container, path)
    if source == "-":
        if not target.is_directory:
            raise CommandError(f"destination {container}:{path} must be a directory, to unpack an archive there", 1)
        if os.isatty(0):
            raise CommandError("the archive would come from the terminal: redirect stdin", 1)
        _upload(client, container, target.path, 0)
        return 0
    from pouch_engine.cli.tarring import Archive

    local, name = local_source(source, follow=options["follow_link"]), base_name(source, of_host=True)
    directory, rename = placement(local.is_directory, target, name)
    with Archive(local.path, rename, keep_owners=options["archive"]) as archive:
        _upload(client, container, directory, archive.descriptor)
        return archive.finish()


def _upload(client: Client, container: str, directory: str, source: int) -> None:
    query = {"path": directory, "noOverwriteDirNonDir": "true"}
    address = f"/containers/{container}/archive"
    with client.upload(address, query, "application/x-tar", source, "PUT") as answer:
        answer.read()


def _container_target(client: Client, container: str, path: str) -> Place:
    try:
        path, status = _followed(client, container, path)
    except ApiError:
        return Place(path, exists=False, is_directory=False)  # if it is something else, the upload tells what
    return Place(path, exists=True, is_directory=_is_directory(status))


def _followed(client: Client, container: str, path: str) -> tuple[str, dict[str, Any]]:
    """Return where a path leads if it is a symbolic link, else the path, and what is there. Raises ApiError."""
    address = f"/containers/{container}/archive"
    status = _status(client.head(address, {"path": path}))
    if status["mode"] & _GO_SYMLINK:
        path = status["linkTarget"]
        status = _status(client.head(address, {"path": path}))
    return path, status


def _is_directory(status: dict[str, Any]) -> bool:
    return bool(status["mode"] & _GO_DIRECTORY)


def _status(headers: dict[str, str]) -> dict[str, Any]:
    from binascii import a2b_base64

    from pouch_engine.cli.jsontext import loads

    found: dict[str, Any] = loads(a2b_base64(headers.get("x-docker-container-path-stat", "")).decode())
    return found
