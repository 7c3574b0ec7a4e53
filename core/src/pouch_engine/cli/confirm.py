"""The question before something is removed that was not named."""

from __future__ import annotations

import sys

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def confirm(what: Sequence[str]) -> None:
    """Say on stderr what will be removed, and ask. Raises CommandError unless the answer is yes."""
    lines = [f"WARNING! This will remove {what[0]}"] if len(what) == 1 else ["WARNING! This will remove:"]
    lines += [f"  - {each}" for each in what] if len(what) > 1 else []
    print("\n".join(lines) + "\nAre you sure you want to continue? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was removed", 1)
