"""`pouch run` and its friends, as a user meets them: real pouchd, runc, conmon, overlayfs."""

from __future__ import annotations

import hashlib
import os
import pty
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.pouchd import POUCH, Daemon


def test_output_and_exit_code(pouchd: Daemon) -> None:
    """stdout and stderr come out apart, and the exit code is the process's own."""
    done = pouchd.pouch("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 7", check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 7)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 255"], 255),
        (["sh", "-c", "sh -c 'kill -9 $$'; exit $?"], 137),
        (["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], 143),
        (["/no/such/command"], 127),
        (["nosuchcommand"], 127),
        (["/etc/passwd"], 126),
        (["/etc"], 126),
    ],
)
def test_exit_codes(pouchd: Daemon, command: list[str], code: int) -> None:
    """docker's exit codes: the process's own, 128+n, 126, 127."""
    assert pouchd.pouch("run", "--rm", "busybox", *command, check=False).returncode == code


def test_stdin_to_its_end(pouchd: Daemon) -> None:
    """`echo x | pouch run -i` gives the process its input and its end."""
    done = pouchd.pouch("run", "-i", "--rm", "busybox", "sh", "-c", "cat; echo end", stdin=b"x\n")
    assert done.stdout == b"x\nend\n"


def test_large_binary_streams_are_unharmed(pouchd: Daemon) -> None:
    """64 MiB of random bytes come back from cat as they went in."""
    data = os.urandom(64 << 20)
    done = pouchd.pouch("run", "-i", "--rm", "busybox", "cat", stdin=data, timeout=120)
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_a_slow_reader_loses_nothing(pouchd: Daemon) -> None:
    """A client that was there from the start holds the container back rather than lose output."""
    command: list[str | Path] = [POUCH, "run", "--rm", "busybox", "sh", "-c", "head -c 8388608 /dev/zero"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=pouchd.environment()) as run:
        assert run.stdout is not None
        first = run.stdout.read(1)
        assert len(first + run.stdout.read()) == 8 << 20
        assert run.wait(30) == 0


def test_terminal(pouchd: Daemon) -> None:
    """-it gives a terminal with our size, and stdin is one."""
    master, slave = pty.openpty()
    subprocess.run(["stty", "rows", "33", "cols", "77"], stdin=slave, check=True)
    command: list[str | Path] = [POUCH, "run", "--rm", "-it", "busybox", "sh", "-c", "test -t 0 && stty size"]
    run = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=pouchd.environment(), start_new_session=True
    )
    os.close(slave)
    output = b""
    try:
        while chunk := os.read(master, 4096):
            output += chunk
    except OSError:  # EIO: the other side is closed
        pass
    os.close(master)
    assert run.wait(30) == 0, output
    assert b"33 77" in output


def test_detached_container_through_its_life(pouchd: Daemon) -> None:
    """run -d, ps, logs, exec, stop, start, rm: as the issue's first lines say."""
    id_ = pouchd.text(
        "run", "-d", "--name", "web", "-m", "64m", "--cpus", "0.5", "busybox", "sh", "-c", "echo up; exec sleep 1000"
    )
    assert len(id_) == 64
    assert "web" in pouchd.text("ps")
    assert pouchd.text("exec", "web", "hostname") == id_[:12]
    assert pouchd.text("logs", "web") == "up"
    pouchd.pouch("stop", "-t", "0", "web")
    assert pouchd.inspect("web")["State"]["ExitCode"] == 137
    pouchd.pouch("start", "web")
    assert pouchd.inspect("web")["State"]["Running"] is True
    pouchd.pouch("rm", "-f", "web")
    assert pouchd.text("ps", "-aq") == ""


