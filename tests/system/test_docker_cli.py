"""Docker's own command lines, an old and a new one, against pouchd."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pouchd import Daemon

# Debian's package (20.10) speaks API 1.41; whatever other docker comes first on the PATH may be newer.
COMMANDS = sorted({path for path in ("/usr/bin/docker", shutil.which("docker")) if path and Path(path).exists()})

Docker = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, pouchd: Daemon) -> list[str]:
    """A docker command that talks to pouchd."""
    return [request.param, "-H", f"unix://{pouchd.socket}"]


@pytest.fixture
def docker(command: list[str]) -> Docker:
    """Run docker, with a limit of time."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *arguments], input=stdin, capture_output=True, text=True, timeout=60)

    return run


def test_version_is_negotiated(docker: Docker) -> None:
    """Each command line finds a version that both speak, and shows the server."""
    done = docker("version", "--format", "{{.Server.APIVersion}} {{.Server.Os}}")
    assert (done.stdout, done.returncode) == ("1.43 linux\n", 0)


def test_info(docker: Docker) -> None:
    """`docker info` understands all of ours."""
    done = docker("info", "--format", "{{.Driver}} {{.DefaultRuntime}} {{.OSType}}")
    assert (done.stdout, done.returncode) == ("overlay runc linux\n", 0)


def test_run_gives_output_and_exit_code(docker: Docker) -> None:
    """stdout, stderr and the code of the process."""
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 7)


@pytest.mark.parametrize(("word", "code"), [("nosuchcommand", 127), ("/etc/passwd", 126)])
def test_run_of_a_missing_command(docker: Docker, word: str, code: int) -> None:
    """Docker's client finds its exit code in our message, and --rm removes what could not be started."""
    done = docker("run", "--rm", "busybox", word)
    assert done.returncode == code
    assert docker("ps", "-aq").stdout == ""


def test_run_with_input(docker: Docker) -> None:
    """Half-closed: the process sees the end of its input and answers after it."""
    assert docker("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end", stdin="x\n").stdout == "x\nend\n"


def test_large_binary_streams(command: list[str]) -> None:
    """32 MiB through cat, unharmed."""
    data = os.urandom(1 << 25)
    done = subprocess.run(
        [*command, "run", "-i", "--rm", "busybox", "cat"], input=data, capture_output=True, timeout=60
    )
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, command: list[str]) -> None:
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)  # pragma: no cover

    def read_until(self, words: bytes, seconds: float = 20) -> bytes:
        """What it shows up to these words."""
        shown, deadline = b"", time.monotonic() + seconds
        while words not in shown:
            ready, _, _ = select.select([self._fd], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                pytest.fail(f"{words!r} did not come: {shown!r}")
            shown += os.read(self._fd, 4096)
        return shown

    def type(self, text: bytes) -> None:
        """Press keys."""
        os.write(self._fd, text)

    def ended(self) -> int:
        """Its exit code, once it has ended; what it still shows is read."""
        try:
            while os.read(self._fd, 4096):
                continue
        except OSError:  # EIO: a terminal that nobody else has open
            os.close(self._fd)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)


def test_run_on_a_terminal(command: list[str]) -> None:
    """A shell with a terminal: prompt, echo, exit code."""
    terminal = Terminal([*command, "run", "-it", "--rm", "busybox", "sh"])
    terminal.read_until(b"/ # ")
    terminal.type(b"tty; echo $((20+3))\n")
    assert b"/dev/pts/0" in terminal.read_until(b"23\r\n")
    terminal.type(b"exit 5\n")
    assert terminal.ended() == 5


def test_detach_and_attach_again(command: list[str], docker: Docker) -> None:
    """ctrl-p ctrl-q leaves the shell running; attach finds it as it was."""
    terminal = Terminal([*command, "run", "-it", "--name", "kept", "busybox", "sh"])
    terminal.read_until(b"/ # ")
    terminal.type(b"mine=42\n")
    terminal.read_until(b"/ # ")
    terminal.type(b"\x10\x11")
    assert terminal.ended() == 0
    assert docker("inspect", "-f", "{{.State.Running}}", "kept").stdout == "true\n"
    again = Terminal([*command, "attach", "kept"])
    time.sleep(0.2)  # docker tells nobody when it is attached
    again.type(b"echo found-$mine\n")
    again.read_until(b"found-42")
    again.type(b"exit\n")
    assert again.ended() == 0


