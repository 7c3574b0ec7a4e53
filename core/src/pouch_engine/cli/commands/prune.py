"""`pouch container prune`, `image prune`, `system prune`: remove what nobody uses."""

from __future__ import annotations

from pouch_engine.cli.confirm import confirm
from pouch_engine.cli.listing import filters
from pouch_engine.cli.sizes import decimal_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_CONTAINERS = "all stopped containers"
_DANGLING = "all images without a name that no container uses"
_UNUSED = "all images that no container uses"
_VOLUMES = "all anonymous volumes that no container uses, with their data"


def containers(client: Client, options: Options) -> int:
    """Remove all stopped containers, after asking."""
    if not options["force"]:
        confirm([f"{_CONTAINERS}."])
    _tell_total(_containers(client, options["filter"]))
    return 0


def images(client: Client, options: Options) -> int:
    """Remove images that nobody uses, after asking."""
    if not options["force"]:
        confirm([f"{_UNUSED if options['all'] else _DANGLING}."])
    _tell_total(_images(client, options["filter"], everything=options["all"]))
    return 0


def system(client: Client, options: Options) -> int:
    """Remove stopped containers, then images and (if asked for) volumes that nobody uses any more, after asking."""
    what = [_CONTAINERS, _UNUSED if options["all"] else _DANGLING]
    if options["volumes"]:
        what.insert(1, _VOLUMES)
    if not options["force"]:
        confirm(what)
    total = _containers(client, options["filter"])
    if options["volumes"]:
        total += _volumes(client, options["filter"])
    total += _images(client, options["filter"], everything=options["all"])
    _tell_total(total)
    return 0


def _containers(client: Client, given: Sequence[str]) -> int:
    result = client.post("/containers/prune", {"filters": filters(given)})
    _tell("Deleted Containers:", result.get("ContainersDeleted") or [])
    return int(result.get("SpaceReclaimed") or 0)


def _images(client: Client, given: Sequence[str], *, everything: bool) -> int:
    result = client.post("/images/prune", {"filters": filters([*given, f"dangling={str(not everything).lower()}"])})
    lines = [": ".join(*line.items()).lower() for line in result.get("ImagesDeleted") or []]
    _tell("Deleted Images:", lines)
    return int(result.get("SpaceReclaimed") or 0)


def _volumes(client: Client, given: Sequence[str]) -> int:
    labels = [text for text in given if text.startswith("label=")]  # volumes have no other filter here
    result = client.post("/volumes/prune", {"filters": filters(labels)})
    _tell("Deleted Volumes:", result.get("VolumesDeleted") or [])
    return int(result.get("SpaceReclaimed") or 0)


def _tell(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(title, *lines, "", sep="\n")


def _tell_total(total: int) -> None:
    print(f"Total reclaimed space: {decimal_size(total)}")
