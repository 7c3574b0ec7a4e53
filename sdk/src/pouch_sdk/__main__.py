"""`python -m pouch_sdk new runtime|isolation NAME [--directory D]`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pouch_hookspecs.errors import PouchError

from .scaffold import KINDS, new_package


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pouch_sdk", description="help for authors of Pouch plugins")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="write a working plugin package from a template")
    new.add_argument("kind", choices=KINDS, help="what the plugin is")
    new.add_argument("name", help="the plugin's name, such as `fast`; the package is pouch-NAME")
    new.add_argument("--directory", type=Path, default=Path(), help="where its folder is made (default: here)")
    given = parser.parse_args(arguments)
    try:
        folder = new_package(given.kind, given.name, given.directory)
    except (PouchError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    sys.stdout.write(f"Wrote {folder}. Next:\n\n    pip install -e '{folder}[test]'\n    pytest {folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