def test_limits_reach_the_kernel(pouchd: Daemon) -> None:
    """-m, --cpus and --pids-limit are what the container's cgroups say."""
    id_ = pouchd.text("run", "-d", "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "busybox", "sleep", "1000")
    cgroup = Path("/sys/fs/cgroup")
    name = f"{pouchd.cgroup.strip('/')}/{id_}"
    if (cgroup / "memory").exists():
        found = [
            (cgroup / "memory" / name / "memory.limit_in_bytes").read_text(),
            (cgroup / "cpu" / name / "cpu.cfs_quota_us").read_text(),
            (cgroup / "pids" / name / "pids.max").read_text(),
        ]
        assert [int(text) for text in found] == [64 << 20, 50000, 50]
    else:
        assert int((cgroup / name / "memory.max").read_text()) == 64 << 20
        assert (cgroup / name / "cpu.max").read_text().split() == ["50000", "100000"]
        assert int((cgroup / name / "pids.max").read_text()) == 50


def test_out_of_memory_is_told(pouchd: Daemon) -> None:
    """A container that is killed for want of memory says so."""
    pouchd.pouch("run", "--name", "hog", "-m", "8m", "busybox", "sh", "-c", "tail /dev/zero", check=False)
    state = pouchd.inspect("hog")["State"]
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


def test_volume_keeps_data_and_takes_image_data(pouchd: Daemon, busybox_tar: Path) -> None:
    """A fresh named volume gets what the image has there; what is written stays for the next container."""
    pouchd.pouch("run", "--rm", "-v", "data:/etc", "busybox", "sh", "-c", "test -f /etc/passwd && echo mine > /etc/new")
    assert pouchd.text("run", "--rm", "-v", "data:/data", "busybox", "cat", "/data/new") == "mine"
    pouchd.pouch("volume", "rm", "data")


def test_anonymous_volumes_go_with_rm(pouchd: Daemon) -> None:
    """--rm removes the volumes that nobody named."""
    pouchd.pouch("run", "--rm", "-v", "/data", "busybox", "touch", "/data/x")
    assert pouchd.text("volume", "ls", "-q") == ""


def test_bind_mounts(pouchd: Daemon, tmp_path: Path) -> None:
    """A bind is the host's directory; with ro it can't be written, not even in what is mounted below it."""
    (tmp_path / "file").write_text("from the host")
    assert pouchd.text("run", "--rm", "-v", f"{tmp_path}:/mnt", "busybox", "cat", "/mnt/file") == "from the host"
    done = pouchd.pouch("run", "--rm", "-v", f"{tmp_path}:/mnt:ro", "busybox", "touch", "/mnt/file", check=False)
    assert done.returncode == 1
    assert b"Read-only" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--rm", "nosuchimage"], ["nosuchimage", "pouch load"]),
        (["run", "--rm", "--runtime", "nosuch", "busybox"], ["nosuch", "runc"]),
        (["run", "--rm", "--nosuchflag", "busybox"], ["nosuchflag"]),
        (["start", "nosuchcontainer"], ["nosuchcontainer"]),
        (["run", "--rm", "-m", "1m", "busybox"], ["memory", "6m"]),
        (["run", "--rm", "-m", "12x", "busybox"], ["12x"]),
        (["run", "--rm", "--cpus", "1000", "busybox"], ["CPUs"]),
        (["run", "--rm", "--mount", "type=bind,source=/no/such/dir,target=/x", "busybox"], ["/no/such/dir"]),
        (["run", "--rm", "-u", "nosuchuser", "busybox", "true"], ["nosuchuser", "passwd"]),
        (["run", "--rm", "-u", "4294967295", "busybox", "true"], ["4294967295"]),
        (["run", "--rm", "-w", "/proc/self/fd/7", "busybox", "true"], ["/proc"]),
        (["run", "--rm", "-v", "x:relative", "busybox", "true"], ["relative", "absolute"]),
        (["run", "--rm", "--network", "nosuch", "busybox", "true"], ["nosuch", "none"]),
        (["run", "--rm", "--cap-add", "NOSUCH", "busybox", "true"], ["NOSUCH"]),
        (["run", "--rm", "--name", "bad name", "busybox", "true"], ["bad name"]),
        (["run", "--rm", "--sysctl", "kernel.panic=1", "busybox", "true"], ["kernel.panic"]),
        (["exec", "nosuchcontainer", "true"], ["nosuchcontainer"]),
        (["logs", "nosuchcontainer"], ["nosuchcontainer"]),
        (["rm", "nosuchcontainer"], ["nosuchcontainer"]),
        (["rmi", "nosuchimage"], ["nosuchimage"]),
        (["volume", "rm", "nosuchvolume"], ["nosuchvolume"]),
    ],
)
def test_mistakes_get_clear_errors(pouchd: Daemon, arguments: list[str], words: list[str]) -> None:
    """What was wrong is named, with what is allowed; never a traceback; nothing is left."""
    done = pouchd.pouch(*arguments, check=False)
    error = done.stderr.decode()
    assert done.returncode != 0
    assert [word for word in words if word not in error] == [], error
    assert "Traceback" not in error
    assert pouchd.text("ps", "-aq") == ""


def test_name_in_use(pouchd: Daemon) -> None:
    """The second container of a name is refused, with the first one's id."""
    id_ = pouchd.text("create", "--name", "taken", "busybox")
    done = pouchd.pouch("create", "--name", "taken", "busybox", check=False)
    assert done.returncode == 1 or done.returncode == 125
    assert id_[:12] in done.stderr.decode()


def test_ambiguous_prefix_lists_candidates(pouchd: Daemon) -> None:
    """Enough containers share a first digit: the error lists some that begin so."""
    ids = [pouchd.text("create", "busybox") for _ in range(17)]
    first = next(digit for digit in "0123456789abcdef" if sum(id_.startswith(digit) for id_ in ids) > 1)
    error = pouchd.pouch("inspect", "--type", "container", first, check=False).stderr.decode()
    assert "ambiguous" in error
    assert any(id_[:12] in error for id_ in ids)


