"""Files of containers: archive (cp), export, changes (diff), commit."""

from __future__ import annotations

import asyncio
import base64
import json
import stat
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from aiohttp import web

from pouch_engine.images.committing import Commit
from pouch_hookspecs import ChangeKind
from pouch_linux.view import PathStatus

from . import queries
from .create_body import CreateBody, read_body
from .download import stream_archive
from .keys import ENGINE, WORKERS
from .upload import read_upload
from .views.times import timestamp_ns

_STATUS_HEADER = "X-Docker-Container-Path-Stat"
_KINDS = {ChangeKind.MODIFIED: 0, ChangeKind.ADDED: 1, ChangeKind.DELETED: 2}

# Go's io/fs.FileMode is not st_mode: its bits beside the permissions.
_GO_TYPES = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
}
_GO_BITS = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


async def stat_path(request: web.Request) -> web.Response:
    """HEAD /containers/{name}/archive: what is at a path."""
    path = queries.required(request, "path")
    status = await request.app[WORKERS].change(
        request.app[ENGINE].container_stat_path, request.match_info["name"], path
    )
    return web.Response(headers=_status_headers(status))


async def get_archive(request: web.Request) -> web.StreamResponse:
    """GET /containers/{name}/archive: what is at a path, as a tar archive."""
    engine, name, path = request.app[ENGINE], request.match_info["name"], queries.required(request, "path")
    status: Future[PathStatus] = Future()

    async def headers() -> Mapping[str, str]:
        return _status_headers(await asyncio.wrap_future(status))

    return await stream_archive(
        request,
        request.app[WORKERS],
        lambda descriptor: engine.container_read_archive(name, path, descriptor, status.set_result),
        headers,
    )


async def put_archive(request: web.Request) -> web.Response:
    """PUT /containers/{name}/archive: unpack a tar archive into a directory."""
    engine, name, path = request.app[ENGINE], request.match_info["name"], queries.required(request, "path")
    keep_kinds = queries.boolean(request, "noOverwriteDirNonDir")
    as_user = queries.boolean(request, "copyUIDGID")
    await read_upload(
        request,
        request.app[WORKERS],
        lambda descriptor: engine.container_write_archive(
            name, path, descriptor, keep_kinds=keep_kinds, as_user=as_user
        ),
    )
    return web.Response(status=200)


def _status_headers(status: PathStatus) -> Mapping[str, str]:
    document = {
        "name": status.name,
        "size": status.size,
        "mode": _go_mode(status.mode),
        "mtime": timestamp_ns(status.modified_ns),
        "linkTarget": status.link_target,
    }
    return {_STATUS_HEADER: base64.b64encode(json.dumps(document).encode()).decode()}


def _go_mode(mode: int) -> int:
    extra = sum(go for bit, go in _GO_BITS.items() if mode & bit)
    return mode & 0o777 | _GO_TYPES.get(stat.S_IFMT(mode), 0) | extra


async def export(request: web.Request) -> web.StreamResponse:
    """GET /containers/{name}/export: the root file system as a tar archive."""
    engine, name = request.app[ENGINE], request.match_info["name"]
    return await stream_archive(
        request, request.app[WORKERS], lambda descriptor: engine.container_export(name, descriptor)
    )


async def changes(request: web.Request) -> web.Response:
    """GET /containers/{name}/changes: what differs from the image."""
    found = await request.app[WORKERS].change(request.app[ENGINE].container_diff, request.match_info["name"])
    return web.json_response([{"Path": change.path, "Kind": _KINDS[change.kind]} for change in found] or None)


async def commit(request: web.Request) -> web.Response:
    """POST /commit: an image of a container."""
    name = queries.required(request, "container")
    repository, tag = request.query.get("repo", ""), request.query.get("tag", "")
    wanted = Commit(
        reference=f"{repository}:{tag}" if repository and tag else repository,
        author=request.query.get("author", ""),
        message=request.query.get("comment", ""),
        changes=[line for text in request.query.getall("changes", []) for line in text.splitlines() if line.strip()],
        config=_overrides(await queries.json_object(request, optional=True)),
    )
    freeze = queries.boolean(request, "pause", True)
    image = await request.app[WORKERS].change(request.app[ENGINE].container_commit, name, wanted, freeze=freeze)
    return web.json_response({"Id": image}, status=201)


def _overrides(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a container's `Config` that a body gives; an empty one means the container's own."""
    body = read_body(CreateBody, document)
    given = {
        "User": body.user,
        "Env": list(body.env),
        "Cmd": list(body.cmd),
        "Entrypoint": list(body.entrypoint or ()),
        "WorkingDir": body.working_dir,
        "Labels": dict(body.labels),
        "Volumes": {target: {} for target in body.volumes},
        "StopSignal": body.stop_signal,
    }
    return {field: value for field, value in given.items() if value}


ROUTES = (
    ("HEAD", "/containers/{name}/archive", stat_path),
    ("GET", "/containers/{name}/archive", get_archive),
    ("PUT", "/containers/{name}/archive", put_archive),
    ("GET", "/containers/{name}/export", export),
    ("GET", "/containers/{name}/changes", changes),
    ("POST", "/commit", commit),
)
