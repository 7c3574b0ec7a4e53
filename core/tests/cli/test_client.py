"""The HTTP client, against a real server on a real socket."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.cli.client import Client, quote
from pouch_engine.cli.errors import ApiError, BrokenDocument, CommandError, ConnectionFailed

from .conftest import Request, Server


def test_request_and_answer(server: Server) -> None:
    """A POST carries its JSON body and query under the version prefix; the answer's JSON comes back."""
    server.answer("POST /containers/create", {"Id": "é"}, "201 Created")
    result = Client(server.host).post("/containers/create", {"name": "a b&c", "skip": None, "x": True}, {"Env": ['ü"']})
    assert result == {"Id": "é"}
    (request,) = server.requests
    assert request.target == "/v1.43/containers/create?name=a%20b%26c&x=1"
    assert request.json() == {"Env": ['ü"']}
    assert request.headers["content-type"] == "application/json"


def test_query_values(server: Server) -> None:
    """Lists repeat the key, mappings are sent as JSON."""
    server.answer("GET /x", [])
    Client(server.host).get("/x", {"changes": ["a", "b"], "filters": {"k": ["v"]}})
    assert server.requests[0].target == "/v1.43/x?changes=a&changes=b&filters=%7B%22k%22:%5B%22v%22%5D%7D"


def test_own_paths_have_no_version(server: Server) -> None:
    """What docker has no name for is below /pouch, without a version."""
    server.answer("GET /pouch/doctor", {"findings": []})
    assert Client(server.host).get("/pouch/doctor") == {"findings": []}


