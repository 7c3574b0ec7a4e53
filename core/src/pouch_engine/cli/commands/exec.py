"""`pouch exec`: run one more process in a running container."""

from __future__ import annotations

from pouch_engine.cli.environment import variables
from pouch_engine.cli.errors import ApiError, CommandError
from pouch_engine.cli.session import check_terminal, relay_raw, resize, start_failure, watch_keys
from pouch_engine.cli.streams import Relay
from pouch_engine.cli.terminal import size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_RESIZE_ATTEMPTS = 10


def execute(client: Client, options: Options) -> int:
    """Run a process and return its exit code, 0 when it runs in the background."""
    detach, terminal = options["detach"], options["tty"]
    interactive = options["interactive"] and not detach
    check_terminal(interactive, terminal)
    keys = watch_keys(terminal and interactive, options["detach_keys"])
    created = client.post(f"/containers/{options['container']}/exec", None, _process(options))
    path = f"/exec/{created['Id']}"
    start: dict[str, Any] = {"Detach": detach, "Tty": terminal}
    if terminal and (size := size_of(1)):
        start["ConsoleSize"] = size
    try:
        if detach:
            client.post(f"{path}/start", None, start)
            return 0
        connection, early = client.hijack(f"{path}/start", None, start)
    except ApiError as error:
        raise start_failure(error, otherwise=1) from None
    relay = Relay(connection, early, terminal=terminal, stdin=0 if interactive else None, keys=keys)
    if keys is None:
        relay.run()
    elif not relay_raw(relay, lambda: resize(client, path, _RESIZE_ATTEMPTS)):
        raise CommandError("read the detach keys", 1)
    return int(client.get(f"{path}/json")["ExitCode"] or 0)


def _process(options: Options) -> dict[str, Any]:
    detach = options["detach"]
    process = {
        "Cmd": options["command"],
        "Tty": options["tty"],
        "AttachStdin": options["interactive"] and not detach,
        "AttachStdout": not detach,
        "AttachStderr": not detach,
        "Privileged": options["privileged"],
        "Env": variables(options["env_file"], options["env"]),
        "User": options["user"] or "",
        "WorkingDir": options["workdir"] or "",
    }
    if options["detach_keys"]:
        process["DetachKeys"] = options["detach_keys"]
    return process
