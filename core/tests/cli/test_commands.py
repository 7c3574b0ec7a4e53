"""Whole commands, each a process of its own, against a server: calls, output, exit codes, error texts."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pouch_engine.cli.tables import table

from .conftest import Request, Run, Server, outside_environment

ID = "0123456789abcdef" * 4


def _framed(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


def _routes(server: Server) -> list[str]:
    return [f"{request.method} {request.target.removeprefix('/v1.43')}" for request in server.requests]


def test_tables_look_as_dockers() -> None:
    """Columns are at least ten wide and three blanks apart; the last one is ragged."""
    text = table(["A", "LONGER HEAD"], [["x", "y"], ["quite long cell", "z"]])
    assert text == "A                 LONGER HEAD\nx                 y\nquite long cell   z\n"


class Container:
    """A container's side of the API: create, attach, wait, start, remove, kill."""

    def __init__(self, server: Server, output: bytes = b"", code: int = 0) -> None:
        self.started = threading.Event()
        self.ended = threading.Event()
        self.signals: list[str] = []
        self.output = output
        self.code = code
        path = f"/containers/{ID}"
        server.answer("POST /containers/create", {"Id": ID, "Warnings": ["swap is not limited"]}, "201 Created")
        server.on(f"POST {path}/attach", self._attach)
        server.on(f"POST {path}/wait", self._wait)
        server.on(f"POST {path}/start", self._start)
        server.on(f"POST {path}/kill", self._kill)
        server.answer(f"DELETE {path}", None, "204 No Content")
        server.answer(f"GET {path}/json", {"Id": ID, "Config": {"Tty": False}})

    def _attach(self, _: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        assert self.started.wait(10)
        connection.sendall(self.output)
        assert self.ended.wait(10)

    def _wait(self, _: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        if self.ended.wait(10):
            body = json.dumps({"StatusCode": self.code}).encode()
            connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    def _start(self, _: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.started.set()

    def _kill(self, request: Request, connection: socket.socket) -> None:
        self.signals.append(request.target.partition("signal=")[2])
        self.code = 128 + int(self.signals[-1])
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.ended.set()


def test_run(server: Server, pouch: Run) -> None:
    """run makes docker's calls in docker's order, shows both outputs and the warning, and exits as the process did."""
    container = Container(server, _framed(1, b"out\n") + _framed(2, b"err\n"), code=7)
    container.ended.set()
    result = pouch("run", "--rm", "busybox", "sh")
    assert (result.code, result.stdout) == (7, "out\n")
    assert result.stderr == "pouch: WARNING: swap is not limited\nerr\n"
    assert _routes(server) == [
        "POST /containers/create",
        f"POST /containers/{ID}/attach?stream=1&stdout=1&stderr=1",
        f"POST /containers/{ID}/wait?condition=next-exit",
        f"POST /containers/{ID}/start",
    ]


def test_run_detached(server: Server, pouch: Run, tmp_path: Path) -> None:
    """run -d prints the id and leaves; --cidfile has it too."""
    Container(server)
    result = pouch("run", "-d", "--name", "web", "--cidfile", str(tmp_path / "cid"), "busybox")
    assert (result.code, result.stdout) == (0, ID + "\n")
    assert _routes(server) == ["POST /containers/create?name=web", f"POST /containers/{ID}/start"]
    assert (tmp_path / "cid").read_text() == ID


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "nope": executable file not found in $PATH', 127),
        ("exec: /nope: no such file or directory", 127),
        ("exec: /etc: permission denied", 126),
        ("the runtime is on holiday", 125),
    ],
)
def test_run_that_can_not_start(server: Server, pouch: Run, message: str, code: int) -> None:
    """A failed start has docker's exit codes, and with --rm nothing is left over."""
    Container(server).ended.set()
    server.answer(f"POST /containers/{ID}/start", {"message": message}, "400 Bad Request")
    server.on(f"POST /containers/{ID}/attach", lambda _, c: c.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n"))
    result = pouch("run", "--rm", "busybox", "x")
    assert result.code == code
    assert result.stderr.endswith(f"pouch: {message}\n")
    assert _routes(server)[-1] == f"DELETE /containers/{ID}?force=1&v=1"


def test_run_of_a_missing_image(server: Server, pouch: Run) -> None:
    """A missing image is exit code 125 and says how to get one."""
    server.answer("POST /containers/create", {"message": "No such image: nope:latest"}, "404 Not Found")
    result = pouch("run", "nope")
    assert result.code == 125
    assert "No such image: nope:latest" in result.stderr
    assert "pouch load -i" in result.stderr
    assert "pouch import" in result.stderr


def _spawn(server: Server, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "from pouch_engine.cli import main; main()", *arguments],
        env={**outside_environment(), "POUCH_HOST": server.host},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGRTMIN])
