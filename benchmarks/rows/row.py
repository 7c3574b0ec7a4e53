"""What a row is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from benchmarks.measure import Plan, in_turns, time_command
from benchmarks.peers import Peer


class Row(ABC):
    """Something that is measured of several engines.

    Attributes:
        name: What is measured, as the table shows it.
        unit: Of its figures.
    """

    name: str
    unit: str

    @abstractmethod
    def measure(self, peers: Sequence[Peer], plan: Plan) -> dict[str, list[float]]:
        """Give the figures of each engine that the row concerns, by the engine's name; more is worse."""


@dataclass(frozen=True)
class CommandRow(Row):
    """The time of one command of each engine, from its start to its end."""

    name: str
    operation: str
    unit: str = "ms"

    def measure(self, peers: Sequence[Peer], plan: Plan) -> dict[str, list[float]]:
        """Let the engines take turns."""
        return in_turns(
            {
                peer.name: partial(_time_operation, peer, self.operation)
                for peer in peers
                if peer.argv(self.operation) is not None
            },
            plan,
        )


def _time_operation(peer: Peer, operation: str) -> float:
    argv = peer.argv(operation)
    assert argv is not None
    return time_command(argv, peer.environment)
