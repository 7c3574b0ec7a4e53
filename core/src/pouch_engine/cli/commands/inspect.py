"""`pouch inspect`: the engine's own description of containers, images and volumes."""

from __future__ import annotations

from pouch_engine.cli import tell
from pouch_engine.cli.errors import ApiError, CommandError
from pouch_engine.cli.gotemplate import show_objects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_PATHS = {"container": "/containers/{}/json", "image": "/images/{}/json", "volume": "/volumes/{}"}


def execute(client: Client, options: Options) -> int:
    """Show each object, looked for among containers, images and volumes in this order."""
    kind = options["type"]
    if kind and kind not in _PATHS:
        raise CommandError(f"invalid value {kind!r} for --type: expected {', '.join(_PATHS)}", 1)
    return _inspect(client, options, [kind] if kind else list(_PATHS))


def container(client: Client, options: Options) -> int:
    """Show each container."""
    return _inspect(client, options, ["container"])


def image(client: Client, options: Options) -> int:
    """Show each image."""
    return _inspect(client, options, ["image"])


def volume(client: Client, options: Options) -> int:
    """Show each volume."""
    return _inspect(client, options, ["volume"])


def _inspect(client: Client, options: Options, kinds: Sequence[str]) -> int:
    found, failures = [], []
    for name in options["names"]:
        try:
            found.append(_find(client, name, kinds, options.get("size", False)))
        except ApiError as error:
            failures.append(str(error))
    show_objects(found, options["format"])
    for failure in failures:
        tell(failure)
    return 1 if failures else 0


def _find(client: Client, name: str, kinds: Sequence[str], size: bool) -> Any:
    for kind in kinds:
        try:
            return client.get(_PATHS[kind].format(name), {"size": 1} if size and kind == "container" else None)
        except ApiError as error:
            if error.status != 404 or len(kinds) == 1:
                raise
    raise ApiError(404, f"no such object: {name} (looked for a {', '.join(kinds)} of this name)")
