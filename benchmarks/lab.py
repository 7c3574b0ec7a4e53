"""The place of one run: a directory of its own, the image, the daemons started in it; all gone at the end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from types import TracebackType

IMAGE = "busybox:latest"
START_DEADLINE = 30.0  # seconds a daemon has until it answers
STOP_DEADLINE = 15.0  # seconds a daemon has to end by itself

_MAKE_ROOTFS = Path(__file__).resolve().parent.parent / "scripts" / "make-busybox-image"


class BenchmarkError(Exception):
    """A peer could not be started or a command failed; the text says which and shows what it said."""


class Lab:
    """A directory with the image, in which peers start their daemons. Use it as a context manager.

    Attributes:
        directory: Where everything is; its name names the cgroups, too. Short, for the sockets in it.
        rootfs_tar: The image's only layer, a plain tar.
        image_tar: The image as `docker save` would write it, for every peer to load.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pouch-bench-", dir=parent))
        self.rootfs_tar = self.directory / "rootfs.tar"
        self.image_tar = self.directory / "image.tar"
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Lab:
        try:
            run([str(_MAKE_ROOTFS), str(self.rootfs_tar)])
            write_image(self.rootfs_tar, self.image_tar)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in reversed(self._daemons):
            _end(daemon)
        self._remove()

    def daemon(
        self,
        name: str,
        argv: list[str],
        *,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
    ) -> int:
        """Start a daemon, wait until `ready()`; return its process id. The lab ends it.

        Raises:
            BenchmarkError: It ended, or was not ready in time; with the end of what it wrote.
        """
        log = self.directory / f"{name}.log"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | dict(env or {}),
                start_new_session=True,  # our terminal's Ctrl-C is for us; the daemon is ended in its turn
            )
        self._daemons.append(daemon)
        deadline = time.monotonic() + START_DEADLINE
        while not ready():
            if daemon.poll() is not None or time.monotonic() > deadline:
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
                raise BenchmarkError(f"{name} did not start:\n{tail}")
            time.sleep(0.02)
        return daemon.pid

    def _remove(self) -> None:
        _kill_processes_of(self.directory)
        for mount in _mounts_below(self.directory):
            subprocess.run(["umount", "--lazy", mount], check=False)
        shutil.rmtree(self.directory)
        for cgroup in Path("/sys/fs/cgroup").glob(f"*/{self.directory.name}"):
            cgroup.rmdir()


def run(argv: list[str], env: Mapping[str, str] | None = None) -> str:
    """Run a command; return what it printed.

    Raises:
        BenchmarkError: It is not there, or did not exit with 0.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=os.environ | dict(env or {}),
            check=False,
        )
    except FileNotFoundError as error:
        raise BenchmarkError(f"no command {argv[0]} here") from error
    if done.returncode != 0:
        raise BenchmarkError(f"{' '.join(argv)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def answers(path: Path) -> Callable[[], bool]:
    """Give a check whether somebody accepts connections on the unix socket at `path`."""

    def check() -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(path)) == 0

    return check


def command(name: str) -> str:
    """Find a command: beside the Python that runs us (our wheels' own commands), else on the PATH.

    Raises:
        BenchmarkError: It is in neither.
    """
    own = Path(sys.executable).parent / name
    found = str(own) if own.exists() else shutil.which(name)
    if found is None:
        raise BenchmarkError(f"no command {name} here: install it, or leave its peer out with --peers")
    return found


def write_image(layer: Path, archive: Path) -> None:
    """Write a docker archive of one layer, tagged `IMAGE` (docker's image specification 1.2)."""
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {
                "Cmd": ["sh"],
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, "layer.tar")
        for name, content in ((config_name, config), ("manifest.json", manifest)):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))


def _end(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _kill_processes_of(directory: Path) -> None:
    """End what daemons left behind (shims, monitors): processes whose command line names our directory."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if bytes(directory) in (process / "cmdline").read_bytes() and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended by itself


def _mounts_below(directory: Path) -> list[str]:
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [mount for mount in reversed(mounts) if mount.startswith(f"{directory}/")]
