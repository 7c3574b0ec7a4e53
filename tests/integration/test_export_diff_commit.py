"""`pouch diff`, `export`, `commit` and `history`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon

CHANGES = "echo new > /etc/new; rm /etc/group; echo x >> /etc/passwd; mkdir -p /a/b; ln /etc/new /a/hard"


@pytest.fixture
def changed(pouchd: Daemon) -> Iterator[Daemon]:
    """The daemon with an ended container `box` that has changed some files, and a volume."""
    pouchd.pouch("run", "--name", "box", "-v", "vol:/v", "busybox", "sh", "-c", f"{CHANGES}; echo v > /v/in-volume")
    yield pouchd
    pouchd.pouch("rm", "-f", "box")
    pouchd.pouch("volume", "rm", "-f", "vol")
    for image in ("committed:1", "exported:1"):
        pouchd.pouch("rmi", "-f", image, check=False)


def test_diff(changed: Daemon) -> None:
    """A, C and D as docker shows them, without the engine's own mount points."""
    assert changed.text("diff", "box").split("\n") == [
        "A /a",
        "A /a/b",
        "A /a/hard",
        "C /etc",
        "D /etc/group",
        "A /etc/new",
        "C /etc/passwd",
        "A /v",
    ]


def test_an_unchanged_container_has_no_diff(pouchd: Daemon) -> None:
    """Nothing that the engine or the runtime makes is shown."""
    pouchd.pouch("create", "--name", "fresh", "busybox", "true")
    pouchd.pouch("run", "--name", "ran", "busybox", "true")
    assert (pouchd.text("diff", "fresh"), pouchd.text("diff", "ran")) == ("", "")


def test_export_and_import(changed: Daemon, tmp_path: Path) -> None:
    """The archive is the root file system without volumes; imported, it runs."""
    changed.pouch("export", "-o", tmp_path / "box.tar", "box")
    with tarfile.open(tmp_path / "box.tar") as tar:
        names = tar.getnames()
        assert tar.getmember("a/hard").islnk() or tar.getmember("etc/new").islnk()
    assert "etc/new" in names
    assert "etc/group" not in names
    assert not any("in-volume" in name for name in names)
    changed.pouch("import", tmp_path / "box.tar", "exported:1")
    assert changed.text("run", "--rm", "exported:1", "cat", "/a/hard") == "new"


def test_export_of_a_running_container_has_no_mounts(pouchd: Daemon) -> None:
    """proc, sysfs and tmpfs of a container that runs are empty directories in its archive."""
    pouchd.pouch("run", "-d", "--name", "box", "--tmpfs", "/t", "busybox", "sh", "-c", "echo x > /t/x; sleep 1000")
    until = time.monotonic() + 10
    while pouchd.pouch("exec", "box", "cat", "/t/x", check=False).returncode:
        assert time.monotonic() < until
    with tarfile.open(fileobj=io.BytesIO(pouchd.pouch("export", "box").stdout)) as tar:
        names = tar.getnames()
    assert "t" in names
    assert [name for name in names if name.startswith(("t/", "proc/", "sys/", "dev/"))] == []


def test_export_into_what_is_no_file(pouchd: Daemon, tmp_path: Path) -> None:
    """A fifo is written to, not replaced by a file; so is /dev/null."""
    pouchd.pouch("create", "--name", "box", "busybox", "true")
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE) as reader:  # to the end, as tar does not
        exporting = threading.Thread(target=pouchd.pouch, args=("export", "-o", tmp_path / "fifo", "box"))
        exporting.start()
        content, _ = reader.communicate()
        exporting.join()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert "bin/busybox" in archive.getnames()
    assert [path.is_fifo() for path in tmp_path.iterdir()] == [True]


