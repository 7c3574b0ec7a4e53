"""What a row may ask of every engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from benchmarks.lab import Lab


class Peer(ABC):
    """An engine, running in a lab with the image loaded once it is constructed.

    Attributes:
        name: As the table shows it and `--peers` takes it.
        environment: What its commands need beside ours.
        daemon: The process that stays while no container runs, with its children; None if nothing stays.
    """

    name: ClassVar[str]
    environment: Mapping[str, str] = {}
    daemon: int | None = None

    @abstractmethod
    def __init__(self, lab: Lab) -> None:
        """Start the engine's daemons in the lab and load the image."""

    @abstractmethod
    def version(self) -> str:
        """Give the engine's version, and its client's where that is another program's."""

    @abstractmethod
    def argv(self, operation: str) -> list[str] | None:
        """Give the command for an operation that a row names; None where the engine has nothing like it."""
