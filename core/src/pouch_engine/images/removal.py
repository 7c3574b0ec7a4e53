"""Docker's rules of `rmi`: when a name is taken away, when the image goes, and what forbids it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pouch_hookspecs.errors import Conflict

from .catalog import ImageRecord
from .references import parse_reference


class ImageUser(NamedTuple):
    """A container that was made from an image; `running`: its process lives."""

    name: str
    running: bool = False


InUse = Callable[[str], Sequence[ImageUser]]
"""Image id → the containers made from it."""


@dataclass(frozen=True)
class Removed:
    """One line of the answer; exactly one of the two is there.

    Attributes:
        untagged: a name, in its familiar form.
        deleted: the id of an image, or the chain id of a layer.
    """

    untagged: str = ""
    deleted: str = ""


@dataclass(frozen=True)
class Plan:
    """What a removal does: names (in full) to take away, and whether the image goes."""

    untag: tuple[str, ...]
    delete: bool


def plan_removal(image: ImageRecord, name: str, force: bool, in_use: InUse) -> Plan:
    """Decide (moby daemon/images/image_delete.go).

    Args:
        image: what is to be removed.
        name: the full name by which it was asked for; empty: by id, prefix or digest.
        force: also several names at once, and an image of a stopped container.
        in_use: tells who uses the image.

    Raises:
        Conflict: a container, or further names.
    """
    short = image.id.removeprefix("sha256:")[:12]
    users = in_use(image.id)
    if name and set(image.names) != {name}:
        return Plan((name,), delete=False)
    running = next((user.name for user in users if user.running), "")
    stopped = next((user.name for user in users if not user.running), "")
    if name:
        familiar = parse_reference(name).familiar()
        if users and not force:
            raise Conflict(
                f"unable to remove repository reference {familiar!r} (must force): "
                f"container {running or stopped} is using its referenced image {short}",
                hint="remove the container first, or use --force to take away the name only",
            )
        return Plan((name,), delete=not running)
    if running:
        raise Conflict(
            f"unable to delete {short} (cannot be forced): image is being used by running container {running}",
            hint=f"stop and remove {running} first",
        )
    if stopped and not force:
        raise Conflict(
            f"unable to delete {short} (must be forced): image is being used by stopped container {stopped}",
            hint=f"remove {stopped} first, or use --force",
        )
    if len(image.names) > 1 and not force:
        raise Conflict(
            f"unable to delete {short} (must be forced): image is referenced in multiple repositories: "
            + ", ".join(image.repo_tags),
            hint="remove it by name, or use --force to remove all names",
        )
    return Plan(image.names, delete=True)
