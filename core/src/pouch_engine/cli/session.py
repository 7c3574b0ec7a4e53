"""Standing for a container's process: its streams, its signals, its exit code.

Shared by `run`, `start -a`, `attach` and `exec`, which differ in how the process comes to life.
"""

from __future__ import annotations

import os
import time

from pouch_engine.cli.errors import ApiError, CommandError
from pouch_engine.cli.signal_proxy import SignalProxy, WindowChanges
from pouch_engine.cli.streams import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Callable
    from typing import Any

    from pouch_engine.cli.client import Answer, Client
    from pouch_engine.cli.detach_keys import DetachKeys

_NOT_FOUND = ("executable file not found", "no such file or directory")
_NOT_EXECUTABLE = ("permission denied", "is a directory", "exec format error")


def check_terminal(interactive: bool, terminal: bool) -> None:
    """Refuse a container terminal that our stdin can't feed because it is none itself."""
    if interactive and terminal and not os.isatty(0):
        raise CommandError("the input device is not a TTY: leave out -t to use pipes", 1)


def attach(client: Client, container: str, streams: list[str], detach_keys: str | None) -> tuple[socket, bytes]:
    """Take over a connection to the container's streams (`stdin`, `stdout`, `stderr`). It may not have started yet."""
    query: dict[str, Any] = {"stream": 1, "detachKeys": detach_keys}
    query.update(dict.fromkeys(streams, 1))
    return client.hijack(f"/containers/{container}/attach", query)


def watch_keys(terminal: bool, spec: str | None) -> DetachKeys | None:
    """Return what watches for the detach keys, None where the input is no terminal's. Raises CommandError."""
    if not terminal:
        return None
    from pouch_engine.cli.detach_keys import DEFAULT, DetachKeys, parse_keys

    return DetachKeys(parse_keys(spec or DEFAULT))


def relay_raw(relay: Relay, resize: Callable[[], None]) -> bool:
    """Carry the streams of a process that has a terminal: ours is raw, and its size follows ours."""
    from pouch_engine.cli.terminal import RawTerminal

    with RawTerminal(0), WindowChanges(resize):
        return relay.run()


def stand_for(
    client: Client, container: str, relay: Relay, exit_code: Callable[[], int], *, raw: bool, proxy: bool
) -> int | None:
    """Carry a running container's streams and signals until it ends. Return its exit code, None after a detach."""
    if raw:
        if not relay_raw(relay, lambda: resize(client, f"/containers/{container}")):
            return None
        return exit_code()
    if not proxy:
        return exit_code() if relay.run() else None
    with SignalProxy(lambda number: client.post(f"/containers/{container}/kill", {"signal": number})):
        return exit_code() if relay.run() else None


def resize(client: Client, process: str, attempts: int = 1) -> None:
    """Give a process (`/containers/ID` or `/exec/ID`) the size of our terminal.

    A process that is only just being started has no terminal yet: up to `attempts` times, 10 ms apart, it is tried.
    """
    from pouch_engine.cli.terminal import size_of

    size = size_of(1) or size_of(0)
    while size and attempts:
        try:
            client.post(f"{process}/resize", {"h": size[0], "w": size[1]})
            return
        except ApiError:
            attempts -= 1
            if not attempts:
                raise
            time.sleep(0.01)


def wait_for(client: Client, container: str, condition: str) -> Answer:
    """Begin to wait for the container; the daemon watches from now on. `wait_result` reads the result.

    The condition is `next-exit` before a start, so that no exit is missed, and `not-running` for a container that runs,
    which may end before the daemon hears of this. Nobody waits for a removal (--rm): it goes on behind the answer.
    """
    return client.open("POST", f"/containers/{container}/wait", {"condition": condition})


def wait_result(waiting: Answer) -> int:
    """Return the exit code that the answer to POST /containers/ID/wait brings. Raises CommandError."""
    from pouch_engine.cli.jsontext import loads

    with waiting:
        result = loads(waiting.read().decode())
    problem = (result.get("Error") or {}).get("Message")
    if problem:
        raise CommandError(f"waiting for the container failed: {problem}", 125)
    return int(result["StatusCode"])


def start_failure(error: ApiError, otherwise: int) -> CommandError:
    """Return the error of a start with docker's exit code: 127 not found, 126 not executable, else `otherwise`."""
    text = str(error).lower()
    if any(words in text for words in _NOT_FOUND):
        return CommandError(str(error), 127)
    if any(words in text for words in _NOT_EXECUTABLE):
        return CommandError(str(error), 126)
    return CommandError(str(error), otherwise)
