"""`pouch run`: create a container, start it, and stand for its process until it ends."""

from __future__ import annotations

from pouch_engine.cli.commands.create import create_container
from pouch_engine.cli.creation import streams_to_attach
from pouch_engine.cli.errors import ApiError
from pouch_engine.cli.session import attach, check_terminal, stand_for, start_failure, wait_for, wait_result, watch_keys
from pouch_engine.cli.signal_proxy import InterruptHeld
from pouch_engine.cli.streams import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options


def execute(client: Client, options: Options) -> int:
    """Run a container as `docker run` does and return its exit code, 0 after a detach."""
    streams = streams_to_attach(options)
    check_terminal("stdin" in streams and options["interactive"], options["tty"])
    keys = watch_keys(options["tty"] and "stdin" in streams, options["detach_keys"])
    with InterruptHeld() as interrupt:
        container = create_container(client, options, streams)
        try:
            interrupt.deliver()
            if not options["detach"]:
                connection, early = attach(client, container, streams, options["detach_keys"])
                waiting = wait_for(client, container, "next-exit")
            client.post(f"/containers/{container}/start")
            interrupt.deliver()
        except ApiError as error:
            _discard(client, container, only_if=options["rm"])
            raise start_failure(error, otherwise=125) from None
        except KeyboardInterrupt:
            _discard(client, container)
            raise
    if options["detach"]:
        print(container)
        return 0
    stdin = 0 if "stdin" in streams else None
    relay = Relay(connection, early, terminal=options["tty"], stdin=stdin, keys=keys)
    code = stand_for(
        client, container, relay, lambda: wait_result(waiting), raw=keys is not None, proxy=options["sig_proxy"]
    )
    return code or 0


def _discard(client: Client, container: str, only_if: bool = True) -> None:
    """Remove a container that was not wanted after all. That it is being removed already is as good."""
    if only_if:
        try:
            client.delete(f"/containers/{container}", {"force": 1, "v": 1})
        except ApiError as error:
            if error.status not in (404, 409):
                raise
