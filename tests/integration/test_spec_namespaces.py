"""Namespaces: private, of the host, of another container; seen from inside, or by their numbers in /proc."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.pouchd import Daemon

KINDS = {"pid": "pid", "ipc": "ipc", "uts": "uts", "network": "net", "cgroupns": "cgroup"}
flag = pytest.mark.flag


def run_sleeping(pouchd: Daemon, name: str, *flags: str) -> str:
    """A container that does nothing for long; gives its id."""
    return pouchd.text("run", "-d", "--name", name, *flags, "busybox", "sleep", "1000")


def namespace_of(pouchd: Daemon, container: str, kind: str) -> str:
    """The number of a running container's namespace."""
    pid = pouchd.inspect(container)["State"]["Pid"]
    return os.readlink(f"/proc/{pid}/ns/{KINDS[kind]}")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        pytest.param("pid", "host", marks=flag("--pid")),
        pytest.param("ipc", "host", marks=flag("--ipc")),
        pytest.param("uts", "host", marks=flag("--uts")),
        pytest.param("network", "host", marks=flag("--network")),
        pytest.param("cgroupns", "host", marks=flag("--cgroupns")),
    ],
)
def test_host(pouchd: Daemon, kind: str, mode: str) -> None:
    """The container is in the host's own namespace."""
    run_sleeping(pouchd, "c", f"--{kind}", mode)
    assert namespace_of(pouchd, "c", kind) == os.readlink(f"/proc/self/ns/{KINDS[kind]}")


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        pytest.param("pid", "private", marks=flag("--pid")),
        pytest.param("ipc", "private", marks=flag("--ipc")),
        pytest.param("ipc", "shareable", marks=flag("--ipc")),
        pytest.param("ipc", "none", marks=flag("--ipc")),
        pytest.param("uts", "private", marks=flag("--uts")),
        pytest.param("network", "none", marks=flag("--network")),
        pytest.param("cgroupns", "private", marks=flag("--cgroupns")),
    ],
)
def test_own(pouchd: Daemon, kind: str, mode: str) -> None:
    """The container has a namespace of its own."""
    run_sleeping(pouchd, "c", f"--{kind}", mode)
    assert namespace_of(pouchd, "c", kind) != os.readlink(f"/proc/self/ns/{KINDS[kind]}")


@pytest.mark.parametrize(
    ("kind", "of_the_other"),
    [
        pytest.param("pid", (), marks=flag("--pid")),
        pytest.param("ipc", ("--ipc", "shareable"), marks=flag("--ipc")),
        pytest.param("uts", (), marks=flag("--uts")),
        pytest.param("network", (), marks=flag("--network")),
    ],
)
def test_another_containers(pouchd: Daemon, kind: str, of_the_other: tuple[str, ...]) -> None:
    """Both are in one namespace; the second finds the first by a prefix of its id, too."""
    first = run_sleeping(pouchd, "first", *of_the_other)
    run_sleeping(pouchd, "second", f"--{kind}", f"container:{first[:12]}")
    assert namespace_of(pouchd, "second", kind) == namespace_of(pouchd, "first", kind)
    field = {"pid": "PidMode", "ipc": "IpcMode", "uts": "UTSMode", "network": "NetworkMode"}[kind]
    assert pouchd.inspect("second")["HostConfig"][field] == f"container:{first}"


@flag("--pid")
def test_processes_of_another_container(pouchd: Daemon) -> None:
    """--pid container: lets one see and end the other's processes."""
    run_sleeping(pouchd, "first")
    seen = pouchd.text("run", "--rm", "--pid", "container:first", "busybox", "cat", "/proc/1/cmdline")
    assert seen.split("\0")[:2] == ["sleep", "1000"]


@flag("--ipc")
def test_shared_memory_of_another_container(pouchd: Daemon) -> None:
    """--ipc container: shares /dev/shm, and its size."""
    run_sleeping(pouchd, "first", "--ipc", "shareable", "--shm-size", "8m")
    pouchd.pouch("exec", "first", "sh", "-c", "echo shared >/dev/shm/file")
    told = pouchd.text(
        "run", "--rm", "--ipc", "container:first", "busybox", "sh", "-c", "cat /dev/shm/file; df -k /dev/shm"
    )
    assert told.splitlines()[0] == "shared"
    assert "8192" in told


