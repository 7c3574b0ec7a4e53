"""A real pouchd for tests: private directories, private cgroups, and nothing left behind."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pouch_linux.mounts import unmount_tree

REPOSITORY = Path(__file__).resolve().parent.parent
POUCH = Path(sys.executable).with_name("pouch")
START_SECONDS = 30


class Daemon:
    """One pouchd with directories of its own."""

    def __init__(self, name: str, config: str = "", python: str = sys.executable) -> None:
        self.name = name
        self.python = python
        self.run_dir = Path(f"/run/{name}")  # short: sockets are in it
        self.root_dir = Path(f"/var/tmp/{name}")
        self.socket = self.run_dir / "pouch.sock"
        self.cgroup = f"/{name}"
        self.config_path = self.root_dir / "pouchd.toml"
        self.process: subprocess.Popen[bytes] | None = None
        for directory in (self.run_dir, self.root_dir):
            directory.mkdir(mode=0o711)
        self.configure(config)

    def configure(self, text: str) -> None:
        """Write pouchd.toml; takes effect at the next start."""
        self.config_path.write_text(f'cgroup-parent = "{self.cgroup}"\n{text}')

    def start(
        self,
        *arguments: str,
        environment: dict[str, str] | None = None,
        before: Sequence[str] = (),
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it and wait until it serves; `before`: a command that becomes the one after it."""
        read, write = os.pipe()
        command: list[str | Path] = [
            *before,
            self.python,
            "-I",
            "-m",
            "pouch_engine.daemon",
            "--root",
            self.root_dir,
            "--run",
            self.run_dir,
        ]
        command += ["--socket", self.socket, "--config", self.config_path, "--ready-fd", str(write), *arguments]
        with (self.root_dir / "pouchd.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                pass_fds=(write, *pass_fds),
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
            )
        os.close(write)
        with open(read, "rb") as ready:
            said = ready.read()
        if said != b"ready\n":
            self.process.wait(START_SECONDS)
            self.process = None
            pytest.fail(f"pouchd did not start:\n{self.log()}")

    def log(self) -> str:
        """What it has logged."""
        return (self.root_dir / "pouchd.log").read_text()

    def stop(self) -> int:
        """End it by SIGTERM; gives its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(START_SECONDS)
        self.process = None
        return code

    def restart(self) -> None:
        """A crash and a new start."""
        self.kill()
        self.start()

    def environment(self) -> dict[str, str]:
        """For commands that should talk to it."""
        return {**os.environ, "POUCH_HOST": f"unix://{self.socket}"}

    def pouch(
        self, *arguments: str | Path, stdin: bytes = b"", check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the pouch command against it."""
        done = subprocess.run(
            [POUCH, *arguments], input=stdin, capture_output=True, env=self.environment(), timeout=timeout
        )
        if check and done.returncode != 0:
            pytest.fail(f"pouch {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr.decode()}")
        return done

    def text(self, *arguments: str | Path, **options: Any) -> str:
        """The standard output of a pouch command, as text without the last newline."""
        return self.pouch(*arguments, **options).stdout.decode().rstrip("\n")

    def api(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request: status and decoded answer."""
        connection = _UnixConnection(self.socket)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else None
        finally:
            connection.close()

    def inspect(self, container: str) -> dict[str, Any]:
        """A container's inspect document."""
        status, document = self.api("GET", f"/v1.43/containers/{container}/json")
        assert status == 200, document
        found: dict[str, Any] = document
        return found

    def remains(self) -> list[str]:
        """What is there of containers, beyond the daemon itself: mounts, cgroups, processes, directories."""
        found = [f"mount {line.split()[4]}" for line in _lines("/proc/self/mountinfo") if self._is_ours(line)]
        found += [f"cgroup {path}" for path in self._cgroups()]
        found += [f"process {pid} {command}" for pid, command in _processes() if self._is_ours(command)]
        for directory in ("tasks", "exits", "execs", "own"):
            parent = self.run_dir / directory
            found += [f"file {path}" for path in parent.iterdir()] if parent.exists() else []
        containers = self.root_dir / "containers"
        found += [f"file {path}" for path in containers.iterdir()] if containers.exists() else []
        snapshots = self.root_dir / "plugins/storage/overlay/snapshots"
        found += [f"file {path}" for path in snapshots.iterdir()] if snapshots.exists() else []
        return found

    def _is_ours(self, text: str) -> bool:
        return f"{self.run_dir}/" in text or f"{self.root_dir}/" in text

    def _cgroups(self) -> list[Path]:
        places = [
            *Path("/sys/fs/cgroup").glob(f"*{self.cgroup}/*/"),
            *Path("/sys/fs/cgroup").glob(f".{self.cgroup}/*/"),
        ]
        return sorted(places)

    def descriptors(self) -> int:
        """How many descriptors the daemon has open."""
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def destroy(self) -> None:
        """End everything and remove its directories."""
        if self.process is None:
            with suppress(Exception):
                self.start()
        if self.process is not None:
            _, containers = self.api("GET", "/containers/json?all=1")
            for container in containers:
                self.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
            self.stop()
        remains = [line for line in self.remains() if not line.startswith("file ")]
        for directory in (self.run_dir, self.root_dir):
            unmount_tree(directory)  # private mounts of their own, where the host's mounts are shared
            shutil.rmtree(directory)
        for hierarchy in Path("/sys/fs/cgroup").glob(f"*{self.cgroup}"):
            hierarchy.rmdir()
        assert remains == [], remains


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


def _processes() -> Iterator[tuple[int, str]]:
    """Supervisors and runtimes by their command lines; the tests' own commands do not name the directories."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and int(directory.name) != os.getpid():
            with suppress(OSError):
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if command.startswith(("conmon", "/usr/bin/conmon", "runc", "/usr/sbin/runc", "/usr/bin/runc")):
                    yield int(directory.name), command