def test_exec(docker: Docker) -> None:
    """Output, input and exit code of a further process, also of one that is not there."""
    docker("run", "-d", "--name", "host", "busybox", "sleep", "1000")
    done = docker("exec", "host", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    assert docker("exec", "-i", "host", "cat", stdin="abc").stdout == "abc"
    assert docker(
        "exec", "-w", "/tmp", "-e", "A=b", "-u", "nobody", "host", "sh", "-c", "pwd; echo $A; id -un"
    ).stdout == ("/tmp\nb\nnobody\n")
    assert docker("exec", "host", "nosuchcommand").returncode == 127


def test_logs(docker: Docker) -> None:
    """All of it, apart by stream, the last lines, with times."""
    docker("run", "--name", "talker", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; done; echo err >&2")
    done = docker("logs", "talker")
    assert (done.stdout, done.stderr) == ("1\n2\n3\n", "err\n")
    assert docker("logs", "-n", "2", "talker").stdout == "3\n"
    stamped = docker("logs", "-t", "talker").stdout.splitlines()
    assert [line.split()[1] for line in stamped] == ["1", "2", "3"]
    assert all(line.split()[0].endswith("Z") for line in stamped)


def test_logs_are_followed_to_the_end(command: list[str], docker: Docker) -> None:
    """`logs -f` ends by itself when the container does, with every line once."""
    docker("run", "-d", "--name", "counter", "busybox", "sh", "-c", "for i in $(seq 50); do echo $i; sleep 0.02; done")
    done = subprocess.run([*command, "logs", "-f", "counter"], capture_output=True, text=True, timeout=30)
    assert done.stdout.split() == [str(number) for number in range(1, 51)]


def test_wait_stop_and_rm(docker: Docker) -> None:
    """The life of a container in the background."""
    docker("run", "-d", "--name", "short", "--stop-signal", "KILL", "busybox", "sleep", "1000")
    assert docker("stop", "-t", "5", "short").stdout == "short\n"
    assert docker("wait", "short").stdout == "137\n"
    assert docker("rm", "short").stdout == "short\n"
    assert "no such container" in docker("inspect", "short").stderr.lower().replace("object", "container")


def test_ps_and_its_filters(docker: Docker) -> None:
    """Docker's table of our containers."""
    docker("create", "--name", "made", "-l", "kind=a", "busybox")
    docker("run", "-d", "--name", "runs", "-l", "kind=b", "busybox", "sleep", "1000")

    def names(*filters: str) -> str:
        options = [word for text in filters for word in ("-f", text)]
        return docker("ps", "-a", "--format", "{{.Names}}", *options).stdout

    assert docker("ps", "--format", "{{.Names}} {{.Command}}").stdout == 'runs "sleep 1000"\n'
    assert names() == "runs\nmade\n"
    assert names("label=kind=a") == "made\n"
    assert names("status=running") == "runs\n"
    assert names("name=ma") == "made\n"
    assert names("ancestor=busybox", "since=made") == "runs\n"


def test_events(command: list[str], docker: Docker) -> None:
    """What happened between two times, in docker's words and order."""
    since = str(time.time())
    docker("run", "--rm", "--name", "eventful", "busybox", "true")
    done = docker("events", "--since", since, "--until", str(time.time() + 0.5), "--format", "{{.Type}} {{.Action}}")
    happened = [line for line in done.stdout.splitlines() if line.startswith("container")]
    wanted = [f"container {action}" for action in ("create", "start", "die", "destroy")]
    assert [line for line in happened if line in wanted] == wanted


def test_events_are_streamed(command: list[str], docker: Docker) -> None:
    """A listener hears what happens after it began, and its end leaves nothing behind."""
    with subprocess.Popen(
        [*command, "events", "--format", "{{.Action}}"], stdout=subprocess.PIPE, text=True
    ) as listener:
        assert listener.stdout is not None
        time.sleep(0.3)  # docker tells nobody when it listens
        docker("create", "--name", "heard", "busybox")
        assert listener.stdout.readline() == "create\n"
        listener.send_signal(signal.SIGINT)


def test_images(docker: Docker) -> None:
    """Listed, tagged, inspected, untagged."""
    docker("tag", "busybox", "mine:1")
    assert docker("images", "--format", "{{.Repository}}:{{.Tag}}", "mine").stdout == "mine:1\n"
    (document,) = json.loads(docker("inspect", "mine:1").stdout)
    assert document["Config"]["Cmd"] == ["sh"]
    assert docker("history", "--format", "{{.Comment}}", "mine:1").returncode == 0
    assert "Untagged: mine:1" in docker("rmi", "mine:1").stdout


def test_load(docker: Docker, busybox_tar: Path, tmp_path: Path) -> None:
    """An archive as `docker save` writes it, made by skopeo from an image that umoci would write."""
    rootfs_digest = hashlib.sha256(busybox_tar.read_bytes()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["echo", "loaded"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{rootfs_digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": ["loaded:1"], "Layers": ["layer.tar"]}]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    shutil.copy(busybox_tar, tmp_path / "layer.tar")
    subprocess.run(["tar", "-cf", "a.tar", "config.json", "manifest.json", "layer.tar"], cwd=tmp_path, check=True)
    assert docker("load", "-i", str(tmp_path / "a.tar")).stdout == "Loaded image: loaded:1\n"
    assert docker("run", "--rm", "loaded:1").stdout == "loaded\n"
    docker("rmi", "loaded:1")


def test_what_is_not_there_yet_is_said(docker: Docker) -> None:
    """Pulling, ports and bridges: a clear refusal that names what is missing."""
    assert "pulling from a registry is not possible yet" in docker("pull", "alpine").stderr
    assert "network plugin" in docker("run", "-p", "80:80", "busybox").stderr
    assert "network mode 'bridge'" in docker("run", "--network", "bridge", "busybox").stderr


def test_volumes(docker: Docker) -> None:
    """Made, used, shown, removed."""
    docker("volume", "create", "data")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/f")
    assert docker("run", "--rm", "-v", "data:/d:ro", "busybox", "cat", "/d/f").stdout == "kept\n"
    assert docker("volume", "ls", "--format", "{{.Name}}").stdout == "data\n"
    assert docker("volume", "rm", "data").stdout == "data\n"


def test_rename_and_top(docker: Docker) -> None:
    """Small ones."""
    docker("run", "-d", "--name", "old", "busybox", "sleep", "1000")
    assert docker("rename", "old", "new").returncode == 0
    assert "sleep 1000" in docker("top", "new").stdout


def test_pause_and_restart(docker: Docker) -> None:
    """A container is frozen, goes on, and is started anew."""
    docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert docker("pause", "box").stdout == "box\n"
    assert "(Paused)" in docker("ps").stdout
    assert docker("unpause", "box").stdout == "box\n"
    assert docker("restart", "-t", "0", "box").stdout == "box\n"
    assert docker("inspect", "-f", "{{.State.Status}}", "box").stdout == "running\n"


def test_update_and_stats(docker: Docker) -> None:
    """Docker's own sums from our figures: memory of its limit, processes."""
    docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "1000")
    updated = docker("update", "-m", "128m", "--memory-swap", "256m", "--restart", "on-failure:3", "box")
    assert updated.stdout == "box\n", updated.stderr
    stats = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "box").stdout
    assert stats.startswith("box ")
    assert stats.endswith("/ 128MiB 1\n")
    policy = docker("inspect", "-f", "{{json .HostConfig.RestartPolicy}}", "box").stdout
    assert json.loads(policy) == {"Name": "on-failure", "MaximumRetryCount": 3}


def test_top_rename_and_prune(docker: Docker) -> None:
    """The small ones."""
    docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert "sleep 1000" in docker("top", "box").stdout
    assert docker("rename", "box", "other").returncode == 0
    assert docker("ps", "--format", "{{.Names}}").stdout == "other\n"
    assert docker("port", "other").stdout == ""
    stopped = docker("create", "busybox").stdout.strip()
    assert stopped in docker("container", "prune", "-f").stdout
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout == "other\n"
