"""What is measured, one module for each family of rows."""

from __future__ import annotations

from benchmarks.rows import client, memory, run
from benchmarks.rows.row import Row

FAMILIES: dict[str, list[Row]] = {"run": run.ROWS, "client": client.ROWS, "memory": memory.ROWS}

__all__ = ["FAMILIES", "Row"]
