"""The API where docker's own clients do not go: wrong versions, wrong requests, order of answers, aborted clients."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.pouchd import Daemon


@contextmanager
def connection(pouchd: Daemon, request: str, body: bytes = b"") -> Iterator[socket.socket]:
    """A connection on which a request was sent; the head of its answer is not read yet."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(pouchd.socket))
        head = f"{request} HTTP/1.1\r\nHost: \r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        client.sendall(head.encode() + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n" + body)
        yield client


def read_head(client: socket.socket) -> bytes:
    """The head of an answer, not one byte more."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = client.recv(1)
        assert byte, head
        head += byte
    return head


def create(pouchd: Daemon, *command: str, **fields: Any) -> str:
    """Create a container; gives its id."""
    status, document = pouchd.api("POST", "/containers/create", {"Image": "busybox", "Cmd": list(command), **fields})
    assert status == 201, document
    id_: str = document["Id"]
    return id_


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.44", "client version 1.44 is too new. Maximum supported API version is 1.43"),
        ("1.99", "client version 1.99 is too new. Maximum supported API version is 1.43"),
        ("1.23", "client version 1.23 is too old. Minimum supported API version is 1.24"),
    ],
)
def test_other_versions_are_refused(pouchd: Daemon, version: str, words: str) -> None:
    """In docker's words, by which clients know what to do."""
    status, document = pouchd.api("GET", f"/v{version}/info")
    assert status == 400
    assert words in document["message"]


@pytest.mark.parametrize("prefix", ["", "/v1.24", "/v1.41", "/v1.43"])
def test_versions_that_are_spoken(pouchd: Daemon, prefix: str) -> None:
    """With a prefix or without."""
    assert pouchd.api("GET", f"{prefix}/containers/json")[0] == 200


@pytest.mark.parametrize("route", ["/nosuch", "/v1.43/nosuch", "/swarm", "/containers/x/nosuch"])
def test_unknown_routes(pouchd: Daemon, route: str) -> None:
    """Docker's answer, in JSON."""
    assert pouchd.api("POST", route) == (404, {"message": "page not found"})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
def test_malformed_json(pouchd: Daemon, body: bytes) -> None:
    """400, that says what was expected."""
    with connection(pouchd, "POST /containers/create", body) as client:
        assert read_head(client).startswith(b"HTTP/1.1 400")


def test_a_body_without_end_is_refused(pouchd: Daemon) -> None:
    """JSON has a limit of 4 MiB."""
    with connection(pouchd, "POST /containers/create", b" " * (5 << 20)) as client:
        assert read_head(client).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/containers/nosuch/json", 404),
        ("POST", "/containers/nosuch/start", 404),
        ("POST", "/containers/nosuch/attach?stream=1", 404),
        ("GET", "/containers/nosuch/logs?stdout=1", 404),
        ("GET", "/images/nosuch/json", 404),
        ("GET", "/volumes/nosuch", 404),
        ("GET", "/exec/nosuch/json", 404),
        ("GET", "/pouch/plugins/nosuch", 404),
        ("GET", "/pouch/runtimes/nosuch", 404),
        ("GET", "/containers/json?filters=x", 400),
        ("GET", '/containers/json?filters={"status":["odd"]}', 400),
        ("GET", "/containers/json?limit=x", 400),
        ("GET", "/events?since=x", 400),
        ("POST", "/containers/nosuch/wait?condition=odd", 404),
        ("POST", "/images/create?fromImage=alpine", 404),
        ("POST", "/images/create?fromSrc=http://x/y.tar", 501),
    ],
)
def test_statuses_of_mistakes(pouchd: Daemon, method: str, path: str, status: int) -> None:
    """Each with a message."""
    found, document = pouchd.api(method, path)
    assert (found, bool(document["message"])) == (status, True)


def test_pouchs_own_routes(pouchd: Daemon) -> None:
    """Plugins, runtimes, findings and options in their forms."""
    plugins = pouchd.api("GET", "/pouch/plugins")[1]["plugins"]
    assert {"runc", "overlay", "local"} <= {plugin["name"] for plugin in plugins}
    assert pouchd.api("GET", "/pouch/plugins/runc")[1]["plugins"][0]["kind"] == "runtime"
    assert [row["name"] for row in pouchd.api("GET", "/pouch/runtimes")[1]["runtimes"] if row["default"]] == ["runc"]
    assert "features" in pouchd.api("GET", "/pouch/runtimes/runc")[1]
    assert {"plugin", "level", "what", "why"} <= pouchd.api("GET", "/pouch/doctor")[1]["findings"][0].keys()
    assert set(pouchd.api("GET", "/pouch/options")[1]) == {"hash", "options"}