def test_signals_are_handed_on(server: Server, number: signal.Signals) -> None:
    """A signal to the command is one to the container, whose exit code is then the command's."""
    container = Container(server, _framed(1, b"ready\n"))
    with _spawn(server, "run", "busybox") as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(10) == 128 + number
    assert container.signals == [str(int(number))]


def test_interrupt_before_the_start_leaves_nothing(server: Server) -> None:
    """Ctrl-C while the container is being created ends quietly with 130, after removing what was created."""
    creating, go_on = threading.Event(), threading.Event()
    Container(server)

    def create(_: Request, connection: socket.socket) -> None:
        creating.set()
        assert go_on.wait(10)
        body = json.dumps({"Id": ID}).encode()
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    server.on("POST /containers/create", create)
    with _spawn(server, "run", "busybox") as process:
        assert creating.wait(10)
        process.send_signal(signal.SIGINT)
        assert _pending_signal_taken(process.pid)
        go_on.set()
        _, stderr = process.communicate(timeout=10)
    assert (process.returncode, stderr) == (130, b"")
    assert _routes(server) == ["POST /containers/create", f"DELETE /containers/{ID}?force=1&v=1"]


def _pending_signal_taken(pid: int) -> bool:
    """Wait until the process has no signal waiting (proc(5): SigPnd, ShdPnd)."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with open(f"/proc/{pid}/status") as file:
            if all(int(line.split()[1], 16) == 0 for line in file if line.startswith(("SigPnd", "ShdPnd"))):
                return True
    return False


def test_interrupt_while_waiting(server: Server) -> None:
    """Ctrl-C while the daemon takes its time is exit code 130 and nothing on stderr."""
    asked, ended = threading.Event(), threading.Event()

    def wait(_: Request, connection: socket.socket) -> None:
        asked.set()
        ended.wait(10)

    server.on("POST /containers/web/wait", wait)
    with _spawn(server, "wait", "web") as process:
        assert asked.wait(10)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    ended.set()
    assert (process.returncode, stderr) == (130, b"")


def test_nobody_reads(server: Server) -> None:
    """A reader that has gone ends the command quietly, as SIGPIPE would."""
    server.answer("GET /containers/c/json", {"Id": "c", "Config": {"Tty": True}})
    answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"y\n" * 300_000

    def logs(_: Request, connection: socket.socket) -> None:
        try:
            connection.sendall(answer)
        except BrokenPipeError:
            return  # what is tested: the command has gone

    server.on("GET /containers/c/logs", logs)
    with _spawn(server, "logs", "c") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert process.wait(10) == 141
        assert process.stderr.read() == b""


def test_exec(server: Server, pouch: Run) -> None:
    """exec creates, takes over, feeds stdin, and exits as the process did."""
    fed: list[bytes] = []

    def start(_: Request, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
        data = b""
        while piece := connection.recv(99):
            data += piece
        fed.append(data)
        connection.sendall(_framed(1, b"got it\n"))

    server.answer("POST /containers/web/exec", {"Id": "e1"}, "201 Created")
    server.on("POST /exec/e1/start", start)
    server.answer("GET /exec/e1/json", {"ExitCode": 3})
    result = pouch("exec", "-i", "-e", "A=1", "-u", "5:6", "web", "cat", "-", stdin="hello")
    assert (result.code, result.stdout, result.stderr) == (3, "got it\n", "")
    assert fed == [b"hello"]
    created = server.requests[0].json()
    assert created["Cmd"] == ["cat", "-"]
    assert (created["User"], created["Env"], created["AttachStdin"]) == ("5:6", ["A=1"], True)


def test_terminal_needs_a_terminal(server: Server, pouch: Run) -> None:
    """-it from a pipe is refused before anything is created."""
    result = pouch("run", "-it", "busybox")
    assert result.code == 1
    assert "not a TTY" in result.stderr
    assert server.requests == []


CONTAINERS: list[dict[str, Any]] = [
    {
        "Id": ID,
        "Image": "busybox",
        "Command": "httpd -f -p 80 -h /srv/www",
        "Created": 0,
        "Status": "Up 2 minutes",
        "State": "running",
        "Ports": [
            {"PrivatePort": 80, "PublicPort": 8080, "IP": "0.0.0.0", "Type": "tcp"},
            {"PrivatePort": 53, "Type": "udp"},
        ],
        "Names": ["/web"],
        "Labels": {"a": "b"},
        "Runtime": "runc",
    }
]


def test_ps(server: Server, pouch: Run) -> None:
    """ps shows docker's columns and the runtime."""
    server.answer("GET /containers/json", CONTAINERS)
    head, line = pouch("ps").stdout.splitlines()
    assert head.split("   ")[0] == "CONTAINER ID"
    assert head.split()[-2:] == ["NAMES", "RUNTIME"]
    assert line.startswith('0123456789ab   busybox   "httpd -f -p 80 -h /…"   ')
    assert line.endswith("years ago   Up 2 minutes   53/udp, 0.0.0.0:8080->80/tcp   web       runc")


