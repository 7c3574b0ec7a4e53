"""Processes, namespaces, watches, and what this process may do."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_linux import capabilities, mounts, namespaces, procfs, rlimits
from pouch_linux.inotify import Event, Inotify, Mask
from pouch_linux.namespaces import NamespaceKind
from pouch_linux.pidfd import ProcessIdentity, pidfd_open, process_start_time


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture(params=[False, True], ids=["pidfd", "without pidfd"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel with and without pidfd_open."""
    if request.param:

        def missing(pid: int) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", missing)


@pytest.mark.usefixtures("kernel")
class TestProcessIdentity:
    """A process by number and start time."""

    def test_signal_reaches_the_process(self, sleeper: subprocess.Popen[bytes]) -> None:
        """The signal arrives, and the process is seen to end."""
        identity = ProcessIdentity.of(sleeper.pid)
        assert identity.alive()
        assert identity.signal(signal.SIGTERM)
        assert identity.wait(10)
        assert sleeper.wait() == -signal.SIGTERM

    def test_other_process_with_the_same_number_is_spared(self, sleeper: subprocess.Popen[bytes]) -> None:
        """The number was given anew: the identity is dead, and its signals reach nobody."""
        former = ProcessIdentity(sleeper.pid, process_start_time(sleeper.pid) - 1)
        assert not former.alive()
        assert not former.signal(signal.SIGKILL)
        assert former.wait(0)
        assert sleeper.poll() is None

    def test_zombie_has_ended(self, sleeper: subprocess.Popen[bytes]) -> None:
        """A process that nobody has reaped yet counts as ended."""
        identity = ProcessIdentity.of(sleeper.pid)
        sleeper.kill()
        assert identity.wait(10)
        assert not identity.alive()

    def test_wait_gives_up(self, sleeper: subprocess.Popen[bytes]) -> None:
        """False when the time is over and the process lives on."""
        assert not ProcessIdentity.of(sleeper.pid).wait(0.05)


def test_start_time_with_a_hostile_name() -> None:
    """A process can call itself anything; the field is found behind the last bracket."""
    script = "printf 'a) R (b c) ' > /proc/$$/comm; echo renamed; read -r _"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"renamed\n"
            assert process_start_time(process.pid) >= process_start_time(os.getpid())
        finally:
            process.kill()


def test_no_such_process() -> None:
    """A number that is not in use is a ProcessLookupError, from every function."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    for function in (process_start_time, ProcessIdentity.of, pidfd_open):
        with pytest.raises(ProcessLookupError):
            function(process.pid)


@pytest.fixture
def network(scratch: Path) -> Path:
    """A new network namespace."""
    path = scratch / "netns"
    namespaces.create(NamespaceKind.NETWORK, path)
    return path


def test_new_network_namespace_is_empty(network: Path) -> None:
    """It has a loopback device and nothing else, and the caller stays where it was."""
    before = os.readlink("/proc/thread-self/ns/net")
    assert namespaces.run_in(network, NamespaceKind.NETWORK, socket.if_nameindex) == [(1, "lo")]
    assert os.readlink("/proc/thread-self/ns/net") == before


def test_socket_stays_in_its_namespace(network: Path) -> None:
    """What was opened inside can be used outside: that is how addresses and routes are set."""
    opened = namespaces.run_in(network, NamespaceKind.NETWORK, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with opened, pytest.raises(OSError, match="unreachable"):
        opened.connect(("192.0.2.1", 9))


@pytest.mark.parametrize("kind", [NamespaceKind.UTS, NamespaceKind.IPC, NamespaceKind.CGROUP])
def test_pinned_namespace_is_a_new_one(kind: NamespaceKind, scratch: Path) -> None:
    """The file at the path is the namespace that joining it leads into."""
    path = scratch / "ns"
    namespaces.create(kind, path)
    link = f"/proc/thread-self/ns/{kind.proc_name}"
    inside = namespaces.run_in(path, kind, lambda: os.stat(link).st_ino)
    assert inside == path.stat().st_ino != os.stat(link).st_ino


def test_hostname_inside_is_not_ours(scratch: Path) -> None:
    """A change in a uts namespace is seen there only."""
    before = socket.gethostname()
    namespaces.create(NamespaceKind.UTS, scratch / "uts")
    namespaces.run_in(scratch / "uts", NamespaceKind.UTS, lambda: socket.sethostname("inside"))
    assert namespaces.run_in(scratch / "uts", NamespaceKind.UTS, socket.gethostname) == "inside"
    assert socket.gethostname() == before


def test_mount_namespace_of_another_process(scratch: Path) -> None:
    """A function can look at the mounts of a container's process."""
    script = f"mount -t tmpfs inside {scratch} && echo ready && exec sleep 60"
    with subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            kind = namespaces.run_in(
                f"/proc/{process.pid}/ns/mnt", NamespaceKind.MOUNT, lambda: mounts.filesystem_type(scratch)
            )
        finally:
            process.kill()
    assert (kind, mounts.is_mount_point(scratch)) == ("tmpfs", False)


