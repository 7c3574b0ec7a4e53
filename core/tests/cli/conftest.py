"""A small HTTP server on a unix socket: what the client is tried against where no engine is needed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Request:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON value."""
        return json.loads(self.body)


Handler = Callable[[Request, socket.socket], None]


class Server:
    """Answers requests on a unix socket, each in a thread, by the handler that is registered for METHOD path."""

    def __init__(self, path: str) -> None:
        self.host = f"unix://{path}"
        self.path = path
        self.requests: list[Request] = []
        self.problems: list[BaseException] = []
        self._handlers: dict[str, Handler] = {}
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def on(self, route: str, handler: Handler) -> None:
        """Answer `METHOD /path` (without version prefix and query) with a handler."""
        self._handlers[route] = handler

    def answer(self, route: str, document: Any, status: str = "200 OK") -> None:
        """Answer `METHOD /path` with a JSON document."""
        body = b"" if document is None else json.dumps(document).encode()

        def handler(_: Request, connection: socket.socket) -> None:
            connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

        self.on(route, handler)

    def close(self) -> None:
        """End all threads and connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(5)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            request = _read_request(connection)
            if request is None:
                return
            self.requests.append(request)
            path = request.target.partition("?")[0]
            route = (
                f"{request.method} /{path.split('/', 2)[2]}" if path.startswith("/v1.") else f"{request.method} {path}"
            )
            handler = self._handlers.get(route)
            if handler:
                handler(request, connection)
            else:
                body = json.dumps({"message": f"no route {route}"}).encode()
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except BaseException as problem:  # noqa: BLE001, RUF100  # shown to the test, which fails by it
            self.problems.append(problem)
        finally:
            connection.close()


def _read_request(connection: socket.socket) -> Request | None:
    buffer = b""
    while b"\r\n\r\n" not in buffer:
        piece = connection.recv(65536)
        if not piece:
            return None
        buffer += piece
    head, _, rest = buffer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    while len(rest) < length:
        rest += connection.recv(65536)
    return Request(method, target, headers, rest)


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """A directory whose path is short enough for socket addresses."""
    with tempfile.TemporaryDirectory(prefix="pouch-cli-", dir="/tmp") as directory:
        yield Path(directory)


@pytest.fixture
def server(run_dir: Path) -> Iterator[Server]:
    """A server that the test teaches its answers; a problem in a handler fails the test."""
    server = Server(str(run_dir / "d.sock"))
    try:
        yield server
    finally:
        server.close()
    assert not server.problems


def outside_environment() -> dict[str, str]:
    """Return the environment without what would lead the command to a daemon of the caller's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("POUCH_")}


@dataclass
class Outcome:
    """What a run of the command left behind."""

    code: int
    stdout: str
    stderr: str


Run = Callable[..., Outcome]


@pytest.fixture
def pouch(server: Server) -> Run:
    """Run `pouch ARGUMENTS` as a process of its own against the server."""

    def run(*arguments: str, stdin: str = "", host: str = server.host, **environment: str) -> Outcome:
        result = subprocess.run(
            [sys.executable, "-c", "from pouch_engine.cli import main; main()", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={**outside_environment(), "POUCH_HOST": host, **environment},
        )
        return Outcome(result.returncode, result.stdout, result.stderr)

    return run
