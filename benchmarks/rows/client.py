"""What the command line and one question to the daemon cost."""

from __future__ import annotations

from benchmarks.rows.row import CommandRow, Row

ROWS: list[Row] = [CommandRow("ps", "ps"), CommandRow("version", "version")]