def test_the_socket_is_for_root(pouchd: Daemon) -> None:
    """0660 root:root, in a directory that nobody else can write."""
    found = pouchd.socket.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, 0)
    assert not pouchd.socket.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def test_wait_answers_its_head_at_once(pouchd: Daemon) -> None:
    """Clients start the container when they have it; the body comes with the exit."""
    container = create(pouchd, "sh", "-c", "exit 9")
    with connection(pouchd, f"POST /containers/{container}/wait?condition=next-exit") as client:
        assert read_head(client).startswith(b"HTTP/1.1 200")
        assert pouchd.api("POST", f"/containers/{container}/start")[0] == 204
        assert b'{"StatusCode": 9}' in client.recv(4096)


def test_start_and_stop_twice(pouchd: Daemon) -> None:
    """204 for what was done, 304 for what was so already."""
    container = create(pouchd, "sleep", "1000")
    statuses = [pouchd.api("POST", f"/containers/{container}/{verb}")[0] for verb in ("start", "start")]
    statuses += [pouchd.api("POST", f"/containers/{container}/{verb}?t=0")[0] for verb in ("stop", "stop")]
    assert statuses == [204, 304, 204, 304]


def test_attach_with_the_log_so_far(pouchd: Daemon) -> None:
    """`logs=1` without `stream` gives what was written, and ends."""
    container = create(pouchd, "echo", "written")
    with connection(pouchd, f"POST /containers/{container}/wait?condition=next-exit") as waiting:
        read_head(waiting)
        pouchd.api("POST", f"/containers/{container}/start")
        waiting.recv(4096)
    with connection(pouchd, f"POST /containers/{container}/attach?logs=1&stdout=1") as client:
        read_head(client)
        assert client.recv(4096) == b"\1\0\0\0\0\0\0\x08written\n"
        assert client.recv(4096) == b""


def test_an_import_that_breaks_off_makes_no_image(pouchd: Daemon) -> None:
    """Half of a tar is no root file system, even where it ends between two files."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(pouchd.socket))
        head = "POST /images/create?fromSrc=-&repo=half HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n"
        client.sendall(head.encode() + bytes(10240))
        time.sleep(0.2)
    time.sleep(0.3)  # nobody is told that it has been given up
    assert pouchd.api("GET", "/images/half/json")[0] == 404


def test_aborted_clients_leave_nothing(pouchd: Daemon) -> None:
    """Hundreds of attaches, waits, followed logs and event streams that end in the middle: nothing stays open."""
    container = create(pouchd, "sleep", "1000", OpenStdin=True)
    pouchd.api("POST", f"/containers/{container}/start")
    paths = [
        f"POST /containers/{container}/attach?stream=1&stdin=1&stdout=1&logs=1",
        f"POST /containers/{container}/wait",
        f"GET /containers/{container}/logs?follow=1&stdout=1",
        "GET /events",
    ]

    def abort(rounds: int) -> None:
        for number in range(rounds):
            for path in paths:
                with connection(pouchd, path) as client:
                    if number % 3:
                        read_head(client)
                    if number % 2:
                        client.shutdown(socket.SHUT_WR)

    def settled(limit: int) -> int:
        deadline = time.monotonic() + 10
        while pouchd.descriptors() > limit and time.monotonic() < deadline:
            time.sleep(0.05)
        return pouchd.descriptors()

    abort(20)
    time.sleep(0.5)
    before, threads = pouchd.descriptors(), _threads(pouchd)
    abort(200)
    assert settled(before) <= before
    assert _threads(pouchd) <= threads + 8  # pools grow to their bounds and no further
    assert pouchd.inspect(container)["State"]["Running"] is True


def _threads(pouchd: Daemon) -> int:
    assert pouchd.process is not None
    return len(os.listdir(f"/proc/{pouchd.process.pid}/task"))
