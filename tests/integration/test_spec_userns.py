"""User namespaces with sub-ids: root in the container is nobody on the host."""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon

flag = pytest.mark.flag
UIDS, GIDS = 1_700_000, 1_800_000


@pytest.fixture(scope="module")
def sub_id_owner() -> Iterator[str]:
    """A name with 65536 sub-ids in /etc/subuid and /etc/subgid, which it is taken out of afterwards."""
    owner = f"pt{secrets.token_hex(4)}"
    lines = {Path("/etc/subuid"): f"{owner}:{UIDS}:65536\n", Path("/etc/subgid"): f"{owner}:{GIDS}:65536\n"}
    for path, line in lines.items():
        _change(path, lambda text, line=line: text + line)  # type: ignore[misc]
    yield owner
    for path, line in lines.items():
        _change(path, lambda text, line=line: text.replace(line, ""))  # type: ignore[misc]


def _change(path: Path, change: Callable[[str], str]) -> None:
    """Other runs of these tests have lines there, too."""
    with path.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = change(file.read())
        file.truncate(0)
        file.write(text)


@pytest.fixture(scope="module")
def remapping(sub_id_owner: str, busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon whose containers have a user namespace by default."""
    daemon = Daemon(f"pt{secrets.token_hex(4)}", f'[userns]\nremap = "{sub_id_owner}"\n')
    daemon.start()
    daemon.pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
    yield daemon
    daemon.destroy()


@pytest.fixture
def pouchd(remapping: Daemon) -> Iterator[Daemon]:
    """That daemon; no container and no volume is left."""
    yield remapping
    for container in remapping.text("ps", "-aq").split():
        remapping.pouch("rm", "-fv", container)
    for volume in remapping.text("volume", "ls", "-q").split():
        remapping.pouch("volume", "rm", volume)
    assert remapping.remains() == []


def shell(pouchd: Daemon, script: str, *flags: str) -> str:
    """Run a script in a container; gives its output."""
    return pouchd.text("run", "--rm", *flags, "busybox", "sh", "-c", script)


@flag("--userns")
def test_root_is_nobody_on_the_host(pouchd: Daemon) -> None:
    """Inside 0, outside the first sub-id; and the maps say so."""
    id_ = pouchd.text("run", "-d", "busybox", "sleep", "1000")
    status = Path(f"/proc/{pouchd.inspect(id_)['State']['Pid']}/status").read_text()
    assert f"Uid:\t{UIDS}\t{UIDS}" in status
    assert f"Gid:\t{GIDS}\t{GIDS}" in status
    assert pouchd.text("exec", id_, "id", "-u") == "0"
    assert pouchd.text("exec", id_, "cat", "/proc/self/uid_map").split() == ["0", str(UIDS), "65536"]


@flag("--userns")
def test_the_image_belongs_to_the_containers_root(pouchd: Daemon) -> None:
    """Files of the image are root's, and root can change them, make others, and give them away."""
    told = shell(pouchd, "stat -c %u:%g /etc/passwd; echo x >>/etc/passwd; mkdir /d; chown 5:6 /d; stat -c %u:%g /d")
    assert told.splitlines() == ["0:0", "5:6"]


@flag("--userns")
def test_the_image_stays_as_it_is(pouchd: Daemon) -> None:
    """What such a container writes has plain owners in its layer: an image of it fits any container."""
    pouchd.pouch("run", "--name", "c", "busybox", "sh", "-c", "mkdir /d; chown 5:6 /d")
    upper = pouchd.root_dir / "plugins/storage/overlay/snapshots" / pouchd.inspect("c")["Id"] / "writable/upper"
    assert ((upper / "d").stat().st_uid, (upper / "d").stat().st_gid) == (5, 6)
    pouchd.pouch("start", "-a", "c", check=False)  # and it can be started again


@flag("--userns", "--workdir", "--user")
def test_directory_and_user(pouchd: Daemon) -> None:
    """A working directory that is made belongs to the container's root; other users are mapped, too."""
    assert shell(pouchd, "stat -c %u:%g .", "-w", "/made/here") == "0:0"
    assert shell(pouchd, "id -u; touch /tmp/x; stat -c %u /tmp/x", "-u", "1000").splitlines() == ["1000", "1000"]


@flag("--userns", "--volume")
def test_volumes_keep_plain_owners(pouchd: Daemon) -> None:
    """A volume is the container's root's with and without a user namespace, copied image data too."""
    shell(pouchd, "echo x >/data/f; chown 7 /data/f", "-v", "vol:/data")
    assert shell(pouchd, "stat -c %u /data /data/f", "-v", "vol:/data", "--userns", "host").split() == ["0", "7"]
    assert shell(pouchd, "stat -c %u /etc/passwd; touch /etc/new && echo rw", "-v", "etc:/etc").split() == ["0", "rw"]


@flag("--userns", "--volume")
def test_binds_keep_the_hosts_owners(pouchd: Daemon) -> None:
    """The host's root is nobody inside, and what is only the host's root's can't be read."""
    secret = pouchd.root_dir / "secret"
    secret.write_text("s")
    secret.chmod(0o600)
    told = shell(pouchd, "stat -c %u /secret; cat /secret 2>/dev/null || echo denied", "-v", f"{secret}:/secret")
    assert told.splitlines() == ["65534", "denied"]


@flag("--userns")
def test_host(pouchd: Daemon) -> None:
    """--userns host: none of its own."""
    id_ = pouchd.text("run", "-d", "--userns", "host", "busybox", "sleep", "1000")
    pid = pouchd.inspect(id_)["State"]["Pid"]
    assert os.readlink(f"/proc/{pid}/ns/user") == os.readlink("/proc/self/ns/user")


@flag("--userns", "--pid", "--ipc", "--network")
def test_others_namespaces(pouchd: Daemon) -> None:
    """Who joins another container's namespaces is in its user namespace, too."""
    first = pouchd.text("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sleep", "1000")
    second = pouchd.text(
        "run", "-d", *(f"--{kind}=container:first" for kind in ("pid", "ipc", "network")), "busybox", "sleep", "1000"
    )
    pids = [pouchd.inspect(container)["State"]["Pid"] for container in (first, second)]
    for kind in ("user", "pid", "ipc", "net"):
        assert os.readlink(f"/proc/{pids[0]}/ns/{kind}") == os.readlink(f"/proc/{pids[1]}/ns/{kind}")
    pouchd.pouch("exec", "first", "touch", "/dev/shm/shared")
    pouchd.pouch("exec", second, "rm", "/dev/shm/shared")


@flag("--userns")
def test_the_network_belongs_to_the_user_namespace(pouchd: Daemon) -> None:
    """It was made inside: the container's root may change it as far as its capabilities go."""
    script = "ip link set lo down && ip link set lo up && echo mine"
    assert shell(pouchd, script, "--cap-add", "NET_ADMIN") == "mine"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--privileged"], "--privileged can't be had in a user namespace"),
        (["--pid", "host"], "--pid host can't be had in a user namespace"),
        (["--ipc", "host"], "--ipc host can't be had in a user namespace"),
        (["--network", "host"], "--network host can't be had in a user namespace"),
        (["--userns", "private", "--privileged"], "conflicting options: --userns private and --privileged"),
    ],
)
@flag("--userns")
def test_what_is_the_hosts(pouchd: Daemon, flags: list[str], words: str) -> None:
    """Refused at the door, with the way out; possible without a user namespace."""
    done = pouchd.pouch("run", "--rm", *flags, "busybox", "true", check=False)
    assert done.returncode == 125
    assert words in done.stderr.decode()


