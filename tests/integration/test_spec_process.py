"""The process: command, environment, user, rights, as it sees itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pouch_linux.capabilities import NUMBERS, bounding_set
from tests.pouchd import Daemon

flag = pytest.mark.flag
STATUS = "/proc/self/status"


def shell(pouchd: Daemon, script: str, *flags: str) -> str:
    """Run a script in a container; gives its output."""
    return pouchd.text("run", "--rm", *flags, "busybox", "sh", "-c", script)


def status(pouchd: Daemon, field: str, *flags: str) -> str:
    """A field of the process's /proc/self/status."""
    lines = pouchd.text("run", "--rm", *flags, "busybox", "cat", STATUS).splitlines()
    (value,) = [line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:")]
    return value


@pytest.fixture
def tool_image(pouchd: Daemon, busybox_tar: Path) -> str:
    """An image with entry point, command, user, directory, variables."""
    changes = ['ENTRYPOINT ["echo","entry"]', 'CMD ["command"]', "ENV A=image B=image", "WORKDIR /work", "USER 7:8"]
    pouchd.pouch("import", *(word for change in changes for word in ("--change", change)), busybox_tar, "tool:1")
    return "tool:1"


@pytest.mark.parametrize(
    ("flags", "command", "output"),
    [
        ([], [], "entry command"),
        ([], ["given"], "entry given"),
        (["--entrypoint", "/bin/echo"], [], ""),
        (["--entrypoint", "/bin/echo"], ["given"], "given"),
        (["--entrypoint", ""], ["echo", "bare"], "bare"),
    ],
)
@flag("--entrypoint")
def test_entry_point(pouchd: Daemon, tool_image: str, flags: list[str], command: list[str], output: str) -> None:
    """docker's rules: arguments replace the command; another entry point drops the image's command, too."""
    assert pouchd.text("run", "--rm", *flags, tool_image, *command) == output


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param([], "A=image B=image", marks=flag("--env")),
        pytest.param(["-e", "A=mine"], "A=mine B=image", marks=flag("--env")),
        pytest.param(["-e", "A=1", "-e", "A=2"], "A=2 B=image", marks=flag("--env")),
        pytest.param(["-e", "A"], "B=image", marks=flag("--env")),
        pytest.param(["-e", "A="], "A= B=image", marks=flag("--env")),
        pytest.param(["-e", "B=a=b c"], "A=image B=a=b c", marks=flag("--env")),
        pytest.param(["--env-file", "{}"], "A=file B=image", marks=flag("--env-file")),
        pytest.param(["--env-file", "{}", "-e", "A=flag"], "A=flag B=image", marks=flag("--env-file", "--env")),
    ],
)
def test_environment(pouchd: Daemon, tool_image: str, tmp_path: Path, flags: list[str], expected: str) -> None:
    """The image's variables, then files, then flags; a name that nobody has set takes the image's away."""
    file = tmp_path / "variables"
    file.write_text("# a comment\n\nA=file\n")
    flags = [text.format(file) for text in flags]
    lines = pouchd.text("run", "--rm", "--entrypoint", "env", *flags, tool_image).splitlines()
    assert " ".join(sorted(line for line in lines if line.startswith(("A=", "B=")))) == expected


@flag("--user", "--workdir")
def test_image_defaults(pouchd: Daemon, tool_image: str) -> None:
    """User and directory are the image's where nothing is said."""
    assert pouchd.text("run", "--rm", "--entrypoint", "sh", tool_image, "-c", "id -u; id -g; pwd").split() == [
        "7",
        "8",
        "/work",
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        pytest.param(["-u", "1000"], "1000 0", marks=flag("--user")),
        pytest.param(["-u", "1000:2000"], "1000 2000", marks=flag("--user")),
        pytest.param(["-u", "nobody"], "65534 65534", marks=flag("--user")),
        pytest.param(["-u", "nobody:0"], "65534 0", marks=flag("--user")),
    ],
)
def test_user(pouchd: Daemon, flags: list[str], expected: str) -> None:
    """By name, looked up in the image, or by number."""
    assert shell(pouchd, "echo $(id -u) $(id -g)", *flags) == expected


@flag("--group-add")
def test_groups(pouchd: Daemon) -> None:
    """Further groups by name and number."""
    assert {"65534", "77"} <= set(shell(pouchd, "id -G", "--group-add", "nogroup", "--group-add", "77").split())


@flag("--workdir")
def test_working_directory_is_made(pouchd: Daemon) -> None:
    """A directory that is missing is made, and is where the process begins."""
    assert shell(pouchd, "pwd; ls -ld . | cut -c1-10", "-w", "/new/deep").splitlines() == ["/new/deep", "drwxr-xr-x"]


