"""The results of a run, as a table to read and as JSON to keep."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass

from benchmarks.measure import Plan, Summary

BASELINES = ("docker", "ctr")  # the engines whose median the others' are divided by


@dataclass(frozen=True)
class Result:
    """A row's figures, by the engine's name."""

    name: str
    unit: str
    figures: dict[str, list[float]]


def table(results: list[Result]) -> str:
    """Give a Markdown table: one line for each row and engine."""
    lines = [["row", "engine", "unit", "median", "p95", "min", *(f"× {name}" for name in BASELINES)]]
    for result in results:
        summaries = {name: Summary.of(figures) for name, figures in result.figures.items()}
        for name, summary in summaries.items():
            ratios = [
                f"{summary.median / summaries[baseline].median:.2f}" if baseline in summaries else ""
                for baseline in BASELINES
            ]
            figures = [f"{figure:.1f}" for figure in (summary.median, summary.p95, summary.minimum)]
            lines.append([result.name, name, result.unit, *figures, *ratios])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def document(results: list[Result], versions: dict[str, str], plan: Plan) -> dict[str, object]:
    """Give everything that a later reader needs to judge the figures, the single ones included."""
    return {
        "machine": {
            "kernel": platform.release(),
            "architecture": platform.machine(),
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
        },
        "engines": versions,
        "plan": asdict(plan),
        "rows": [
            {
                "name": result.name,
                "unit": result.unit,
                "engines": {
                    name: asdict(Summary.of(figures)) | {"figures": figures} for name, figures in result.figures.items()
                },
            }
            for result in results
        ],
    }