@flag("--userns")
def test_different_user_namespaces_share_nothing(pouchd: Daemon) -> None:
    """A container of the host's user namespace can't be joined from one with its own."""
    pouchd.pouch("run", "-d", "--name", "first", "--userns", "host", "busybox", "sleep", "1000")
    done = pouchd.pouch("run", "--rm", "--pid", "container:first", "busybox", "true", check=False)
    assert b"differ in their user namespaces" in done.stderr
    assert pouchd.text("run", "--rm", "--userns", "host", "--pid", "container:first", "busybox", "echo", "in") == "in"


@flag("--userns")
def test_without_sub_ids(own_pouchd: Daemon) -> None:
    """An owner that has none is an error which says what to add, at the first container that needs them."""
    own_pouchd.stop()
    own_pouchd.configure('[userns]\nremap = "nobodysname"\n')
    own_pouchd.start()
    done = own_pouchd.pouch("run", "--rm", "busybox", "true", check=False)
    assert b"'nobodysname' has no sub-ids in /etc/subuid" in done.stderr
    assert b"echo nobodysname:100000:65536 >> /etc/subuid" in done.stderr


@flag("--userns")
def test_a_crash_leaves_no_mount(pouchd: Daemon) -> None:
    """After kill -9 of the daemon the container runs on, can be entered, and is removed with all its mounts."""
    pouchd.pouch("run", "-d", "--name", "c", "-v", "vol:/data", "busybox", "sleep", "1000")
    pouchd.restart()
    assert pouchd.text("exec", "c", "id", "-u") == "0"
    pouchd.pouch("rm", "-fv", "c")
    mounted = subprocess.run(["grep", "-c", str(pouchd.run_dir), "/proc/self/mounts"], capture_output=True, text=True)
    assert mounted.stdout.strip() == "0"


@flag("--userns")
def test_other_users_of_the_host_stay_out(pouchd: Daemon) -> None:
    """The way to the root file system is open to the container's root alone."""
    id_ = pouchd.text("run", "-d", "busybox", "sleep", "1000")
    root = pouchd.run_dir / "mounts" / id_ / "root"
    assert root.is_mount()

    def looks(user: int, group: int) -> int:
        return subprocess.run(["test", "-d", root / "etc"], user=user, group=group, extra_groups=[]).returncode

    assert (looks(UIDS, GIDS), looks(65534, 65534), looks(UIDS + 1000, GIDS + 1000)) == (0, 1, 1)


def test_copies_have_the_container_s_ids(pouchd: Daemon, tmp_path: Path) -> None:
    """cp -a keeps the ids that the container sees, to its root file system and to a volume, whether it runs or not."""
    (tmp_path / "file").write_text("x")
    os.chown(tmp_path / "file", 5, 6)
    pouchd.pouch("run", "-d", "--name", "box", "-v", "mapped:/v", "busybox", "sleep", "1000")
    for place in ("/one", "/v/one"):
        pouchd.pouch("cp", "-a", tmp_path / "file", f"box:{place}")
    pouchd.pouch("stop", "-t", "0", "box")
    for place in ("/two", "/v/two"):
        pouchd.pouch("cp", "-a", tmp_path / "file", f"box:{place}")
    pouchd.pouch("start", "box")
    script = "stat -c %u:%g /one /two /v/one /v/two"
    assert pouchd.text("exec", "box", "sh", "-c", script).split() == ["5:6"] * 4
    pouchd.pouch("cp", "-a", "box:/v/two", tmp_path / "back")
    assert ((tmp_path / "back").stat().st_uid, (tmp_path / "back").stat().st_gid) == (5, 6)