@pytest.mark.parametrize(
    ("flags", "has", "lacks"),
    [
        pytest.param(["--cap-drop", "CHOWN"], "CAP_KILL", "CAP_CHOWN", marks=flag("--cap-drop")),
        pytest.param(
            ["--cap-drop", "ALL", "--cap-add", "cap_kill"], "CAP_KILL", "CAP_CHOWN",
            marks=flag("--cap-add", "--cap-drop"),
        ),
        pytest.param(["--cap-add", "NET_ADMIN"], "CAP_NET_ADMIN", "CAP_SYS_ADMIN", marks=flag("--cap-add")),
        pytest.param(
            ["--cap-add", "ALL", "--cap-drop", "MKNOD"], "CAP_SYS_ADMIN", "CAP_MKNOD",
            marks=flag("--cap-add", "--cap-drop"),
        ),
        pytest.param(["--privileged"], "CAP_SYS_ADMIN", "", marks=flag("--privileged")),
    ],
)  # fmt: skip
def test_capabilities(pouchd: Daemon, flags: list[str], has: str, lacks: str) -> None:
    """What the kernel says of the process; none is inheritable."""
    if has not in bounding_set():
        pytest.skip(f"this host has no {has} to give")
    effective = int(status(pouchd, "CapEff", *flags), 16)
    assert effective >> NUMBERS[has] & 1
    assert not lacks or not effective >> NUMBERS[lacks] & 1
    assert int(status(pouchd, "CapInh", *flags), 16) == 0


@flag("--privileged")
def test_privileged(pouchd: Daemon) -> None:
    """The host's devices are there, nothing is masked, /sys is writable, no filter for system calls."""
    looks = (
        "ls /dev | grep -c -e kmsg -e mem",
        "grep -c ' /proc/kcore ' /proc/self/mountinfo",
        "grep -w Seccomp /proc/self/status",
        "mount | grep -c 'sysfs.*rw'",
    )
    told = shell(pouchd, "; ".join(looks), "--privileged")
    devices, masked, seccomp, writable = told.splitlines()
    assert int(devices) > 0
    assert (masked, seccomp.split()[1], writable) == ("0", "0", "1")


@flag("--security-opt")
@pytest.mark.parametrize(
    ("option", "field", "expected"),
    [
        ("seccomp=unconfined", "Seccomp", "0"),
        ("seccomp=builtin", "Seccomp", "2"),
        ("no-new-privileges", "NoNewPrivs", "1"),
        ("no-new-privileges=false", "NoNewPrivs", "0"),
        ("label=disable", "Seccomp", "2"),
        ("label=type:container_t", "Seccomp", "2"),
    ],
)
def test_security_options(pouchd: Daemon, option: str, field: str, expected: str) -> None:
    """What the kernel says of the process; labels are taken where there are none."""
    if option.startswith("label=type") and Path("/sys/fs/selinux").is_dir():
        pytest.skip("this host has SELinux")
    assert status(pouchd, field, "--security-opt", option) == expected


@flag("--security-opt")
def test_seccomp_profile(pouchd: Daemon, tmp_path: Path) -> None:
    """A profile of one's own, read by the command: what it denies fails."""
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    assert shell(pouchd, "mkdir /new 2>/dev/null || echo denied", "--security-opt", f"seccomp={path}") == "denied"


@flag("--security-opt")
def test_masked_paths(pouchd: Daemon) -> None:
    """/proc/sys is read-only and /sys/firmware hidden, unless system paths are unconfined."""
    script = "grep -c -e ' /proc/sys ' -e ' /sys/firmware ' /proc/self/mountinfo"
    assert int(shell(pouchd, f"{script} || true")) > 0
    assert shell(pouchd, f"{script} || true", "--security-opt", "systempaths=unconfined") == "0"


@flag("--security-opt")
def test_masked_paths_by_the_api(pouchd: Daemon) -> None:
    """Paths of one's own to hide or protect, instead of the default ones."""
    body = {
        "Image": "busybox", "Cmd": ["sh", "-c", "cat /etc/passwd | wc -c; touch /etc/group || echo ro"],
        "HostConfig": {"MaskedPaths": ["/etc/passwd"], "ReadonlyPaths": ["/etc/group"]},
    }  # fmt: skip
    pouchd.api("POST", "/containers/create?name=c", body)
    assert pouchd.text("start", "-a", "c").splitlines() == ["0", "ro"]


