"""The memory of the daemons while no container runs, after the rows before this one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Plan
from benchmarks.peers import Peer
from benchmarks.rows.row import Row


@dataclass(frozen=True)
class MemoryRow(Row):
    """One field of /proc/PID/smaps_rollup (proc(5)), summed over a daemon and its children."""

    name: str
    field: str
    unit: str = "MiB"

    def measure(self, peers: Sequence[Peer], plan: Plan) -> dict[str, list[float]]:
        """Read once: an idle daemon's figure does not move."""
        return {
            peer.name: [sum(_mebibytes(pid, self.field) for pid in _tree(peer.daemon))]
            for peer in peers
            if peer.daemon is not None
        }


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _mebibytes(pid: int, field: str) -> float:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = re.search(rf"^{field}:\s+(\d+) kB$", rollup, re.MULTILINE)
    assert found is not None, rollup
    return int(found[1]) / 1024


ROWS: list[Row] = [MemoryRow("daemons idle, RSS", "Rss"), MemoryRow("daemons idle, PSS", "Pss")]
