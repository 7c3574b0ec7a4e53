"""`python -m benchmarks run`."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks import report
from benchmarks.lab import BenchmarkError, Lab
from benchmarks.measure import Plan
from benchmarks.peers import PEERS
from benchmarks.rows import FAMILIES


def main(argv: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    options = _parser().parse_args(argv)
    if os.geteuid() != 0:
        print("benchmarks: engines need root: run it with sudo", file=sys.stderr)
        return 1
    # Ended from outside, too, everything that was started is ended and removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    plan = Plan(options.rounds, options.warm_up, options.settle, options.seed)
    try:
        results, versions = _measure(options.peers, options.rows, options.directory, plan)
    except BenchmarkError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    for name, version in versions.items():
        print(f"{name}: {version}")
    print(report.table(results))
    if options.json:
        options.json.write_text(json.dumps(report.document(results, versions, plan), indent=1) + "\n")
    return 0


def _measure(
    peer_names: list[str], families: list[str], directory: Path, plan: Plan
) -> tuple[list[report.Result], dict[str, str]]:
    with Lab(directory) as lab:
        peers = [PEERS[name](lab) for name in peer_names]
        versions = {peer.name: peer.version() for peer in peers}
        results = []
        for row in (row for family in families for row in FAMILIES[family]):
            print(f"benchmarks: {row.name}", file=sys.stderr)
            results.append(report.Result(row.name, row.unit, row.measure(peers, plan)))
    return results, versions


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    run = parser.add_subparsers(required=True, metavar="COMMAND").add_parser(
        "run",
        help="measure, and print medians and ratios",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    run.add_argument("--rounds", type=_positive, default=20, help="figures of each command that count")
    run.add_argument("--warm-up", type=int, default=2, help="rounds before them that do not count")
    run.add_argument("--settle", type=float, default=0.1, help="seconds between two commands")
    run.add_argument("--seed", type=int, default=random.randrange(2**32), help="of the order of the commands")
    run.add_argument("--peers", type=_names_of(PEERS), default=list(PEERS), help="engines, with commas between")
    run.add_argument("--rows", type=_names_of(FAMILIES), default=list(FAMILIES), help="families of rows")
    run.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="for the engines' files; a short path")
    run.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _names_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := set(names) - set(known):
            raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))} unknown; there are {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