@flag("--ulimit")
def test_resource_limits(pouchd: Daemon) -> None:
    """Soft and hard limits are the process's."""
    told = shell(pouchd, "ulimit -Sn; ulimit -Hn; ulimit -c", "--ulimit", "nofile=100:200", "--ulimit", "core=0")
    assert told.splitlines() == ["100", "200", "0"]


@flag("--sysctl")
def test_kernel_parameters(pouchd: Daemon) -> None:
    """Those of the container's own namespaces."""
    flags = [
        word
        for pair in ("net.ipv4.ip_forward=1", "kernel.shmmax=65536", "fs.mqueue.msg_max=20")
        for word in ("--sysctl", pair)
    ]
    told = shell(
        pouchd, "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmax /proc/sys/fs/mqueue/msg_max", *flags
    )
    assert told.splitlines() == ["1", "65536", "20"]


@flag("--init")
def test_init(pouchd: Daemon) -> None:
    """Process 1 is an init, and reaps what is left to it."""
    script = "cat /proc/1/comm; (sleep 0.1 &) ; sleep 0.3; ps -o stat | grep -c Z || true"
    comm, zombies = shell(pouchd, script, "--init").splitlines()
    assert comm in ("init", "catatonit", "tini", "docker-init")
    assert zombies == "0"


@flag("--add-host", "--dns", "--dns-search", "--dns-option")
def test_names(pouchd: Daemon) -> None:
    """hosts and resolv.conf say what was asked for."""
    told = shell(
        pouchd, "grep db /etc/hosts; cat /etc/resolv.conf", "--add-host", "db:192.0.2.9", "--dns", "192.0.2.53",
        "--dns-search", "example.org", "--dns-option", "ndots:2",
    )  # fmt: skip
    assert told.splitlines() == ["192.0.2.9\tdb", "nameserver 192.0.2.53", "search example.org", "options ndots:2"]


@flag("--annotation", "--label", "--label-file")
def test_annotations_and_labels(pouchd: Daemon, tmp_path: Path) -> None:
    """Annotations reach the OCI spec, labels are the engine's."""
    file = tmp_path / "labels"
    file.write_text("c=d\n")
    id_ = pouchd.text(
        "run", "-d", "--annotation", "org.example.a=b", "-l", "a=b", "--label-file", file, "busybox", "sleep", "1000"
    )
    spec = json.loads((pouchd.run_dir / "tasks" / id_ / "config.json").read_text())
    assert spec["annotations"]["org.example.a"] == "b"
    assert pouchd.inspect(id_)["Config"]["Labels"] == {"a": "b", "c": "d"}


@flag("--stop-signal", "--stop-timeout")
def test_stop(pouchd: Daemon) -> None:
    """stop sends the signal, and kills after the time."""
    script = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.1; done"
    pouchd.pouch("run", "-d", "--name", "c", "--stop-signal", "USR1", "busybox", "sh", "-c", script)
    while "ready" not in pouchd.text("logs", "c"):
        pass
    pouchd.pouch("stop", "c")
    assert pouchd.inspect("c")["State"]["ExitCode"] == 5
    pouchd.pouch("run", "-d", "--name", "d", "--stop-timeout", "0", "busybox", "sleep", "1000")
    pouchd.pouch("stop", "d")
    assert pouchd.inspect("d")["State"]["ExitCode"] == 137


@flag("--cidfile", "--name")
def test_cidfile(pouchd: Daemon, tmp_path: Path) -> None:
    """The container's id is written to a new file; one that is there is left alone."""
    file = tmp_path / "id"
    pouchd.pouch("create", "--name", "mine", "--cidfile", file, "busybox")
    assert file.read_text() == pouchd.inspect("mine")["Id"]
    assert pouchd.pouch("create", "--cidfile", file, "busybox", check=False).returncode == 125


@flag("--rm")
def test_removal_at_the_end(pouchd: Daemon) -> None:
    """The name is free as soon as the command has returned, the container gone soon after."""
    for _ in range(3):
        pouchd.pouch("run", "--rm", "--name", "again", "busybox", "true")
    while pouchd.text("ps", "-aq"):
        pass


@flag("--tty", "--interactive", "--attach", "--detach")
def test_streams(pouchd: Daemon) -> None:
    """Only the chosen stream is shown; stdin is open where it was asked for."""
    done = pouchd.pouch("run", "--rm", "-a", "stderr", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"", b"err\n")
    assert pouchd.text("run", "--rm", "-i", "busybox", "cat", stdin=b"given") == "given"
    assert pouchd.text("run", "--rm", "-t", "busybox", "tty").strip() == "/dev/pts/0"