def test_export_names_what_it_can_not_write(pouchd: Daemon, tmp_path: Path) -> None:
    """A file that can't be made is one line of error, and no part of it stays."""
    pouchd.pouch("create", "--name", "box", "busybox", "true")
    done = pouchd.pouch("export", "-o", tmp_path / "no" / "where", "box", check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (1, 1)
    assert list(tmp_path.iterdir()) == []


def test_commit(changed: Daemon) -> None:
    """The image has the changes, the container's settings, what -c says, author and message; it runs."""
    id_ = changed.text(
        "commit", "-a", "me", "-m", "words", "-c", "ENV A=b", "-c", 'CMD ["cat","/a/hard"]', "box", "committed:1"
    )
    assert id_.startswith("sha256:")
    (image,) = json.loads(changed.text("image", "inspect", "committed:1"))
    assert (image["Id"], image["Author"], image["Comment"]) == (id_, "me", "words")
    assert image["Config"]["Env"] == ["A=b"]
    assert changed.text("run", "--rm", "committed:1") == "new"
    assert changed.pouch("run", "--rm", "committed:1", "ls", "/etc/group", check=False).returncode == 1
    first = changed.text("history", "--format", "{{.Comment}}|{{.CreatedBy}}", "committed:1").split("\n")[0]
    assert first == "words|cat /a/hard"


def test_commit_keeps_what_the_container_was_created_with(pouchd: Daemon) -> None:
    """Entrypoint, command, environment, user, directory, labels become the image's."""
    options = ["-e", "A=1", "-u", "33:33", "-w", "/tmp", "-l", "k=v", "--entrypoint", "echo", "--name", "box"]
    pouchd.pouch("create", *options, "busybox", "hi")
    try:
        pouchd.pouch("commit", "box", "committed:2")
        (image,) = json.loads(pouchd.text("image", "inspect", "committed:2"))
        config = image["Config"]
        assert (config["Entrypoint"], config["Cmd"], config["Env"]) == (["echo"], ["hi"], ["A=1"])
        assert (config["User"], config["WorkingDir"], config["Labels"]) == ("33:33", "/tmp", {"k": "v"})
        assert pouchd.text("run", "--rm", "committed:2") == "hi"
    finally:
        pouchd.pouch("rm", "-f", "box")
        pouchd.pouch("rmi", "-f", "committed:2")


def test_commit_on_commit(pouchd: Daemon) -> None:
    """Each commit adds one layer; removing the names in between takes nothing away from the last."""
    base = "busybox"
    try:
        for number in range(3):
            pouchd.pouch("run", "--name", f"box{number}", base, "sh", "-c", f"echo {number} > /file{number}")
            base = f"chain:{number}"
            pouchd.pouch("commit", f"box{number}", base)
            pouchd.pouch("rm", f"box{number}")
        pouchd.pouch("rmi", "chain:0", "chain:1")
        assert pouchd.text("run", "--rm", base, "cat", "/file0", "/file1", "/file2") == "0\n1\n2"
    finally:
        pouchd.pouch("rmi", "-f", "chain:2")


def test_commit_pauses_a_running_container(pouchd: Daemon) -> None:
    """It is paused and goes on; with --pause=false it is not paused."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    seen: list[str] = []
    since = str(time.time())
    try:
        pouchd.pouch("commit", "--pause=false", "box", "committed:3")
        pouchd.pouch("commit", "box", "committed:3")
        until = str(time.time())
        events = pouchd.text("events", "--since", since, "--until", until, "--filter", "type=container")
        seen = [word for line in events.split("\n") for word in line.split() if word in ("pause", "unpause", "commit")]
        assert seen == ["commit", "pause", "unpause", "commit"]
        assert pouchd.inspect("box")["State"]["Status"] == "running"
    finally:
        pouchd.pouch("rmi", "-f", "committed:3")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-c", "RUN true", "box", "x"], "'RUN' is not supported"),
        (["box", "UPPER"], "UPPER"),
        (["nobody"], "no such container"),
    ],
)
def test_wrong_commits_are_refused(pouchd: Daemon, arguments: list[str], words: str) -> None:
    """Before anything is done, in words that name the thing."""
    pouchd.pouch("create", "--name", "box", "busybox", "true")
    before = pouchd.text("images", "-q")
    done = pouchd.pouch("commit", *arguments, check=False)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert pouchd.text("images", "-q") == before


def test_commit_while_the_container_ends(pouchd: Daemon) -> None:
    """However the two meet: an image or a clear error, and the container is not left paused."""
    for number in range(5):
        pouchd.pouch("run", "-d", "--name", "box", "busybox", "sleep", "1000")
        killer = threading.Thread(target=pouchd.pouch, args=("kill", "box"), kwargs={"check": False})
        killer.start()
        done = pouchd.pouch("commit", "box", f"race:{number}", check=False)
        killer.join()
        assert done.returncode in (0, 1)
        assert b"internal" not in done.stderr
        pouchd.pouch("wait", "box")
        pouchd.pouch("rm", "box")
        pouchd.pouch("rmi", "-f", f"race:{number}", check=False)