@flag("--ipc")
def test_no_shared_memory(pouchd: Daemon) -> None:
    """--ipc none: there is no /dev/shm."""
    assert (
        pouchd.pouch("run", "--rm", "--ipc", "none", "busybox", "test", "-d", "/dev/shm", check=False).returncode == 1
    )


@flag("--network")
def test_names_come_with_the_network(pouchd: Daemon) -> None:
    """Who joins a network has the other's host name and its hosts file."""
    run_sleeping(pouchd, "first", "--hostname", "mynode", "--add-host", "other:192.0.2.7")
    told = pouchd.text("run", "--rm", "--network", "container:first", "busybox", "sh", "-c", "hostname; cat /etc/hosts")
    assert told.splitlines()[0] == "mynode"
    assert "192.0.2.7\tother" in told


@flag("--network", "--uts")
def test_the_hosts_name(pouchd: Daemon) -> None:
    """With the host's network or UTS namespace, the host name is the host's."""
    for mode in ("--network", "--uts"):
        assert pouchd.text("run", "--rm", mode, "host", "busybox", "hostname") == socket.gethostname()


@flag("--hostname", "--domainname")
def test_names_of_its_own(pouchd: Daemon) -> None:
    """Host name and domain name are the container's, and only there."""
    told = pouchd.text(
        "run", "--rm", "-h", "me", "--domainname", "example.org", "busybox",
        "sh", "-c", "hostname; cat /proc/sys/kernel/domainname /etc/hostname; echo $HOSTNAME",
    )  # fmt: skip
    assert told.splitlines() == ["me", "example.org", "me", "me"]


@flag("--pid")
def test_the_other_container_must_run(pouchd: Daemon) -> None:
    """A start that joins the namespace of a container that does not run is refused, and says how to go on."""
    pouchd.pouch("create", "--name", "first", "busybox", "sleep", "1000")
    done = pouchd.pouch("run", "--rm", "--pid", "container:first", "busybox", "true", check=False)
    assert done.returncode == 125
    assert b"container first, whose pid namespace is to be joined, does not run" in done.stderr
    assert b"pouch start first" in done.stderr


@flag("--pid")
def test_the_other_container_may_end_and_come_back(pouchd: Daemon) -> None:
    """Each start looks for the namespace anew: after a restart of the first, the second joins the new one."""
    run_sleeping(pouchd, "first")
    pouchd.pouch("create", "--name", "second", "--pid", "container:first", "busybox", "sleep", "1000")
    pouchd.pouch("stop", "-t", "0", "first")
    pouchd.pouch("start", "first")
    pouchd.pouch("start", "second")
    assert namespace_of(pouchd, "second", "pid") == namespace_of(pouchd, "first", "pid")


@flag("--network")
def test_the_other_container_is_removed(pouchd: Daemon) -> None:
    """A start whose network is of a container that was removed says so."""
    run_sleeping(pouchd, "first")
    pouchd.pouch("create", "--name", "second", "--network", "container:first", "busybox", "true")
    pouchd.pouch("rm", "-f", "first")
    done = pouchd.pouch("start", "second", check=False)
    assert b"whose network namespace is to be joined, is gone" in done.stderr


@flag("--ipc")
def test_shared_memory_survives_a_crash_of_the_daemon(own_pouchd: Daemon) -> None:
    """After kill -9 of the daemon the /dev/shm is still there for others, and gone with its container."""
    run_sleeping(own_pouchd, "first", "--ipc", "shareable")
    own_pouchd.pouch("exec", "first", "sh", "-c", "echo kept >/dev/shm/file")
    own_pouchd.restart()
    told = own_pouchd.text("run", "--rm", "--ipc", "container:first", "busybox", "cat", "/dev/shm/file")
    assert told == "kept"
    own_pouchd.pouch("rm", "-f", "first")
    assert list((Path(own_pouchd.run_dir) / "mounts").iterdir()) == []