@pytest.mark.parametrize(
    ("arguments", "output", "query"),
    [
        (["-q"], "0123456789ab\n", ""),
        (["-aq", "--no-trunc"], ID + "\n", "?all=1"),
        (["--format", "{{.Names}}={{.Labels}}"], "web=a=b\n", ""),
        (["--format", "table {{.Names}}\\t{{.Image}}"], "NAMES     IMAGE\nweb       busybox\n", ""),
        (["-n", "3", "--format", "{{.State}}"], "running\n", "?all=1&limit=3"),
        (["-q", "-f", "name=a", "-f", "name=b"], "0123456789ab\n", "?filters=%7B%22name%22:%5B%22a%22%2C%22b%22%5D%7D"),
    ],
)
def test_ps_variants(server: Server, pouch: Run, arguments: list[str], output: str, query: str) -> None:
    """ps's flags choose what is asked for and what is shown."""
    server.answer("GET /containers/json", CONTAINERS)
    assert pouch("ps", *arguments).stdout == output
    assert _routes(server) == [f"GET /containers/json{query}"]


def test_some_of_many_fail(server: Server, pouch: Run) -> None:
    """Each of several containers is tried; failures are told and make the exit code 1."""
    server.answer("POST /containers/a/stop", None, "204 No Content")
    server.answer("POST /containers/b/stop", {"message": "No such container: b"}, "404 Not Found")
    server.answer("POST /containers/c/stop", None, "304 Not Modified")
    result = pouch("stop", "-t", "0", "a", "b", "c")
    assert (result.code, result.stdout, result.stderr) == (1, "a\nc\n", "pouch: No such container: b\n")
    assert _routes(server)[0] == "POST /containers/a/stop?t=0"