def test_empty_answer(server: Server) -> None:
    """204 gives None, without waiting for a body."""
    server.on("POST /start", lambda _, connection: connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n"))
    assert Client(server.host).post("/start") is None


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        ("404 Not Found", b'{"message": "No such container: x"}', "No such container: x"),
        ("500 Oops", b"plain words", "plain words"),
        ("503 Busy", b"", "status 503"),
    ],
)
def test_refusals(server: Server, status: str, body: bytes, message: str) -> None:
    """A refusal becomes an ApiError with its status and the daemon's words."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    server.on("GET /x", lambda _, connection: connection.sendall(answer))
    with pytest.raises(ApiError, match=message) as caught:
        Client(server.host).get("/x")
    assert caught.value.status == int(status[:3])


def test_chunks_arrive_as_they_come(server: Server) -> None:
    """Each document of a chunked stream is there before the next is sent, however the chunks are cut."""
    go_on = threading.Event()

    def handler(_: Request, connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9;x=y\r\n{"a": 1}\n\r\n4\r\n{"b"\r')
        assert go_on.wait(5)
        connection.sendall(b"\n5\r\n: 2}\n\r\n0\r\n\r\n")

    server.on("GET /events", handler)
    with Client(server.host).open("GET", "/events") as answer:
        documents = answer.documents()
        assert next(documents) == {"a": 1}
        go_on.set()
        assert list(documents) == [{"b": 2}]


@pytest.mark.parametrize("head", [b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_cut_answers_are_noticed(server: Server, head: bytes) -> None:
    """An answer that ends too early is an error, not a short result."""
    server.on("GET /x", lambda _, connection: connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"\r\nff\r\n"))
    with pytest.raises(ConnectionFailed, match="in the middle"):
        Client(server.host).get("/x")


def test_answer_without_a_length_ends_with_the_connection(server: Server) -> None:
    """Without a length the body goes to the end of the connection."""
    server.on("GET /x", lambda _, connection: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n[1]"))
    assert Client(server.host).get("/x") == [1]


def test_something_else_listens(server: Server) -> None:
    """A peer that does not speak HTTP is named so."""
    server.on("GET /x", lambda _, connection: connection.sendall(b"220 mail\r\n\r\n"))
    with pytest.raises(ConnectionFailed, match="does not speak HTTP"):
        Client(server.host).get("/x")


def test_broken_json(server: Server) -> None:
    """An answer that is not JSON is an error that shows its beginning."""
    server.on("GET /x", lambda _, connection: connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{oh"))
    with pytest.raises(BrokenDocument, match=r"\{oh"):
        Client(server.host).get("/x")


def test_headers_before_the_body(server: Server) -> None:
    """`open` returns with the headers, so that a wait is known to be waited for before the start."""
    finish = threading.Event()

    def handler(_: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        assert finish.wait(5)
        connection.sendall(b"{}")

    server.on("POST /wait", handler)
    with Client(server.host).open("POST", "/wait") as answer:
        finish.set()
        assert answer.read() == b"{}"


def test_hijack(server: Server) -> None:
    """After 101 the connection is a raw stream both ways, whose halves close apart; no early byte is lost."""
    seen: list[Any] = []

    def handler(request: Request, connection: socket.socket) -> None:
        seen.append((request.headers["upgrade"], request.json()))
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly")
        data = b""
        while piece := connection.recv(99):
            data += piece
        connection.sendall(b"late " + data)

    server.on("POST /exec/1/start", handler)
    connection, early = Client(server.host).hijack("/exec/1/start", None, {"Tty": False})
    with socket.socket(fileno=connection.detach()) as stream:
        stream.sendall(b"input")
        stream.shutdown(socket.SHUT_WR)
        received = early
        while piece := stream.recv(99):
            received += piece
    assert received == b"earlylate input"
    assert seen == [("tcp", {"Tty": False})]


def _upload(server: Server, data: bytes) -> list[Any]:
    """Upload data from a pipe and return the documents of the answer."""
    reader, writer = os.pipe()

    def feed() -> None:
        with open(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        with Client(server.host).upload("/images/load", {"quiet": False}, "application/x-tar", reader) as answer:
            return list(answer.documents())
    finally:
        os.close(reader)
        thread.join()


def test_upload_while_the_answer_comes(server: Server) -> None:
    """A daemon that reports more than a socket holds while it still reads gets all of the body."""
    data = os.urandom(3_000_000)
    report = b'{"status": "' + b"." * 4000 + b'"}\n'
    received = bytearray()

    def handler(request: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with connection.makefile("rb", buffering=0) as raw:
            stream = _Rest(request.body, raw)
            while size := int(stream.line(), 16):
                received.extend(stream.take(size))
                stream.line()
                for _ in range(100):
                    connection.sendall(report)
        connection.sendall(b'{"stream": "done"}')

    server.on("POST /images/load", handler)
    documents = _upload(server, data)
    assert received == data
    assert documents[-1] == {"stream": "done"}
    assert server.requests[0].headers["transfer-encoding"] == "chunked"


class _Rest:
    """Reads what is left of a request: bytes that came with the head, then the connection."""

    def __init__(self, first: bytes, raw: Any) -> None:
        self._buffer = first
        self._raw = raw

    def line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._buffer += self._raw.read(65536)
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._buffer += self._raw.read(65536)
        piece, self._buffer = self._buffer[:size], self._buffer[size:]
        return piece


def test_upload_that_is_refused_early(server: Server) -> None:
    """A daemon that answers and closes before it has read the body is heard."""

    def handler(_: Request, connection: socket.socket) -> None:
        connection.sendall(b'HTTP/1.1 400 Bad\r\nContent-Length: 23\r\n\r\n{"message": "not a tar"}')
        connection.shutdown(socket.SHUT_WR)

    server.on("POST /images/load", handler)
    reader, writer = os.pipe()
    os.close(writer)
    try:
        with pytest.raises(CommandError, match="not a tar"):
            Client(server.host).upload("/images/load", {}, "application/x-tar", reader)
    finally:
        os.close(reader)


def test_nobody_listens(run_dir: Path) -> None:
    """Without a daemon the error names the address."""
    with pytest.raises(ConnectionFailed, match=f"cannot connect to pouchd at unix://{run_dir}/none.sock: No such file"):
        Client(f"unix://{run_dir}/none.sock").get("/version")


def test_daemon_is_started_once(run_dir: Path) -> None:
    """When nobody listens, the daemon is started and the request sent again."""
    servers: list[Server] = []

    def start() -> None:
        servers.append(Server(str(run_dir / "d.sock")))
        servers[0].answer("GET /version", {"Version": "1"})

    try:
        client = Client(f"unix://{run_dir}/d.sock", start)
        assert client.get("/version") == {"Version": "1"}
        assert client.get("/version") == {"Version": "1"}
    finally:
        for server in servers:
            server.close()
    assert len(servers) == 1


@pytest.mark.parametrize("host", ["tcp://1.2.3.4:5", "/run/x.sock", "unix://x.sock", ""])
def test_other_addresses_are_refused(host: str) -> None:
    """Only unix sockets by absolute path are addresses."""
    with pytest.raises(ConnectionFailed, match="expected unix:///path"):
        Client(host)


def test_quoting() -> None:
    """Image names stay readable; what would change the request does not pass."""
    assert quote("host:5000/a@sha256:1") == "host:5000/a@sha256:1"
    assert quote("a b?c\r\nd%é") == "a%20b%3Fc%0D%0Ad%25%C3%A9"
