"""The `pouch` command: a client of the daemon's API.

`main` takes the short way for every command that the catalogue knows: the hand-written parser, the command's module,
the hand-written client. Everything else (help, errors of usage, completion, flags of installed plugins) goes through
click, in `app.py`. Nothing of the engine is imported, and nothing slow: a short command lives for about the time that
the interpreter needs to start.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Command, Options

__all__ = ["main"]

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main() -> int:
    """Run the command line of this process and leave with its exit code."""
    _open_standard_streams()
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:
        code = _BROKEN_PIPE
    os._exit(code)  # nothing is left to clean up; taking the interpreter down costs milliseconds


def run(argv: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        from pouch_engine.cli.errors import HelpRequested, UsageProblem

        if "_POUCH_COMPLETE" in os.environ:
            return _through_click(argv)
        try:
            command, options, host = _parse(argv)
        except (UsageProblem, HelpRequested):
            return _through_click(argv)
        return execute(command, options, host)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        return _BROKEN_PIPE  # nobody reads our output any more


def execute(command: Command, options: Options, host: str | None) -> int:
    """Run a parsed command and return its exit code; its failures are told on stderr."""
    from pouch_engine.cli.errors import CommandError

    module, _, function = command.run.partition(":")
    try:
        implementation = __import__(f"pouch_engine.cli.commands.{module}", fromlist=["execute"])
        code: int = getattr(implementation, function or "execute")(connect(host), options)
    except CommandError as error:
        tell(str(error))
        return command.failure if error.code is None else error.code
    except BrokenPipeError:
        raise
    except OSError as error:
        tell(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))
        return command.failure
    return code


def connect(host: str | None) -> Client:
    """Return a client of the daemon at `host`, or at the default address, where it may start one.

    Who names an address wants the daemon that is there; POUCH_HOST beside POUCH_ROOT or POUCH_RUN describes one that
    may be started.
    """
    from pouch_engine.cli.client import Client, default_host

    own_place = "POUCH_ROOT" in os.environ or "POUCH_RUN" in os.environ
    address = host or default_host()
    if host or (os.environ.get("POUCH_HOST") and not own_place):
        return Client(address)

    def start() -> None:
        from pouch_engine.cli.daemon_start import start_daemon

        start_daemon(address)

    return Client(address, start)


def tell(message: str) -> None:
    """Print one message about this run on stderr."""
    sys.stdout.flush()
    print(f"pouch: {message}", file=sys.stderr)


def _open_standard_streams() -> None:
    """Put /dev/null where the caller gave no stdin, stdout or stderr: else our socket would take its number."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if stream is None:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w")  # noqa: SIM115


def _parse(argv: Sequence[str]) -> tuple[Command, Options, str | None]:
    from pouch_engine.cli.catalogue import GLOBAL, find
    from pouch_engine.cli.parse import parse

    if argv and not argv[0].startswith("-"):
        host, words = None, argv
    else:
        options = parse(GLOBAL, argv)
        host, words = options["host"], options["words"]
        if options["version"]:
            words = ["--version"]
    command, rest = find(words)
    return command, parse(command, rest), host


def _through_click(argv: Sequence[str]) -> int:
    from pouch_engine.cli.app import run_click

    return run_click(argv)
