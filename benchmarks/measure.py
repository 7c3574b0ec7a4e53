"""Take the times of commands in turns, and say what a list of figures amounts to."""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.lab import BenchmarkError


@dataclass(frozen=True)
class Plan:
    """How often and how to measure.

    Attributes:
        rounds: How many figures of each command count.
        warm_up: How many rounds before them do not.
        settle: Seconds between two commands, in which a peer finishes what it does behind its answer;
            otherwise the next command, another peer's, would pay for it.
        seed: Of the order in each round.
    """

    rounds: int
    warm_up: int
    settle: float
    seed: int


def time_command(argv: list[str], env: Mapping[str, str]) -> float:
    """Run a command; return the milliseconds from before its start until after its end.

    Raises:
        BenchmarkError: It did not exit with 0.
    """
    with tempfile.TemporaryFile() as errors:
        environment = os.environ | dict(env)
        begin = time.perf_counter()
        code = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment
        ).wait()
        elapsed = time.perf_counter() - begin
        if code != 0:
            errors.seek(0)
            raise BenchmarkError(f"{' '.join(argv)}: exit code {code}\n{errors.read().decode(errors='replace')}")
    return elapsed * 1000


def in_turns(cases: Mapping[str, Callable[[], float]], plan: Plan) -> dict[str, list[float]]:
    """Call each case once a round, in an order drawn anew for each round; return the figures of each."""
    order = random.Random(plan.seed)
    figures: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(-plan.warm_up, plan.rounds):
        for name in order.sample(sorted(cases), len(cases)):
            figure = cases[name]()
            if number >= 0:
                figures[name].append(figure)
            time.sleep(plan.settle)
    return figures


@dataclass(frozen=True)
class Summary:
    """What a list of figures amounts to."""

    median: float
    p95: float
    minimum: float

    @classmethod
    def of(cls, figures: list[float]) -> Summary:
        """Sum up; a single figure is its own median, 95th percentile and minimum."""
        p95 = statistics.quantiles(figures, n=20, method="inclusive")[-1] if len(figures) > 1 else figures[0]
        return cls(statistics.median(figures), p95, min(figures))
