"""stats: the figures are the kernel's own, in docker's words; and what becomes of them when the container goes."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup_files import V2, Kernel
from tests.pouchd import POUCH, Daemon

MIB = 1 << 20


def _once(daemon: Daemon, name: str, query: str = "stream=0&one-shot=1") -> dict[str, Any]:
    status, document = daemon.api("GET", f"/v1.43/containers/{name}/stats?{query}")
    assert status == 200, document
    found: dict[str, Any] = document
    return found


class Stream:
    """GET stats with stream=1, document by document."""

    def __init__(self, daemon: Daemon, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(daemon.socket))
        self._socket.sendall(f"GET /v1.43/containers/{name}/stats HTTP/1.1\r\nHost: pouch\r\n\r\n".encode())
        self._answer = http.client.HTTPResponse(self._socket)
        self._answer.begin()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while line := self._answer.readline():
            yield json.loads(line)

    def close(self) -> None:
        """Go away."""
        self._answer.close()
        self._socket.close()


def _with_memory(daemon: Daemon) -> Kernel:
    """A container that holds 40 MiB and burns processor time in two processes."""
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; touch /up; (while :; do :; done) & wait"
    daemon.pouch("run", "-d", "--name", "box", "-m", "128m", "--pids-limit", "50", "busybox", "sh", "-c", script)
    daemon.pouch("exec", "box", "sh", "-c", "while ! [ -e /up ]; do :; done")
    return Kernel(daemon.inspect("box")["State"]["Pid"])


def test_figures_are_the_kernels(pouchd: Daemon) -> None:
    """Memory, its limit, processor time and processes, against the container's own cgroup files."""
    kernel = _with_memory(pouchd)
    cpu_before = kernel.cpu_used_ns
    figures = _once(pouchd, "box")
    cpu_after = kernel.cpu_used_ns
    memory = figures["memory_stats"]
    assert memory["limit"] == 128 * MIB
    used = memory["usage"] - memory["stats"]["inactive_file"]
    assert abs(used - kernel.memory_used) < 2 * MIB
    assert used > 40 * MIB
    assert ("total_inactive_file" in memory["stats"]) is not V2  # by it docker's clients know the version
    assert cpu_before <= figures["cpu_stats"]["cpu_usage"]["total_usage"] <= cpu_after
    assert figures["cpu_stats"]["online_cpus"] == os.cpu_count()
    assert figures["pids_stats"]["limit"] == 50
    assert figures["pids_stats"]["current"] == kernel.number("pids", "pids.current")
    assert figures["name"] == "/box"
    assert figures["networks"] == {}


def test_block_io_is_the_kernels(pouchd: Daemon, tmp_path: Path) -> None:
    """What is written to a disk, past the cache, is counted; where the kernel counts none, neither do we."""
    command = ["dd", "if=/dev/zero", "of=/data/x", "bs=1M", "count=8", "oflag=direct", "conv=fsync"]
    pouchd.pouch("run", "-d", "--name", "box", "-v", f"{tmp_path}:/data", "busybox", "sleep", "1000")
    pouchd.pouch("exec", "box", *command, check=False)  # not every file system of a host has O_DIRECT
    kernel = Kernel(pouchd.inspect("box")["State"]["Pid"])
    name = "io.stat" if V2 else "blkio.throttle.io_service_bytes_recursive"
    path = kernel.file("io" if V2 else "blkio", name)
    text = path.read_text() if path.exists() else ""
    pattern = r"wbytes=(\d+)" if V2 else r"\d+:\d+ Write (\d+)"
    entries = _once(pouchd, "box")["blkio_stats"]["io_service_bytes_recursive"]
    written = sum(entry["value"] for entry in entries if entry["op"] == "write")
    assert written == sum(map(int, re.findall(pattern, text)))


