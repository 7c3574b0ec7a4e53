"""What the daemon keeps to itself: its directories, its socket, its descriptors, its interpreter."""

from __future__ import annotations

import grp
import os
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pouch_linux import mounts
from tests.pouchd import REPOSITORY, Daemon

SPY = """\
#!/bin/sh
for verb; do case $verb in create|start|state|kill|delete|exec) break ;; esac; done
exec 4> {directory}/$verb
readlink /proc/$$/cwd >&4
for fd in /proc/$$/fd/*; do readlink "$fd" >&4; done
exec 4>&-
exec runc "$@"
"""


@pytest.fixture
def bare_daemon() -> Iterator[Daemon]:
    """A daemon that has not made its directories yet, to be started by the test."""
    made = Daemon(f"pt{secrets.token_hex(4)}")
    for directory in (made.run_dir, made.root_dir):
        made.config_path.unlink(missing_ok=True)
        directory.rmdir()
    yield made
    if made.process is not None:
        made.destroy()


def _start_bare(daemon: Daemon, umask: int, *arguments: str, log: Path = Path("/dev/null")) -> None:
    """Start a daemon that makes its directories itself, under a umask."""
    read, write = os.pipe()
    command: list[str | Path] = [sys.executable, "-I", "-m", "pouch_engine.daemon", "--root", daemon.root_dir]
    command += ["--run", daemon.run_dir, "--config", "/dev/null", "--ready-fd", str(write), *arguments]
    with log.open("wb") as output:
        daemon.process = subprocess.Popen(command, pass_fds=(write,), stderr=output, umask=umask)
    os.close(write)
    with open(read, "rb") as ready:
        assert ready.read() == b"ready\n"


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o777], ids=oct)
def test_modes_do_not_depend_on_the_umask(bare_daemon: Daemon, busybox_tar: Path, umask: int) -> None:
    """Root and run directory 0711, the socket 0660, nothing in them can be read by others; with a container, too."""
    _start_bare(bare_daemon, umask)
    bare_daemon.pouch("import", busybox_tar, "busybox:latest")
    bare_daemon.pouch("run", "-d", "-v", "data:/data", "--network", "host", "busybox", "sleep", "1000")
    assert (_mode(bare_daemon.root_dir), _mode(bare_daemon.run_dir)) == (0o711, 0o711)
    assert _mode(bare_daemon.socket) == 0o660
    open_to_others = [
        f"{path}: {_mode(path):o}"
        for directory in (bare_daemon.root_dir, bare_daemon.run_dir)
        for path in directory.iterdir()
        if path != bare_daemon.socket and _mode(path) & 0o066
    ]
    assert open_to_others == []


def test_the_group_may_use_the_socket(bare_daemon: Daemon) -> None:
    """--group: a member that is not root talks to the daemon, another user does not."""
    group = grp.getgrnam("daemon")
    _start_bare(bare_daemon, 0o077, "--group", "daemon")

    def ping(gid: int) -> int:
        script = f"import socket; socket.socket(socket.AF_UNIX).connect('{bare_daemon.socket}')"
        user = ["setpriv", "--reuid", "65534", "--regid", str(gid), "--clear-groups"]
        command = [*user, "/usr/bin/python3", "-c", script]
        return subprocess.run(command, stderr=subprocess.DEVNULL, cwd="/").returncode

    assert (ping(group.gr_gid), ping(65534)) == (0, 1)


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770], ids=oct)
def test_a_directory_that_others_can_change_is_refused(bare_daemon: Daemon, mode: int) -> None:
    """By a sentence that says what to do."""
    bare_daemon.root_dir.mkdir()
    try:
        bare_daemon.root_dir.chmod(mode)
        command = [sys.executable, "-I", "-m", "pouch_engine.daemon", "--root", bare_daemon.root_dir]
        done = subprocess.run([*command, "--run", bare_daemon.run_dir, "--config", "/dev/null"], stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert f"mode {mode:o}: others than root can change it".encode() in done.stderr
        assert b"chmod 711" in done.stderr
    finally:
        bare_daemon.root_dir.rmdir()


def test_children_have_no_descriptors_of_the_daemon(own_pouchd: Daemon, tmp_path: Path) -> None:
    """Runtime commands see standard streams, and pipes of conmon's where that calls them; never a file of ours."""
    seen = tmp_path / "seen"
    seen.mkdir()
    spy = tmp_path / "spy"
    spy.write_text(SPY.format(directory=seen))
    spy.chmod(0o755)
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.spy]\ndriver = "runc"\ncommand = "{spy}"\n')
    own_pouchd.start()
    own_pouchd.pouch("run", "-d", "--name", "c", "--runtime", "spy", "busybox", "sleep", "1000")
    own_pouchd.pouch("exec", "c", "true")
    own_pouchd.pouch("kill", "c")
    own_pouchd.pouch("rm", "-f", "c")
    told = {path.name: path.read_text().splitlines() for path in seen.iterdir()}
    assert {"create", "start", "exec", "kill", "delete"} <= told.keys()
    for verb, (cwd, *descriptors) in told.items():
        foreign = [
            each
            for each in descriptors
            if not each.startswith(("pipe:", "/dev/null")) and each not in (str(spy), f"{seen}/{verb}", "")
        ]
        assert foreign == [], verb
        if verb not in ("create", "exec"):  # conmon's children are in the bundle
            assert cwd == "/", verb


