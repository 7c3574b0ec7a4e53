"""docker-py, the client that most Python programs use, against pouchd."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.pouchd import Daemon


def _close(stream: Any) -> None:
    """Close a stream of docker-py's, which leaves its socket to the garbage collector."""
    stream._sock.close()
    stream.close()


@pytest.fixture
def client(pouchd: Daemon) -> Iterator[docker.DockerClient]:
    """A client that negotiates its version."""
    made = docker.DockerClient(base_url=f"unix://{pouchd.socket}", version="auto")
    yield made
    made.close()


def test_ping_and_version(client: docker.DockerClient) -> None:
    """The version is negotiated by GET /version."""
    assert client.ping() is True
    assert client.version()["ApiVersion"] == "1.43"


def test_run(client: docker.DockerClient) -> None:
    """Output comes back, and a failure has code and output."""
    assert client.containers.run("busybox", "echo hello", remove=True) == b"hello\n"
    with pytest.raises(docker.errors.ContainerError) as failed:
        client.containers.run("busybox", ["sh", "-c", "echo wrong >&2; exit 4"], remove=True)
    assert (failed.value.exit_status, failed.value.stderr) == (4, b"wrong\n")


def test_errors_have_their_kinds(client: docker.DockerClient) -> None:
    """Statuses are those that docker-py tells apart."""
    with pytest.raises(docker.errors.NotFound):
        client.containers.get("nosuch")
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get("nosuch")
    client.containers.create("busybox", name="twice")
    with pytest.raises(docker.errors.APIError) as conflict:
        client.containers.create("busybox", name="twice")
    assert conflict.value.status_code == 409


def test_exec(client: docker.DockerClient) -> None:
    """Over a pooled connection: code and output, apart or together, and a socket with input."""
    container = client.containers.run("busybox", "sleep 1000", detach=True)
    code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 9"], demux=True)
    assert (code, out, err) == (9, b"o\n", b"e\n")
    stream = container.exec_run("cat", stdin=True, socket=True, tty=True).output
    stream._sock.sendall(b"typed\n")
    assert b"typed" in stream._sock.recv(100)
    _close(stream)


def _execs(container: Any, count: int) -> None:
    """Execs of which every fourth is dropped in the middle."""
    for number in range(count):
        if number % 4:
            assert container.exec_run("true").exit_code == 0
        else:
            _close(container.exec_run("sleep 0.1", socket=True).output)


def test_many_execs_use_no_descriptors(client: docker.DockerClient, pouchd: Daemon) -> None:
    """A hundred execs leave the daemon as it was after the first few, when all pools are filled."""
    container = client.containers.run("busybox", "sleep 1000", detach=True)
    _execs(container, 24)
    time.sleep(0.3)  # the last of them end
    before = pouchd.descriptors()
    _execs(container, 100)
    deadline = time.monotonic() + 10
    while pouchd.descriptors() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pouchd.descriptors() <= before


def test_logs(client: docker.DockerClient) -> None:
    """Whole, and as a stream that ends with the container."""
    container = client.containers.run("busybox", ["sh", "-c", "echo a; sleep 0.3; echo b"], detach=True)
    assert b"".join(container.logs(stream=True, follow=True)) == b"a\nb\n"
    assert container.logs(tail=1) == b"b\n"
    assert container.logs(stderr=False, since=1) == b"a\nb\n"


def test_attach(client: docker.DockerClient) -> None:
    """Before the start: nothing is missed; input goes in and its end with it."""
    container = client.containers.create("busybox", ["sh", "-c", "echo first; cat"], stdin_open=True)
    params = {"stdin": 1, "stdout": 1, "stream": 1}
    stream = container.attach_socket(params=params)
    container.start()
    stream._sock.sendall(b"second")
    stream._sock.shutdown(1)
    received = b""
    while piece := stream._sock.recv(4096):
        received += piece
    _close(stream)
    assert received == b"\1\0\0\0\0\0\0\6first\n\1\0\0\0\0\0\0\6second"


def test_wait_lists_and_stop(client: docker.DockerClient) -> None:
    """wait gives the code; lists know all and running ones."""
    container = client.containers.run("busybox", ["sh", "-c", "exit 6"], detach=True, name="six")
    assert container.wait()["StatusCode"] == 6
    assert client.containers.list() == []
    assert [found.name for found in client.containers.list(all=True, filters={"status": "exited"})] == ["six"]
    assert container.attrs["HostConfig"]["NetworkMode"] in ("default", "none")


def test_events(client: docker.DockerClient) -> None:
    """A generator of decoded events."""
    stream = client.events(decode=True, filters={"type": "container"})
    threading.Timer(0.2, lambda: client.api.create_container("busybox", name="seen")).start()
    event = next(stream)
    stream.close()
    assert (event["Action"], event["Actor"]["Attributes"]["name"]) == ("create", "seen")


def test_images(client: docker.DockerClient) -> None:
    """Tag, list, remove."""
    image = client.images.get("busybox")
    assert image.tag("tagged", "1")
    assert "tagged:1" in client.images.get(image.id).tags
    client.images.remove("tagged:1")
    assert client.images.list(name="tagged") == []


def test_volumes(client: docker.DockerClient) -> None:
    """Made, used, listed by label, pruned away."""
    client.volumes.create("dv", labels={"of": "test"})
    client.containers.run("busybox", "touch /v/x", volumes={"dv": {"bind": "/v", "mode": "rw"}}, remove=True)
    (volume,) = client.volumes.list(filters={"label": "of=test"})
    assert os.listdir(Path(volume.attrs["Mountpoint"])) == ["x"]
    volume.remove()


def test_all_limits_and_lists_are_accepted(client: docker.DockerClient) -> None:
    """docker-py's own spelling of a full host configuration."""
    container = client.containers.create(
        "busybox", "true", mem_limit="64m", nano_cpus=500_000_000, pids_limit=50, cap_add=["NET_ADMIN"],
        cap_drop=["MKNOD"], environment={"A": "b"}, labels={"l": "m"}, tmpfs={"/t": "size=1m"}, network_mode="none",
        read_only=True, shm_size="32m", ulimits=[docker.types.Ulimit(name="nofile", soft=64, hard=64)],
        restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, log_config=docker.types.LogConfig(type="local"),
        mounts=[docker.types.Mount("/m", "mv", type="volume")], security_opt=["no-new-privileges"], init=False,
    )  # fmt: skip
    container.reload()
    host = container.attrs["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"], host["ShmSize"]) == (
        64 << 20,
        500_000_000,
        50,
        32 << 20,
    )
    client.api.remove_container(container.id)
    client.volumes.get("mv").remove()