def test_release_twice(network: Path) -> None:
    """Nothing is left, and a second time is no error."""
    namespaces.release(network)
    namespaces.release(network)
    assert not network.exists()


def test_failed_create_leaves_nothing(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the namespace can't be pinned, its file goes."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError("refused")

    monkeypatch.setattr(mounts, "bind", refused)
    with pytest.raises(PermissionError):
        namespaces.create(NamespaceKind.UTS, scratch / "ns")
    assert os.listdir(scratch) == []


def test_create_does_not_take_an_existing_file(scratch: Path) -> None:
    """A file of somebody else is not mounted over."""
    (scratch / "ns").write_text("mine")
    with pytest.raises(FileExistsError):
        namespaces.create(NamespaceKind.UTS, scratch / "ns")
    assert (scratch / "ns").read_text() == "mine"


def test_kinds_that_need_a_process(scratch: Path) -> None:
    """A pid namespace can't be made this way; the error says which can."""
    with pytest.raises(ValueError, match="network, uts, ipc, cgroup"):
        namespaces.create(NamespaceKind.PID, scratch / "ns")


def test_exception_inside_comes_out(network: Path) -> None:
    """What the function raises, the caller gets; no thread stays."""
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        namespaces.run_in(network, NamespaceKind.NETWORK, lambda: 1 // 0)
    assert threading.active_count() == before


def test_inotify_tells_of_a_file_moved_into_place(tmp_path: Path) -> None:
    """The way an exit file appears: written aside, then renamed."""
    watched = tmp_path / "watched"
    watched.mkdir()
    (tmp_path / "new").touch()
    with Inotify() as inotify:
        wd = inotify.add(watched, Mask.MOVED_TO)
        (tmp_path / "new").rename(watched / "exit\udcff")
        assert inotify.read(10) == [Event(wd, Mask.MOVED_TO, "exit\udcff")]


def test_inotify_without_events(tmp_path: Path) -> None:
    """Nothing has happened: an empty list, at once or when the time is over."""
    with Inotify() as inotify:
        inotify.add(tmp_path, Mask.CREATE)
        assert (inotify.read(), inotify.read(0.05)) == ([], [])


def test_inotify_says_when_events_were_lost(tmp_path: Path) -> None:
    """When the queue overflows, its last event says so."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with Inotify() as inotify:
        inotify.add(tmp_path, Mask.ATTRIB)
        for name in ("a", "b"):
            (tmp_path / name).touch()
        for _ in range(limit // 2 + 2):
            # By turns: the kernel joins equal events that follow each other.
            os.utime(tmp_path / "a")
            os.utime(tmp_path / "b")
        events: list[Event] = []
        while batch := inotify.read():
            events += batch
    assert (events[-1].wd, events[-1].mask) == (-1, Mask.Q_OVERFLOW)


def test_inotify_remove(tmp_path: Path) -> None:
    """A watch that is removed says IGNORED and nothing more; removing it again is an error."""
    with Inotify() as inotify:
        wd = inotify.add(tmp_path, Mask.CREATE)
        inotify.remove(wd)
        (tmp_path / "f").touch()
        assert inotify.read(10) == [Event(wd, Mask.IGNORED, "")]
        with pytest.raises(OSError, match="Invalid"):
            inotify.remove(wd)


def test_bounding_set_equals_capsh() -> None:
    """Names and numbers agree with libcap's."""
    printed = subprocess.run(["capsh", "--print"], check=True, capture_output=True, text=True).stdout
    line = next(line for line in printed.splitlines() if line.startswith("Bounding set"))
    assert {name.lower() for name in capabilities.bounding_set()} == set(line.partition("=")[2].split(","))


def test_every_capability_of_this_kernel_has_a_name() -> None:
    """Numbers go from 0 without a gap to at least the kernel's last."""
    assert list(capabilities.NUMBERS.values()) == list(range(len(capabilities.NAMES)))
    assert capabilities.last_cap() < len(capabilities.NAMES)


def test_rlimit_numbers_are_the_c_librarys() -> None:
    """Those that Python knows, too, have the same numbers."""
    known = {name: number for name, number in rlimits.NUMBERS.items() if hasattr(resource, name)}
    assert known == {name: getattr(resource, name) for name in known}


def test_hard_limit() -> None:
    """It is the number that getrlimit(2) has, and INFINITY where that is -1."""
    for name, number in rlimits.NUMBERS.items():
        hard = resource.getrlimit(number)[1]
        assert rlimits.hard_limit(name) == (rlimits.INFINITY if hard == -1 else hard)


def test_lowest_oom_score_adj_is_accepted_and_less_is_not() -> None:
    """A child can be given just that value."""
    lowest = procfs.lowest_oom_score_adj()
    write = "import sys; f = open('/proc/self/oom_score_adj', 'w'); f.write(sys.argv[1]); f.close()"
    codes = [
        subprocess.run(["python3", "-c", write, str(value)], capture_output=True).returncode
        for value in (lowest, lowest - 1)
    ]
    assert codes == [0, 1]


def test_write_proc_writes_to_proc() -> None:
    """A thread's name is set by its file."""
    path = f"/proc/self/task/{threading.get_native_id()}/comm"
    before = Path(path).read_bytes()
    procfs.write_proc(path, b"renamed")
    assert Path(path).read_text() == "renamed\n"
    procfs.write_proc(path, before.strip())


def test_write_proc_refuses_other_files(scratch: Path) -> None:
    """A file mounted over the place, or a link in it, gets nothing."""
    decoy = scratch / "decoy"
    decoy.touch()
    (scratch / "link").symlink_to(decoy)
    for path in (decoy, scratch / "link"):
        with pytest.raises(OSError, match=r"not a file of proc|Too many levels"):
            procfs.write_proc(path, b"label")
    assert decoy.read_bytes() == b""


def test_a_copy_of_the_mounts_is_changed_alone(scratch: Path) -> None:
    """A mount made in the copy is there and nowhere else; the copy ends with its descriptor."""
    place = scratch / "place"
    place.mkdir()

    def change() -> None:
        mounts.mount(None, "/", flags=mounts.MountFlag.PRIVATE | mounts.MountFlag.REC)
        mounts.mount("copy", place, "tmpfs")

    copy = namespaces.copy_mounts(change)
    try:
        there = namespaces.run_in(copy, NamespaceKind.MOUNT, lambda: os.stat(place).st_dev)
        assert there != os.stat(place).st_dev
        assert not mounts.is_mount_point(place)
    finally:
        os.close(copy)


def test_a_copy_of_the_mounts_that_can_not_be_changed() -> None:
    """The error comes out, and no descriptor is left."""
    before = os.listdir("/proc/self/fd")
    with pytest.raises(FileNotFoundError):
        namespaces.copy_mounts(lambda: mounts.mount("x", "/no/such/place", "tmpfs"))
    assert os.listdir("/proc/self/fd") == before