def test_a_busy_processor_is_a_hundred_percent(pouchd: Daemon) -> None:
    """One document of a second's length; docker's own formula gives about what one process can burn."""
    _with_memory(pouchd)
    figures = _once(pouchd, "box", "stream=0")
    now, before = figures["cpu_stats"], figures["precpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    host = now["system_cpu_usage"] - before["system_cpu_usage"]
    percent = 100 * used / host * now["online_cpus"]
    assert 5 < percent < 130  # other work on the host may take most of it
    assert figures["preread"] < figures["read"]


def test_one_shot_has_nothing_to_compare_with(pouchd: Daemon) -> None:
    """It answers at once, with zeros before."""
    _with_memory(pouchd)
    figures = _once(pouchd, "box")
    assert figures["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert figures["preread"].startswith("0001-01-01")


def test_stream_goes_on_through_a_stop_to_the_removal(pouchd: Daemon) -> None:
    """Figures each second; zeros when it has ended; the stream's end when it is removed."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    stream = Stream(pouchd, "box")
    documents = iter(stream)
    first, second = next(documents), next(documents)
    assert first["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert second["precpu_stats"]["cpu_usage"] == first["cpu_stats"]["cpu_usage"]
    pouchd.pouch("stop", "-t", "0", "box")
    ended = next(document for document in documents if not document["memory_stats"])
    assert ended["read"].startswith("0001-01-01")
    pouchd.pouch("rm", "box")
    for _ in documents:
        pass  # what came before the removal; that the loop ends is what counts
    stream.close()


def test_stats_of_a_container_that_does_not_run(pouchd: Daemon) -> None:
    """No error: no figures, as docker has it."""
    pouchd.pouch("create", "--name", "box", "busybox")
    figures = _once(pouchd, "box", "stream=0")
    assert (figures["memory_stats"], figures["pids_stats"]) == ({}, {})


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [("nosuch/stats?stream=0", 404, "nosuch"), ("box/stats?stream=1&one-shot=1", 409, "one-shot")],
)
def test_stats_mistakes(pouchd: Daemon, path: str, status: int, word: str) -> None:
    """Refused in words."""
    pouchd.pouch("create", "--name", "box", "busybox")
    answered, document = pouchd.api("GET", f"/v1.43/containers/{path}")
    assert (answered, word in document["message"]) == (status, True)


def test_stats_and_exec_while_it_dies(pouchd: Daemon) -> None:
    """Asked all the time while containers come and go: an answer each time, no internal error, nothing left."""
    going = threading.Event()
    answers: set[int] = set()
    words: list[str] = []

    def ask() -> None:
        while not going.is_set():
            status, document = pouchd.api("GET", "/v1.43/containers/box/stats?stream=0&one-shot=1")
            answers.add(status)
            if status == 500:
                words.append(document["message"])

    def execute() -> None:
        while not going.is_set():
            done = pouchd.pouch("exec", "box", "true", check=False)
            if b"internal error" in done.stderr or b"Traceback" in done.stderr:
                words.append(done.stderr.decode())

    threads = [threading.Thread(target=work) for work in (ask, ask, execute)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        pouchd.pouch("kill", "box")
        pouchd.pouch("wait", "box")
        pouchd.pouch("rm", "box")
    going.set()
    for thread in threads:
        thread.join()
    assert words == []
    assert answers <= {200, 404}


def test_a_hundred_streams_that_go_away(pouchd: Daemon) -> None:
    """Clients that leave in the middle leave no descriptor behind."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    stays = Stream(pouchd, "box")
    next(iter(stays))
    before = pouchd.descriptors()
    for _ in range(100):
        stream = Stream(pouchd, "box")
        next(iter(stream))
        stream.close()
    until = time.monotonic() + 20
    while pouchd.descriptors() > before:  # they are closed behind the client's back
        assert time.monotonic() < until, (before, pouchd.descriptors())
        time.sleep(0.05)
    stays.close()


def test_the_table(pouchd: Daemon) -> None:
    """pouch stats --no-stream: docker's columns, for running containers or those named."""
    _with_memory(pouchd)
    pouchd.pouch("create", "--name", "made", "busybox")
    heads, row = pouchd.text("stats", "--no-stream").splitlines()
    assert re.split(r"\s{2,}", heads) == [
        "CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS",
    ]  # fmt: skip
    cells = re.split(r"\s{2,}", row)
    assert cells[1] == "box"
    assert re.fullmatch(r"4\d(\.\d+)?MiB / 128MiB", cells[3])
    assert cells[5] == "0B / 0B"
    (line,) = pouchd.text("stats", "--no-stream", "--format", "json", "made").splitlines()
    assert json.loads(line)["MemUsage"] == "-- / --"
    names = pouchd.text("stats", "--no-stream", "--all", "--format", "{{.Name}}").split()
    assert sorted(names) == ["box", "made"]


def test_the_table_refreshes_on_a_terminal(pouchd: Daemon) -> None:
    """It is drawn again at the top of the screen, and ends when the container that was named is gone."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    master, slave = pty.openpty()
    stats = subprocess.Popen([POUCH, "stats", "box"], stdout=slave, stdin=slave, env=pouchd.environment())
    os.close(slave)
    shown = b""
    while shown.count(b"\x1b[H\x1b[2J") < 2:
        shown += os.read(master, 4096)
    pouchd.pouch("rm", "-f", "box")
    try:
        while chunk := os.read(master, 4096):
            shown += chunk
    except OSError:  # EIO: the other side is closed
        pass
    os.close(master)
    assert stats.wait(20) == 0
    assert shown.count(b"box") >= 2
