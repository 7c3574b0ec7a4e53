"""`pouch start`: start containers, and stand for one of them if asked."""

from __future__ import annotations

from pouch_engine.cli.batch import for_each
from pouch_engine.cli.errors import ApiError, CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Start containers and print their names; with -a or -i stand for the only one and return its exit code."""
    containers = options["containers"]
    if options["attach"] or options["interactive"]:
        if len(containers) > 1:
            raise CommandError("only one container can be attached to: start the others without -a and -i", 1)
        return _start_attached(client, containers[0], options)
    return for_each(containers, lambda container: client.post(f"/containers/{container}/start"))


def _start_attached(client: Client, name: str, options: Options) -> int:
    from pouch_engine.cli.session import (
        attach,
        check_terminal,
        stand_for,
        start_failure,
        wait_for,
        wait_result,
        watch_keys,
    )
    from pouch_engine.cli.streams import Relay

    description = client.get(f"/containers/{name}/json")
    container, config = description["Id"], description["Config"]
    interactive = options["interactive"] and config["OpenStdin"]
    terminal = config["Tty"]
    check_terminal(interactive, terminal)
    keys = watch_keys(terminal and interactive, options["detach_keys"])
    streams = ["stdin", "stdout", "stderr"] if interactive else ["stdout", "stderr"]
    connection, early = attach(client, container, streams, options["detach_keys"])
    waiting = wait_for(client, container, "next-exit")
    try:
        client.post(f"/containers/{container}/start")
    except ApiError as error:
        raise start_failure(error, otherwise=1) from None
    relay = Relay(connection, early, terminal=terminal, stdin=0 if interactive else None, keys=keys)
    proxy = options["sig_proxy"] and not terminal
    code = stand_for(client, container, relay, lambda: wait_result(waiting), raw=keys is not None, proxy=proxy)
    return code or 0