def test_follow_logs_to_the_end(pouchd: Daemon) -> None:
    """logs -f gives every line, and ends with the container."""
    pouchd.pouch(
        "run", "-d", "--name", "talker", "busybox", "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.1; done"
    )
    assert pouchd.text("logs", "-f", "talker") == "1\n2\n3\n4\n5"


def test_log_flags(pouchd: Daemon) -> None:
    """--tail, --timestamps and --until choose and mark lines."""
    pouchd.pouch("run", "--name", "talker", "busybox", "sh", "-c", "for i in 1 2 3; do echo $i; done")
    assert pouchd.text("logs", "--tail", "2", "talker") == "2\n3"
    assert pouchd.text("logs", "--tail", "1", "-t", "talker").endswith(" 3")
    assert pouchd.text("logs", "--until", "2001-01-01T00:00:00Z", "talker") == ""


def test_logs_rotate_without_loss(pouchd: Daemon) -> None:
    """A container that writes more than max-size has several files, and `logs` gives every line of those kept."""
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); [ $((i % 2000)) = 0 ] && sleep 0.7; done; true"
    limits = ["--log-opt", "max-size=100k", "--log-opt", "max-file=100"]
    pouchd.pouch("run", "-d", "--name", "talker", *limits, "busybox", "sh", "-c", script)
    pouchd.pouch("wait", "talker", timeout=90)
    id_ = pouchd.inspect("talker")["Id"]
    files = list((pouchd.root_dir / "containers" / id_).glob("container.log*"))
    assert len(files) > 1
    assert pouchd.text("logs", "talker") == "\n".join(f"line {i}" for i in range(20000))


def test_signals_are_forwarded(pouchd: Daemon) -> None:
    """Ctrl-C of `pouch run` reaches the process, whose answer is the exit code; --rm leaves nothing."""
    script = "trap 'exit 3' INT; echo ready; while :; do sleep 0.05; done"
    command: list[str | Path] = [POUCH, "run", "--rm", "busybox", "sh", "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=pouchd.environment()) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 3


def test_what_a_container_may_see(pouchd: Daemon) -> None:
    """docker's defaults: capabilities, masked paths, no inherited descriptors, umask 022, a name of its own."""
    script = (
        "grep Cap /proc/self/status; cat /proc/interrupts | wc -c; echo x > /proc/sys/kernel/hostname;"
        " ls /proc/self/fd; umask; cat /proc/1/cwd/etc/hostname"
    )
    done = pouchd.pouch("run", "--rm", "-h", "box", "busybox", "sh", "-c", script)
    lines = done.stdout.decode().split("\n")
    assert lines[:5] == [
        "CapInh:\t0000000000000000",
        f"CapPrm:\t{0xA80425FB:016x}",
        f"CapEff:\t{0xA80425FB:016x}",
        f"CapBnd:\t{0xA80425FB:016x}",
        "CapAmb:\t0000000000000000",
    ]
    assert lines[5:] == ["0", "0", "1", "2", "3", "0022", "box", ""]  # 3 is ls's own
    assert b"Read-only" in done.stderr


def test_exec_has_only_its_own_descriptors_and_umask(pouchd: Daemon) -> None:
    """An exec'd process gets nothing of the daemon: descriptors 0, 1, 2 only, umask 022."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    assert pouchd.text("exec", "box", "sh", "-c", "ls /proc/self/fd; umask").split() == ["0", "1", "2", "3", "0022"]


def test_exec_exit_codes_and_input(pouchd: Daemon) -> None:
    """exec gives the process's own code, 126 and 127, and passes stdin to its end."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    codes = [
        pouchd.pouch("exec", "box", *command, check=False).returncode
        for command in (["sh", "-c", "exit 9"], ["/etc/passwd"], ["nosuch"])
    ]
    assert codes == [9, 126, 127]
    assert pouchd.pouch("exec", "-i", "box", "cat", stdin=b"in").stdout == b"in"


def test_fifty_containers_by_eight_clients(pouchd: Daemon) -> None:
    """Fifty are run and removed in parallel; none fails, and nothing is left: descriptors included."""
    pouchd.pouch("run", "--rm", "busybox", "true")
    before = pouchd.descriptors()
    todo = list(range(50))
    failures: list[str] = []

    def client() -> None:
        while todo:
            try:
                number = todo.pop()
            except IndexError:
                return
            done = pouchd.pouch("run", "--rm", "busybox", "echo", str(number), check=False)
            if done.returncode != 0 or done.stdout != f"{number}\n".encode():
                failures.append(f"{number}: {done.returncode} {done.stderr.decode()}")

    threads = [threading.Thread(target=client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    until = time.monotonic() + 10
    while pouchd.descriptors() > before:  # the last connections are being closed behind the answers
        assert time.monotonic() < until, (before, pouchd.descriptors())
        time.sleep(0.02)
