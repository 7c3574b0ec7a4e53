"""The small verbs: rename, wait, top, port, prune."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.pouchd import POUCH, Daemon


def test_rename(pouchd: Daemon) -> None:
    """The new name counts, the old one is free, a running container runs on, the event has both names."""
    id_ = pouchd.text("run", "-d", "--name", "old", "busybox", "sleep", "1000")
    pid = pouchd.inspect("old")["State"]["Pid"]
    pouchd.pouch("rename", "old", "new")
    assert (pouchd.inspect("new")["Id"], pouchd.inspect("new")["State"]["Pid"]) == (id_, pid)
    pouchd.pouch("create", "--name", "old", "busybox")
    lines = pouchd.text("events", "--since", "1m", "--until", "0s", "-f", f"container={id_}", "-f", "event=rename")
    assert "name=new" in lines
    assert "oldName=old" in lines


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["box", "taken"], "already in use"),
        (["box", "bad name"], "bad name"),
        (["box", ""], "name"),
        (["nosuch", "x"], "nosuch"),
    ],
)
def test_rename_mistakes(pouchd: Daemon, arguments: list[str], words: str) -> None:
    """Refused in words; the name stays."""
    pouchd.pouch("create", "--name", "box", "busybox")
    pouchd.pouch("create", "--name", "taken", "busybox")
    done = pouchd.pouch("rename", *arguments, check=False)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert pouchd.inspect("box")["Name"] == "/box"


def test_two_renames_to_one_name(pouchd: Daemon) -> None:
    """One wins, the others get 409; each container has exactly one name afterwards."""
    for attempt in range(10):
        ids = [pouchd.text("create", "--name", f"c{attempt}-{number}", "busybox") for number in range(4)]
        barrier = threading.Barrier(len(ids))
        answers: list[int] = []

        def rename(
            id_: str, name: str = f"wanted{attempt}", barrier: threading.Barrier = barrier, answers: Any = answers
        ) -> None:
            barrier.wait()
            answers.append(pouchd.api("POST", f"/containers/{id_}/rename?name={name}")[0])

        threads = [threading.Thread(target=rename, args=(id_,)) for id_ in ids]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [204, 409, 409, 409]
        names = sorted(pouchd.inspect(id_)["Name"] for id_ in ids)
        assert names.count(f"/wanted{attempt}") == 1
        assert len(set(names)) == 4


def test_wait_for_each_condition(pouchd: Daemon) -> None:
    """not-running is answered at once when it is so; next-exit waits for the next end; removed for the removal."""
    pouchd.pouch("run", "--name", "box", "busybox", "sh", "-c", "exit 4", check=False)
    assert pouchd.text("wait", "box") == "4"
    assert pouchd.text("wait", "--condition", "not-running", "box") == "4"
    answers: dict[str, str] = {}
    started = threading.Barrier(3)

    def wait(condition: str) -> None:
        with subprocess.Popen(
            [POUCH, "wait", "--condition", condition, "box"], stdout=subprocess.PIPE, env=pouchd.environment()
        ) as command:
            started.wait()
            assert command.stdout is not None
            answers[condition] = command.stdout.read().decode().strip()

    threads = [threading.Thread(target=wait, args=(condition,)) for condition in ("next-exit", "removed")]
    for thread in threads:
        thread.start()
    started.wait()
    pouchd.pouch("exec", "box", "true", check=False)  # a round trip
    while answers.get("next-exit") is None:  # the wait may have come after the first of these ends
        pouchd.pouch("start", "-a", "box", check=False)
    assert answers == {"next-exit": "4"}
    pouchd.pouch("rm", "box")
    for thread in threads:
        thread.join(20)
    assert answers == {"next-exit": "4", "removed": "4"}


def test_wait_mistakes(pouchd: Daemon) -> None:
    """A condition that is none lists those that are."""
    pouchd.pouch("create", "--name", "box", "busybox")
    done = pouchd.pouch("wait", "--condition", "nosuch", "box", check=False)
    assert done.returncode == 1
    assert "next-exit" in done.stderr.decode()


def test_top(pouchd: Daemon) -> None:
    """ps's columns, each process once, with the host's numbers."""
    pouchd.pouch("run", "-d", "--name", "box", "-u", "1000", "busybox", "sh", "-c", "sleep 1001 & exec sleep 1002")
    pouchd.pouch("exec", "box", "sh", "-c", "while [ $(ls -d /proc/[0-9]* | wc -l) -lt 3 ]; do :; done")
    heads, *rows = pouchd.text("top", "box").splitlines()
    assert heads.split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    pid = str(pouchd.inspect("box")["State"]["Pid"])
    found = {tuple(row.split()[7:]): row.split() for row in rows}
    assert found["sleep", "1002"][:2] == ["1000", pid]
    assert found["sleep", "1001"][2] == pid
    pouchd.pouch("stop", "-t", "0", "box")
    done = pouchd.pouch("top", "box", check=False)
    assert (done.returncode, b"not running" in done.stderr) == (1, True)


def test_top_with_columns(pouchd: Daemon) -> None:
    """-o chooses among them; what is not known is refused with those that are."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    pid = pouchd.inspect("box")["State"]["Pid"]
    assert pouchd.text("top", "box", "-o", "pid,args").split() == ["PID", "CMD", str(pid), "sleep", "1000"]
    done = pouchd.pouch("top", "box", "-o", "nosuch", check=False)
    assert done.returncode == 1
    assert "ppid" in done.stderr.decode()