def test_inspect_looks_for_every_kind(server: Server, pouch: Run) -> None:
    """inspect finds containers, images and volumes, and shows what it found beside what it did not."""
    server.answer("GET /images/busybox/json", {"Id": "sha256:1"})
    result = pouch("inspect", "busybox", "nope")
    assert json.loads(result.stdout) == [{"Id": "sha256:1"}]
    assert result.code == 1
    assert "no such object: nope" in result.stderr


def test_load(server: Server, pouch: Run, tmp_path: Path) -> None:
    """load shows what was loaded, and fails with the daemon's words when the archive is damaged."""
    (tmp_path / "a.tar").write_bytes(b"tar")
    body = b'{"stream": "Loaded image: a:1\\n"}\n{"errorDetail": {"message": "damaged"}, "error": "damaged"}\n'
    server.on("POST /images/load", lambda _, c: c.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body))
    result = pouch("load", "-i", str(tmp_path / "a.tar"))
    assert (result.code, result.stdout, result.stderr) == (1, "Loaded image: a:1\n", "pouch: damaged\n")


def test_load_of_no_file(pouch: Run) -> None:
    """A file that is not there is named."""
    result = pouch("load", "-i", "/nope.tar")
    assert (result.code, result.stderr) == (1, "pouch: open /nope.tar: No such file or directory\n")


def test_doctor(server: Server, pouch: Run) -> None:
    """doctor prints findings with reason and remedy; an error makes the exit code 1."""
    finding = {
        "plugin": "overlay",
        "level": "error",
        "what": "no overlayfs",
        "why": "module missing",
        "remedy": "modprobe overlay",
    }
    server.answer("GET /pouch/doctor", {"findings": [finding]})
    result = pouch("doctor")
    assert result.code == 1
    assert result.stdout.splitlines() == [
        "error    overlay: no overlayfs",
        "         because: module missing",
        "         remedy: modprobe overlay",
    ]


def test_plugin_list(server: Server, pouch: Run) -> None:
    """plugin ls shows kind, name, distribution, API, state and reason."""
    plugin = {
        "kind": "storage",
        "name": "overlay",
        "distribution": "pouch-overlay",
        "version": "0.1.0",
        "api": "0.1",
        "state": "broken",
        "reason": "why",
    }
    server.answer("GET /pouch/plugins", {"plugins": [plugin]})
    assert pouch("plugin", "ls").stdout.splitlines()[1].split() == [
        "storage",
        "overlay",
        "pouch-overlay",
        "0.1.0",
        "0.1",
        "broken",
        "why",
    ]


OPTIONS = {
    "hash": "1",
    "options": [
        {
            "plugin": "diskquota",
            "field": "rules",
            "flag": "--disk-quota",
            "aliases": ["--dq"],
            "type": "map",
            "help": "Limit the disk",
            "commands": ["run", "create"],
        },
        {
            "plugin": "lxcfs",
            "field": "enabled",
            "flag": "--lxcfs",
            "aliases": ["--enableLxcfs"],
            "type": "boolean",
            "default": False,
            "help": "True /proc",
            "commands": ["run"],
        },
    ],
}


def test_plugin_flags(server: Server, pouch: Run) -> None:
    """A flag of an installed plugin is accepted and sent below HostConfig.Isolation."""
    server.answer("GET /pouch/options", OPTIONS)
    Container(server)
    assert pouch("run", "-d", "--disk-quota", "/=10g", "--dq", "20g", "--enableLxcfs", "busybox").code == 0
    sent = next(request for request in server.requests if request.target.endswith("/create"))
    assert sent.json()["HostConfig"]["Isolation"] == {
        "diskquota": {"rules": ["/=10g", "20g"]},
        "lxcfs": {"enabled": True},
    }


def test_plugin_flags_in_help(server: Server, pouch: Run) -> None:
    """--help of run lists the flags of installed plugins when a daemon answers."""
    server.answer("GET /pouch/options", OPTIONS)
    text = pouch("run", "--help").stdout
    assert "Options of installed plugins:" in text
    assert "--disk-quota" in text.partition("Options of installed plugins:")[2]


