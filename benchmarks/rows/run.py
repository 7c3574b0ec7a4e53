"""A container from nothing to gone."""

from __future__ import annotations

from benchmarks.rows.row import CommandRow, Row

ROWS: list[Row] = [CommandRow("run --rm --network none busybox true", "run")]
