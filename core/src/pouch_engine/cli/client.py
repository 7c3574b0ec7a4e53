"""The client of the daemon's API: HTTP/1.1 over a unix socket, one connection for each request.

Written by hand because it is on the path of every command: `http.client` imports the email package and takes longer
than everything else that `pouch ps` does. It speaks what Docker's Engine API needs: JSON requests, chunked answers
read as they come, request bodies of any size, and connections that are taken over for raw streams (`hijack`).
"""

from __future__ import annotations

import os
from _socket import AF_UNIX, MSG_NOSIGNAL, SOCK_STREAM, socket

from pouch_engine.cli.errors import ApiError, CommandError, ConnectionFailed
from pouch_engine.cli.jsontext import dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

API_VERSION = "1.43"
"""The version of Docker's Engine API that this client speaks; POUCH_API_VERSION overrides it for an older daemon."""

_CHUNK = 262144
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:@")


def default_host() -> str:
    """Return the daemon's address: POUCH_HOST, else `pouch.sock` in POUCH_RUN (default /run/pouch)."""
    return os.environ.get("POUCH_HOST") or f"unix://{os.environ.get('POUCH_RUN', '/run/pouch')}/pouch.sock"


def socket_path(host: str) -> str:
    """Return the path in a `unix:///path` address. Raises ConnectionFailed for any other address."""
    if not host.startswith("unix:///"):
        raise ConnectionFailed(f"unable to use the host {host!r}: expected unix:///path/of/the/socket")
    return host[len("unix://") :]


def quote(text: str) -> str:
    """Return `text` for a place in a URL (RFC 3986); `/`, `:` and `@` stay, as in image names."""
    return "".join(chr(b) if b in _SAFE else f"%{b:02X}" for b in text.encode(errors="surrogateescape"))