def test_unknown_flag(server: Server, pouch: Run) -> None:
    """A flag that nobody knows is exit code 125, with the usage and where to find help."""
    server.answer("GET /pouch/options", OPTIONS)
    result = pouch("run", "--diskquota", "busybox")
    assert result.code == 125
    assert "pouch: unknown flag: --diskquota" in result.stderr
    assert "Usage: pouch run [OPTIONS] IMAGE [COMMAND] [ARG...]" in result.stderr
    assert "Run 'pouch run --help' for more information." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["ps", "--nope"], 125, "unknown flag: --nope"),
        (["nope"], 1, "nope"),
        (["stop"], 1, "requires at least 1 argument"),
        (["-H", "tcp://1.2.3.4", "ps"], 1, "expected unix:///path"),
        (["-H", "unix:///nonexistent.sock", "ps"], 1, "cannot connect to pouchd at unix:///nonexistent.sock"),
        (["-H", "unix:///nonexistent.sock", "run", "x"], 125, "cannot connect to pouchd"),
        (["ps", "-f", "x"], 1, "expected KEY=VALUE"),
        (["ps", "--format", "{{.Nope}}"], 1, "no field .Nope"),
        (["logs", "--tail", "few", "c"], 1, "expected a number of lines, or all"),
        (["run", "--pull", "always", "x"], 125, "expected missing or never"),
        (["run", "--env-file", "/nope", "x"], 125, "open /nope"),
    ],
)
def test_users_mistakes(server: Server, pouch: Run, arguments: list[str], code: int, message: str) -> None:
    """A mistake is one clear message and docker's exit code, never a traceback."""
    server.answer("GET /containers/json", CONTAINERS)
    result = pouch(*arguments)
    assert result.code == code
    assert message in result.stderr
    assert result.stderr.startswith("pouch: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", ["ps", "version", "images", "volume ls", "stop x", "run -d busybox"])
def test_fast_path_imports_nothing_slow(server: Server, command: str) -> None:
    """A common command loads neither click nor any of the standard library's slow modules."""
    server.answer("GET /containers/json", CONTAINERS)
    server.answer("GET /version", {"Version": "1"})
    server.answer("GET /images/json", [])
    server.answer("GET /volumes", {"Volumes": []})
    server.answer("POST /containers/x/stop", None, "204 No Content")
    Container(server)
    program = "import sys; from pouch_engine.cli import run; run(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    result = subprocess.run(
        [sys.executable, "-BISc", f"import sys; sys.path = {sys.path!r}; {program}", *command.split()],
        env={"POUCH_HOST": server.host},
        capture_output=True,
        text=True,
        check=True,
    )
    slow = {
        "click",
        "re",
        "enum",
        "json",
        "typing",
        "socket",
        "signal",
        "http",
        "subprocess",
        "inspect",
        "collections",
        "functools",
    }
    assert not slow & set(result.stderr.split())


@pytest.mark.parametrize("arguments", [["--version"], ["-v"], ["-H", "unix:///nonexistent.sock", "--version"]])
def test_own_version_needs_no_daemon(server: Server, pouch: Run, arguments: list[str]) -> None:
    """--version shows the command's version and asks nobody."""
    result = pouch(*arguments)
    assert (result.code, result.stdout) == (0, f"Pouch version {version('pouch-engine')}\n")
    assert server.requests == []


def test_completion(server: Server) -> None:
    """The shell's completion offers commands and flags."""

    def complete(words: str, position: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", "from pouch_engine.cli import main; main()"],
            env={
                **outside_environment(),
                "POUCH_HOST": server.host,
                "_POUCH_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(position),
            },
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    assert "plain,rmi" in complete("pouch rm", 1)
    assert "plain,--memory-swap" in complete("pouch run --mem", 2)
