"""pause and unpause, and what becomes of a paused container that somebody wants to end."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.pouchd import POUCH, Daemon

COUNT = "i=0; while :; do i=$((i+1)); echo $i > /count; sleep 0.02; done"


def _counting(daemon: Daemon, name: str) -> Path:
    """A container that counts in a file; the file, as the host sees it, once it counts."""
    daemon.pouch("run", "-d", "--name", name, "busybox", "sh", "-c", COUNT)
    path = Path(f"/proc/{daemon.inspect(name)['State']['Pid']}/root/count")
    _until_changed(path, "")
    return path


def _until_changed(path: Path, before: str) -> None:
    until = time.monotonic() + 20
    while (path.read_text() if path.exists() else "") in (before, ""):
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_paused_container_stands_still_and_goes_on(pouchd: Daemon) -> None:
    """Nothing happens in it while it is paused; unpause lets it go on where it was."""
    count = _counting(pouchd, "box")
    assert pouchd.text("pause", "box") == "box"
    state = pouchd.inspect("box")["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)
    before = count.read_text()
    time.sleep(0.3)  # fifteen rounds of the counter: the time is the test's input
    assert count.read_text() == before
    assert pouchd.text("unpause", "box") == "box"
    _until_changed(count, before)
    assert pouchd.inspect("box")["State"]["Status"] == "running"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pause", "box"], "already paused"),
        (["exec", "box", "true"], "unpause"),
        (["start", "box"], "unpause"),
        (["rm", "box"], "stop it before"),
        (["unpause", "ended"], "not running"),
        (["pause", "ended"], "not running"),
        (["unpause", "running"], "not paused"),
        (["pause", "nosuch"], "nosuch"),
    ],
)
def test_what_pause_forbids(pouchd: Daemon, arguments: list[str], words: str) -> None:
    """Each mistake is refused in words, and changes nothing."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pouchd.pouch("run", "-d", "--name", "running", "busybox", "sleep", "1000")
    pouchd.pouch("run", "--name", "ended", "busybox", "true")
    pouchd.pouch("pause", "box")
    done = pouchd.pouch(*arguments, check=False)
    assert done.returncode != 0
    assert words in done.stderr.decode()
    assert [pouchd.inspect(name)["State"]["Status"] for name in ("box", "running", "ended")] == [
        "paused",
        "running",
        "exited",
    ]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["kill", "box"], 137),
        (["kill", "-s", "TERM", "box"], 3),
        (["stop", "box"], 3),
        (["stop", "-t", "0", "box"], 137),
    ],
)
def test_a_paused_container_can_be_ended(pouchd: Daemon, arguments: list[str], code: int) -> None:
    """What is to end it lets it go on: the process itself answers to the stop signal."""
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.02; done"
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", script)
    with subprocess.Popen([POUCH, "logs", "-f", "box"], stdout=subprocess.PIPE, env=pouchd.environment()) as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline() == b"up\n"
        pouchd.pouch("pause", "box")
        pouchd.pouch(*arguments)
        assert pouchd.text("wait", "box") in (str(code), "3")  # a kill at once may come after the stop signal's answer
        logs.wait(20)
    assert pouchd.inspect("box")["State"]["Status"] == "exited"


def test_a_paused_container_can_be_removed_by_force(pouchd: Daemon) -> None:
    """rm -f leaves nothing of it."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pouchd.pouch("pause", "box")
    pouchd.pouch("rm", "-f", "box")
    assert pouchd.text("ps", "-aq") == ""


def test_pause_and_kill_at_once(pouchd: Daemon) -> None:
    """Whoever is first: the container ends soon, and nobody has to ask twice."""
    for attempt in range(10):
        name = f"race{attempt}"
        pouchd.pouch("run", "-d", "--name", name, "busybox", "sleep", "1000")
        pausing = threading.Thread(target=pouchd.pouch, args=("pause", name), kwargs={"check": False})
        pausing.start()
        pouchd.pouch("kill", name, check=False)
        pausing.join()
        assert pouchd.text("wait", name, timeout=20) == "137"
        pouchd.pouch("rm", name)


def test_a_pause_outlives_the_daemon(own_pouchd: Daemon) -> None:
    """A new daemon finds it paused, also where the old one was killed before it could write that down."""
    own_pouchd.pouch("run", "-d", "--name", "known", "busybox", "sleep", "1000")
    id_ = own_pouchd.text("run", "-d", "--name", "unknown", "busybox", "sleep", "1000")
    own_pouchd.pouch("pause", "known")
    own_pouchd.kill()
    state = own_pouchd.run_dir / "plugins/runtime/runc/state"
    subprocess.run(["runc", "--root", state, "pause", id_], check=True)
    own_pouchd.start()
    for name in ("known", "unknown"):
        assert own_pouchd.inspect(name)["State"]["Status"] == "paused"
        own_pouchd.pouch("unpause", name)
        assert own_pouchd.text("exec", name, "echo", "alive") == "alive"