def test_the_environment_has_no_say_in_its_code(own_pouchd: Daemon, tmp_path: Path) -> None:
    """PYTHONPATH, PYTHONSTARTUP and the working directory bring no module in; `pouchd` isolates itself."""
    mark = tmp_path / "mark"
    for name in ("sqlite3", "pouch_engine", "aiohttp"):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\nraise SystemExit('hijacked')\n")
    pouchd = Path(sys.executable).with_name("pouchd")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONINSPECT": "1"}
    done = subprocess.run([pouchd, "--version"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith("pouchd ")
    own_pouchd.stop()
    own_pouchd.start(environment={"PYTHONPATH": str(tmp_path)}, before=["env", "-C", str(tmp_path)])
    assert own_pouchd.process is not None
    assert os.readlink(f"/proc/{own_pouchd.process.pid}/cwd") == "/"
    assert not mark.exists()


@pytest.fixture
def shared_place() -> Iterator[Path]:
    """A directory whose mounts are shared with other namespaces, as systemd has all of them."""
    place = Path(f"/var/tmp/shared{secrets.token_hex(4)}")
    place.mkdir()
    mounts.bind(place, place)
    mounts.mount(None, place, flags=mounts.MountFlag.SHARED)
    yield place
    mounts.unmount_tree(place)
    shutil.rmtree(place)


def test_mounts_stay_in_the_daemons_namespace(shared_place: Path, bare_daemon: Daemon, busybox_tar: Path) -> None:
    """A container's root does not appear in another mount namespace, where it would outlive the container.

    A daemon that starts again finds the containers that run.
    """
    bare_daemon.root_dir = shared_place / "root"
    _start_bare(bare_daemon, 0o077)
    with _neighbour() as neighbour:
        mounts.mount("seen", _made(shared_place / "probe"), "tmpfs")  # what is not the daemon's is seen there
        bare_daemon.pouch("import", busybox_tar, "busybox:latest")
        bare_daemon.pouch("run", "-d", "--name", "c", "busybox", "sleep", "1000")
        there = [each for each in mounts.mountinfo(neighbour.pid) if each.target.startswith(f"{shared_place}/")]
        assert [each.target for each in there if each.fstype in ("tmpfs", "overlay")] == [str(shared_place / "probe")]
        bare_daemon.stop()
        _start_bare(bare_daemon, 0o077)
        assert bare_daemon.text("exec", "c", "echo", "here") == "here"
        bare_daemon.pouch("rm", "-f", "c")
        assert [line for line in bare_daemon.remains() if "overlay" in line] == []


def _made(directory: Path) -> Path:
    directory.mkdir()
    return directory


@contextmanager
def _neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """A process in a mount namespace of its own, which gets what is mounted here."""
    command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", "echo; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def test_mounts_of_an_earlier_daemon_are_not_hidden(shared_place: Path, bare_daemon: Daemon) -> None:
    """Where something is mounted in the root directory already, it stays as it is, with a word in the log."""
    bare_daemon.root_dir = shared_place / "root"
    early = _made(_made(bare_daemon.root_dir) / "early")
    bare_daemon.root_dir.chmod(0o711)
    mounts.mount("early", early, "tmpfs")
    log = shared_place / "log"
    _start_bare(bare_daemon, 0o077, log=log)
    assert not mounts.is_mount_point(bare_daemon.root_dir)
    assert mounts.is_mount_point(early)
    assert f"mounts in {bare_daemon.root_dir} reach other mount namespaces" in log.read_text()
    mounts.unmount(early)
