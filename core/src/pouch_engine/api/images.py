"""/images: Docker's routes for images that are here; registries are not reached yet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from aiohttp import web

from pouch_engine.images.references import parse_reference
from pouch_engine.images.removal import ImageUser, Removed
from pouch_engine.images.store import AddedImage
from pouch_hookspecs.errors import NotFound, Unsupported

from . import queries
from .keys import ENGINE, WORKERS
from .upload import read_upload
from .views.images import history_document, image_document, image_row

if TYPE_CHECKING:
    from pouch_engine.engine import Engine

_FILTERS = ("before", "dangling", "label", "reference", "since")


async def list_images(request: web.Request) -> web.Response:
    """GET /images/json; a filter for references chooses among the names of an image, too."""
    engine = request.app[ENGINE]
    filters = queries.filters(request, _FILTERS)
    patterns = filters.get("reference", ())

    def find() -> list[dict[str, object]]:
        used = Counter(container.image_id for container in engine.containers())
        found = engine.images.images(filters)
        return [
            image_row(image, _chosen(image.repo_tags, patterns), _chosen(image.repo_digests, patterns), used[image.id])
            for image in found
        ]

    return web.json_response(await request.app[WORKERS].look(find))


def _chosen(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    def fits(name: str) -> bool:
        repository = parse_reference(name).familiar_repository()
        return any(fnmatchcase(name, pattern) or fnmatchcase(repository, pattern) for pattern in patterns)

    return [name for name in names if not patterns or fits(name)]


async def inspect_image(request: web.Request) -> web.Response:
    """GET /images/{name}/json."""
    engine = request.app[ENGINE]

    def look() -> dict[str, object]:
        return image_document(engine.images.resolve(request.match_info["name"]), engine.registry.storage()[0])

    return web.json_response(await request.app[WORKERS].look(look))


async def image_history(request: web.Request) -> web.Response:
    """GET /images/{name}/history."""
    entries = await request.app[WORKERS].look(request.app[ENGINE].images.history, request.match_info["name"])
    return web.json_response(history_document(entries))


async def tag_image(request: web.Request) -> web.Response:
    """POST /images/{name}/tag."""
    repository, tag = queries.required(request, "repo"), request.query.get("tag", "")
    await request.app[WORKERS].change(
        request.app[ENGINE].images.tag, request.match_info["name"], f"{repository}:{tag}" if tag else repository
    )
    return web.Response(status=201)


async def remove_image(request: web.Request) -> web.Response:
    """DELETE /images/{name}."""
    engine = request.app[ENGINE]
    await request.app[WORKERS].look(engine.settle)
    removed = await request.app[WORKERS].change(
        engine.images.remove,
        request.match_info["name"],
        force=queries.boolean(request, "force"),
        in_use=lambda image: users(engine, image),
    )
    return web.json_response(removed_lines(removed))


def removed_lines(removed: Iterable[Removed]) -> list[dict[str, str]]:
    """What was removed, in docker's words."""
    return [{"Untagged": line.untagged} if line.untagged else {"Deleted": line.deleted} for line in removed]


def users(engine: Engine, image: str) -> list[ImageUser]:
    """The containers that were made from an image."""
    return [ImageUser(c.name, c.state.running) for c in engine.containers() if c.image_id == image]


async def load_images(request: web.Request) -> web.Response:
    """POST /images/load: an archive of images."""
    images = await read_upload(request, request.app[WORKERS], request.app[ENGINE].images.load)
    return _lines({"stream": f"Loaded image{_loaded_name(image)}\n"} for image in images)


def _loaded_name(image: AddedImage) -> str:
    if image.names:
        return f": {parse_reference(image.names[0]).familiar()}"
    return f" ID: {image.id}"


async def create_image(request: web.Request) -> web.Response:
    """POST /images/create: an import of a root file system; a pull is refused."""
    wanted = request.query.get("fromImage", "")
    if wanted:
        _refuse_pull(wanted, request.query.get("tag", ""))
    if request.query.get("fromSrc") != "-":
        raise Unsupported(
            "only an archive in the request's body can be imported (fromSrc=-)", hint="download it, and give the file"
        )
    repository, tag = request.query.get("repo", ""), request.query.get("tag", "")
    reference = f"{repository}:{tag}" if repository and tag else repository or None
    changes = request.query.getall("changes", [])
    message = request.query.get("message", "")
    images = request.app[ENGINE].images

    def add(descriptor: int) -> AddedImage:
        return images.import_rootfs(descriptor, reference, changes=changes, message=message)

    image = await read_upload(request, request.app[WORKERS], add)
    return _lines([{"status": image.id}])


def _refuse_pull(name: str, tag: str) -> None:
    separator = "@" if tag.startswith("sha256:") else ":"
    reference = parse_reference(f"{name}{separator}{tag}" if tag else name)
    raise NotFound(
        f"image {reference.familiar()} is not here, and pulling from a registry is not possible yet",
        hint="bring it with `pouch load -i ARCHIVE` or `pouch import ARCHIVE NAME`",
    )


def _lines(documents: Iterable[dict[str, str]]) -> web.Response:
    """Docker's stream of messages."""
    body = b"".join(json.dumps(document).encode() + b"\r\n" for document in documents)
    return web.Response(body=body, content_type="application/json")


ROUTES = (
    ("GET", "/images/json", list_images),
    ("POST", "/images/load", load_images),
    ("POST", "/images/create", create_image),
    ("GET", "/images/{name:.+}/json", inspect_image),
    ("GET", "/images/{name:.+}/history", image_history),
    ("POST", "/images/{name:.+}/tag", tag_image),
    ("DELETE", "/images/{name:.+}", remove_image),
)