class Client:
    """Requests to the daemon at `host` (`unix:///path`).

    `start_daemon` is called once, when nobody listens at the socket, before the connection is tried again; None when
    no daemon may be started. It raises a CommandError when there is none to be had.
    """

    def __init__(self, host: str, start_daemon: Callable[[], None] | None = None) -> None:
        self.host = host
        self._path = socket_path(host)
        self._start_daemon = start_daemon
        self._prefix = f"/v{os.environ.get('POUCH_API_VERSION', API_VERSION)}"

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer to a GET. Raises ApiError, ConnectionFailed."""
        return self.call("GET", path, query)

    def post(self, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Return the JSON answer to a POST of a JSON body, None when it is empty. Raises ApiError, ConnectionFailed."""
        return self.call("POST", path, query, body)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer to a DELETE, None when it is empty. Raises ApiError, ConnectionFailed."""
        return self.call("DELETE", path, query)

    def call(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Any:
        """Send one request and return its JSON answer, None when it is empty. Raises ApiError, ConnectionFailed."""
        with self.open(method, path, query, body) as answer:
            text = answer.read().decode(errors="replace")
        return loads(text) if text.strip() else None

    def head(self, path: str, query: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Return the header fields of the answer to a HEAD, their names in small letters. Raises ApiError (such an
        answer has no words of its own), ConnectionFailed.
        """
        with self._send("HEAD", path, query, b"") as answer:
            if answer.status >= 400:
                raise ApiError(answer.status, f"the daemon answered with status {answer.status}")
            return answer.headers

    def open(self, method: str, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> Answer:
        """Send one request and return the answer once its headers are there; its body is read from it.

        Raises ApiError, ConnectionFailed.
        """
        answer = self._send(method, path, query, b"" if body is None else dumps(body))
        return answer.accepted()

    def upload(
        self, path: str, query: Mapping[str, Any], content_type: str, source: int, method: str = "POST"
    ) -> Answer:
        """POST (or PUT) what the descriptor `source` gives until its end, and return the answer as `open` does.

        The answer may begin while the body is still being sent; nobody has to wait for the other.
        """
        from pouch_engine.cli.upload import send_body

        connection = self._connect()
        head = self._head(method, path, query, f"Content-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n")
        early = send_body(connection, head, source)
        return Answer(connection, early).accepted()

    def hijack(self, path: str, query: Mapping[str, Any] | None = None, body: Any = None) -> tuple[socket, bytes]:
        """POST, take the connection over, and return it with the first bytes of its stream.

        Raises ApiError, ConnectionFailed.
        """
        text = b"" if body is None else dumps(body)
        extra = (
            f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        )
        connection = self._connect()
        _send_all(connection, self._head("POST", path, query, extra, close=False) + text)
        answer = Answer(connection).accepted()
        return answer.take_over()

    def _send(self, method: str, path: str, query: Mapping[str, Any] | None, body: bytes) -> Answer:
        extra = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body or method == "POST" else ""
        connection = self._connect()
        _send_all(connection, self._head(method, path, query, extra) + body)
        return Answer(connection)

    def _head(self, method: str, path: str, query: Mapping[str, Any] | None, extra: str, close: bool = True) -> bytes:
        prefix = "" if path.startswith("/pouch/") else self._prefix
        pairs = "&".join(_query(query)) if query else ""
        target = f"{prefix}{quote(path)}?{pairs}" if pairs else prefix + quote(path)
        connection = "Connection: close\r\n" if close else ""
        return f"{method} {target} HTTP/1.1\r\nHost: pouch\r\nUser-Agent: pouch\r\n{connection}{extra}\r\n".encode()

    def _connect(self) -> socket:
        connection = socket(AF_UNIX, SOCK_STREAM)
        try:
            connection.connect(self._path)
        except OSError as error:
            connection.close()
            absent = isinstance(error, (FileNotFoundError, ConnectionRefusedError))
            if not absent or self._start_daemon is None:
                advice = "Is it running?" if absent else "Try as root, or as a member of the socket's group."
                raise ConnectionFailed(
                    f"cannot connect to pouchd at {self.host}: {error.strerror or error}. {advice}"
                ) from None
            start, self._start_daemon = self._start_daemon, None
            start()
            return self._connect()
        return connection


class Answer:
    """An answer whose headers have been read. Close it, or use it as a context manager."""

    def __init__(self, connection: socket, early: bytes = b"") -> None:
        self._connection = connection
        self._buffer = early
        self._at = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        """The answer's header fields, their names in small letters."""
        try:
            self._read_head()
        except CommandError:
            connection.close()
            raise

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; the daemon sees that nobody reads any more."""
        self._connection.close()

    def accepted(self) -> Answer:
        """Return the answer itself; raise ApiError with the daemon's words when it refused the request."""
        if self.status < 400:
            return self
        with self:
            text = self.read().decode(errors="replace").strip()
        message = f"the daemon answered with status {self.status}"
        if text.startswith("{"):
            message = str(loads(text).get("message", message))
        elif text:
            message = text
        raise ApiError(self.status, message)

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """Yield the pieces of the body as they come. Raises ConnectionFailed when it ends too early."""
        if self.status == 204 or self.status == 304:
            return
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._dechunked()
        elif "content-length" in self.headers:
            yield from self._counted(int(self.headers["content-length"]))
        else:
            while piece := self._take():
                yield piece

    def documents(self) -> Iterator[Any]:
        """Yield the JSON documents of a body that has one on each line, as they come."""
        rest = b""
        for piece in self.chunks():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line.strip():
                    yield loads(line.decode(errors="replace"))
        if rest.strip():
            yield loads(rest.decode(errors="replace"))

    def take_over(self) -> tuple[socket, bytes]:
        """Return the connection and what has been read of it after the headers."""
        return self._connection, self._buffer[self._at :]

    def _read_head(self) -> None:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        parts = first.split(" ", 2)
        if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdecimal():
            raise ConnectionFailed(f"what listens at the socket does not speak HTTP: {first[:80]!r}")
        self.status = int(parts[1])
        fields = (line.partition(":") for line in lines)
        self.headers.update((name.strip().lower(), value.strip()) for name, _, value in fields)

    def _until(self, mark: bytes) -> bytes:
        """Take the bytes before the next `mark`, and the mark itself away."""
        while (end := self._buffer.find(mark, self._at)) < 0:
            self._fill()
        piece = self._buffer[self._at : end]
        self._at = end + len(mark)
        return piece

    def _fill(self) -> None:
        piece = self._receive()
        if not piece:
            raise ConnectionFailed("the daemon closed the connection in the middle of its answer")
        self._buffer = self._buffer[self._at :] + piece
        self._at = 0

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_CHUNK)
        except ConnectionResetError:
            return b""

    def _take(self) -> bytes:
        """Return bytes that are there, else the next ones; empty at the end."""
        if self._at < len(self._buffer):
            piece, self._buffer, self._at = self._buffer[self._at :], b"", 0
            return piece
        return self._receive()

    def _counted(self, length: int) -> Iterator[bytes]:
        while length:
            if self._at == len(self._buffer):
                self._fill()
            piece = self._buffer[self._at : self._at + length]
            self._at += len(piece)
            length -= len(piece)
            yield piece

    def _dechunked(self) -> Iterator[bytes]:
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            yield from self._counted(size)
            self._until(b"\r\n")


def _query(query: Mapping[str, Any]) -> Iterator[str]:
    """Yield the pairs of a query: None is left out, a list gives a pair for each entry, a dict is sent as JSON."""
    for key, value in query.items():
        if isinstance(value, dict):
            value = dumps(value).decode()
        for entry in value if isinstance(value, list) else () if value is None else (value,):
            text = str(int(entry) if isinstance(entry, bool) else entry)
            yield f"{key}={quote(text).replace('/', '%2F')}"


def _send_all(connection: socket, data: bytes) -> None:
    unsent = memoryview(data)
    while unsent:
        try:
            unsent = unsent[connection.send(unsent, MSG_NOSIGNAL) :]
        except (BrokenPipeError, ConnectionResetError):
            return  # the daemon answered without reading it all: reading its answer tells why
