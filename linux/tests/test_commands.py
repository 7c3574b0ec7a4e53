"""Commands that end, hang, flood and leave children behind."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pouch_linux.commands import CommandTimeout, run
from pouch_linux.pidfd import ProcessIdentity


def test_output_and_exit_code() -> None:
    """Both streams apart, the exit code, and that nothing was lost."""
    result = run(["sh", "-c", "echo out; echo err >&2; exit 3"], deadline=20)
    assert (result.stdout, result.stderr, result.returncode, result.truncated) == (b"out\n", b"err\n", 3, False)


def test_signal_as_negative_code() -> None:
    """A command ended by a signal has its number, negated."""
    assert run(["sh", "-c", "kill -9 $$"], deadline=20).returncode == -9


def test_stdin_larger_than_a_pipe() -> None:
    """A megabyte goes in and comes out, without a deadlock between the two."""
    data = os.urandom(1 << 20)
    assert run(["cat"], deadline=20, stdin=data).stdout == data


def test_command_that_does_not_read_its_stdin() -> None:
    """Nobody reads: no error, no signal, the command's own result."""
    assert run(["true"], deadline=20, stdin=b"x" * (1 << 20)).returncode == 0


def test_no_stdin_is_empty() -> None:
    """Without stdin the command sees the end at once."""
    assert run(["cat"], deadline=20).stdout == b""


def test_flood_is_cut_and_does_not_block() -> None:
    """300 MB on stderr: the command gets through, the limit is kept, the other stream is whole."""
    result = run(["sh", "-c", "head -c 300000000 /dev/zero >&2; echo done"], deadline=60, output_limit=1000)
    assert (len(result.stderr), result.truncated, result.stdout) == (1000, True, b"done\n")


def test_missed_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    """Children of the command die with it; what was said so far is in the error."""
    script = f"echo so far; sleep 60 & echo $! > {tmp_path}/child; wait"
    with pytest.raises(CommandTimeout) as caught:
        run(["sh", "-c", script], deadline=0.5)
    assert caught.value.stdout == b"so far\n"
    child = int((tmp_path / "child").read_text())
    with suppress(ProcessLookupError):  # it has ended already
        assert ProcessIdentity.of(child).wait(10)


def state_of(pid: int) -> str | None:
    """The process's state by proc_pid_stat(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def test_deadline_holds_while_output_flows() -> None:
    """An endless talker is ended, too."""
    with pytest.raises(CommandTimeout):
        run(["yes"], deadline=0.3)


def test_grandchild_with_the_pipe_does_not_hold_the_caller(tmp_path: Path) -> None:
    """A daemon left behind keeps the pipes open and lives on; the call returns when the command itself has
    ended.
    """
    started = time.monotonic()
    result = run(["sh", "-c", "sleep 60 & echo $!"], deadline=20)
    child = int(result.stdout)
    try:
        assert time.monotonic() - started < 10
        assert state_of(child) in ("R", "S")
    finally:
        with suppress(ProcessLookupError):
            os.kill(child, 9)


def test_grandchild_that_floods_does_not_hold_the_caller() -> None:
    """What a child left behind goes on writing is not waited for."""
    result = run(["sh", "-c", "yes & echo $! >&2"], deadline=20)
    with suppress(ProcessLookupError):
        os.kill(int(result.stderr), 9)
    assert result.returncode == 0


def test_output_of_the_last_moment_is_there() -> None:
    """What was written just before the end is not lost to the race between pipe and exit."""
    for _ in range(30):
        assert len(run(["head", "-c", "60000", "/dev/zero"], deadline=20).stdout) == 60000


def test_own_session_directory_and_descriptors() -> None:
    """The command leads a session of its own in /, with nothing but its three streams and those passed."""
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        script = "read -r _ _ _ _ pgid sid _ < /proc/self/stat; echo $$ $pgid $sid; pwd; ls -m /proc/$$/fd; true"
        lines = run(["sh", "-c", script], deadline=20, pass_fds=[reading]).stdout.decode().splitlines()
    finally:
        os.close(reading)
        os.close(writing)
    leader, group, session = lines[0].split()
    assert (group, session) == (leader, leader)
    assert lines[1] == "/"
    assert set(lines[2].split(", ")) == {"0", "1", "2", str(reading)}


def test_environment_is_what_is_given() -> None:
    """With `env`, nothing of ours is inherited."""
    assert run(["/usr/bin/env"], deadline=20, env={"ONLY": "this"}).stdout == b"ONLY=this\n"


@pytest.mark.parametrize(("command", "error"), [("/missing", FileNotFoundError), ("/etc/passwd", PermissionError)])
def test_command_that_cannot_start(command: str, error: type[OSError]) -> None:
    """The caller learns which command it was and why."""
    with pytest.raises(error, match=command):
        run([command], deadline=20)


def test_no_descriptor_is_left() -> None:
    """Whether it ends, fails or is killed: the caller's descriptors are as before."""
    before = sorted(os.listdir("/proc/self/fd"))
    run(["cat"], deadline=20, stdin=b"x")
    with pytest.raises(CommandTimeout):
        run(["sleep", "60"], deadline=0.05)
    with pytest.raises(FileNotFoundError):
        run(["/missing"], deadline=20)
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_from_many_threads_at_once() -> None:
    """Each call gets its own command's result, and no call waits for a pipe that another's child holds
    open.
    """
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: run(["echo", str(number)], deadline=20).stdout, range(200)))
    assert results == [b"%d\n" % number for number in range(200)]