def test_port_of_a_container_without_ports(pouchd: Daemon) -> None:
    """Nothing to list; one that is asked for is not published."""
    pouchd.pouch("create", "--name", "box", "busybox")
    assert pouchd.text("port", "box") == ""
    for port, words in (("80", "no public port '80/tcp'"), ("x", "invalid port 'x'")):
        done = pouchd.pouch("port", "box", port, check=False)
        assert done.returncode == 1
        assert words in done.stderr.decode()


def test_container_prune(pouchd: Daemon) -> None:
    """Those that do not run go, those that run stay; ids and space are told; volumes stay."""
    running = pouchd.text("run", "-d", "busybox", "sleep", "1000")
    paused = pouchd.text("run", "-d", "busybox", "sleep", "1000")
    pouchd.pouch("pause", paused)
    created = pouchd.text("create", "busybox")
    pouchd.pouch(
        "run", "--name", "ended", "-v", "kept:/data", "busybox", "dd", "if=/dev/zero", "of=/x", "bs=1M", "count=3"
    )
    ended = pouchd.inspect("ended")["Id"]
    done = pouchd.text("container", "prune", "-f")
    assert {created, ended} <= set(done.splitlines())
    assert "3.1" in done.splitlines()[-1]
    assert set(pouchd.text("ps", "-aq", "--no-trunc").split()) == {running, paused}
    assert pouchd.text("volume", "ls", "-q") == "kept"
    pouchd.pouch("volume", "rm", "kept")


@pytest.mark.parametrize(
    ("given", "gone"),
    [
        (["label=kind"], {"a", "b"}),
        (["label=kind=a"], {"a"}),
        (["label!=kind"], {"plain"}),
        (["until=1h"], set()),
        (["until=2001-01-01T00:00:00Z"], set()),
        (["until=1ns"], {"a", "b", "plain"}),
    ],
)
def test_container_prune_filters(pouchd: Daemon, given: list[str], gone: set[str]) -> None:
    """docker's filters."""
    for name, flags in (("a", ["-l", "kind=a"]), ("b", ["-l", "kind=b"]), ("plain", [])):
        pouchd.pouch("create", "--name", name, *flags, "busybox")
    filters = [word for text in given for word in ("--filter", text)]
    pouchd.pouch("container", "prune", "-f", *filters)
    assert set(pouchd.text("ps", "-a", "--format", "{{.Names}}").split()) == {"a", "b", "plain"} - gone


@pytest.mark.parametrize("verb", [["container", "prune"], ["image", "prune"], ["system", "prune"], ["volume", "prune"]])
def test_prune_asks(pouchd: Daemon, verb: list[str]) -> None:
    """Anything but yes removes nothing; a wrong filter neither."""
    id_ = pouchd.text("create", "-v", "/data", "busybox")
    for answer in (b"", b"n\n", b"\n"):
        done = pouchd.pouch(*verb, stdin=answer, check=False)
        assert done.returncode == 1
        assert b"[y/N]" in done.stderr
    done = pouchd.pouch(*verb, "-f", "--filter", "nosuch=1", check=False)
    assert (done.returncode, b"nosuch" in done.stderr) == (1, True)
    if verb[0] in ("container", "system"):
        done = pouchd.pouch(*verb, "-f", "--filter", "until=nonsense", check=False)
        assert (done.returncode, b"nonsense" in done.stderr) == (1, True)
    assert pouchd.text("ps", "-aq", "--no-trunc") == id_


def test_system_prune(own_pouchd: Daemon, busybox_tar: Path) -> None:
    """Stopped containers, images without a name, and with --volumes their anonymous volumes; what is used stays."""
    daemon = own_pouchd
    daemon.pouch("run", "-d", "--name", "runs", "-v", "/used", "busybox", "sleep", "1000")
    daemon.pouch("create", "--name", "made", "-v", "/unused", "-v", "named:/named", "busybox")
    nameless = daemon.text("import", busybox_tar)
    done = daemon.text("system", "prune", "--volumes", stdin=b"y\n")
    assert f"deleted: {nameless}" in done
    assert daemon.text("ps", "-a", "--format", "{{.Names}}") == "runs"
    assert len(daemon.text("volume", "ls", "-q").split()) == 2  # the used one, and the one with a name
    assert daemon.text("images", "-q") != ""


def test_image_prune(own_pouchd: Daemon, busybox_tar: Path) -> None:
    """Images that a container uses stay; with -a those with a name go, too."""
    daemon = own_pouchd
    daemon.pouch("import", "-c", "LABEL keep=1", busybox_tar, "other:1")
    used = daemon.text("import", "-c", 'CMD ["sh"]', busybox_tar)
    daemon.pouch("create", "--name", "box", used)
    assert "Deleted" not in daemon.text("image", "prune", "-f")
    daemon.pouch("image", "prune", "-f", "-a", "--filter", "label!=keep")
    assert set(daemon.text("images", "--format", "{{.Repository}}:{{.Tag}}").split()) == {"other:1", "<none>:<none>"}
    done = daemon.text("image", "prune", "-f", "-a")
    assert "untagged: other:1" in done
    assert json.loads(daemon.text("inspect", "box"))[0]["Image"] == used
