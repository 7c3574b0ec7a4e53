"""`pouch attach`: connect to a running container's streams."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.session import attach, check_terminal, stand_for, wait_for, wait_result, watch_keys
from pouch_engine.cli.streams import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Stand for a running container until it ends, and return its exit code."""
    description = client.get(f"/containers/{options['container']}/json")
    container, config, state = description["Id"], description["Config"], description["State"]
    if not state["Running"]:
        raise CommandError("you cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise CommandError("you cannot attach to a paused container, unpause it first")
    interactive = config["OpenStdin"] and not options["no_stdin"]
    terminal = config["Tty"]
    check_terminal(interactive, terminal)
    keys = watch_keys(terminal and interactive, options["detach_keys"])
    streams = ["stdin", "stdout", "stderr"] if interactive else ["stdout", "stderr"]
    waiting = wait_for(client, container, "not-running")
    connection, early = attach(client, container, streams, options["detach_keys"])
    relay = Relay(connection, early, terminal=terminal, stdin=0 if interactive else None, keys=keys)
    proxy = options["sig_proxy"] and not terminal
    code = stand_for(client, container, relay, lambda: wait_result(waiting), raw=keys is not None, proxy=proxy)
    if code is None:
        raise CommandError("read the detach keys", 1)
    return code
