"""`python -m tests.vm shell`: a machine to look around in."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from tests.vm.configuration import CHOICES, WrongConfiguration, configuration
from tests.vm.machine import Machine, MachineLost


def main() -> int:
    """Run a shell, or a command, in a machine whose console is this terminal."""
    parser = argparse.ArgumentParser(prog="python -m tests.vm", description=__doc__)
    shell = parser.add_subparsers(required=True).add_parser("shell", help="a shell in a machine; Ctrl-a x ends it")
    for name, choices in CHOICES.items():
        shell.add_argument(f"--{name}", choices=choices, default=choices[0])
    shell.add_argument("--disk", action="append", default=[], dest="disks", metavar="TYPE:OPTIONS")
    shell.add_argument("command", nargs="*", help="run this and end, instead of a shell")
    arguments = vars(parser.parse_args())
    command = arguments.pop("command")
    words = shlex.join(command) if command else "setsid --ctty bash -l"
    script = f"cd {shlex.quote(str(Path.cwd()))} && exec {words} < /dev/ttyS0 > /dev/ttyS0 2>&1"
    try:
        machine = Machine(configuration(arguments), script, visible=[Path.cwd()], terminal=True)
        try:
            machine.start()
            machine.wait()
        finally:
            machine.close()
    except (WrongConfiguration, MachineLost) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
