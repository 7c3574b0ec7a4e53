"""The daemon as a service of systemd, and systemd as the maker of cgroups: on a machine that systemd runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pouch_linux import mounts
from tests.pouchd import POUCH, REPOSITORY

pytestmark = pytest.mark.vm(cgroup="v2", init="systemd")

UNITS = Path("/etc/systemd/system")
CONFIG = Path("/etc/pouch/pouchd.toml")
ROOT = Path("/var/lib/pouch")
CGROUPS = Path("/sys/fs/cgroup")
PATIENCE = 120
LAUNCHER = f"""\
#!/bin/sh
exec {sys.executable} -I -m pouch_engine.daemon "$@"
"""


def systemctl(*arguments: str) -> str:
    """Run systemctl, which must succeed; gives its output."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if done.returncode != 0:
        journal = subprocess.run(["systemctl", "status", "-n50", "pouchd"], capture_output=True, text=True)
        pytest.fail(f"systemctl {' '.join(arguments)}: {done.stderr}\n{journal.stdout}")
    return done.stdout.strip()


def shown(unit: str, name: str) -> str:
    """A property of a unit."""
    return systemctl("show", unit, f"--property={name}", "--value")


def pouch(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the pouch command against the service."""
    done = subprocess.run([POUCH, *arguments], capture_output=True, text=True, timeout=PATIENCE)
    if check and done.returncode != 0:
        pytest.fail(f"pouch {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that systemd does without telling us."""
    ends_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends_at, "it did not happen"
        time.sleep(0.1)


def pid_of(container: str) -> int:
    """The container's first process."""
    return int(pouch("inspect", "-f", "{{.State.Pid}}", container).stdout)


def supervisor_of(pid: int) -> int:
    """The parent of a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def cgroup_of(pid: int) -> str:
    """Where a process is in the one hierarchy."""
    return Path(f"/proc/{pid}/cgroup").read_text().strip().removeprefix("0::")


@pytest.fixture(scope="module")
def installed(busybox_tar: Path) -> Iterator[None]:
    """The units and the launcher where quickstart puts them, and an image."""
    launcher = Path("/usr/local/bin/pouchd")
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    for unit in (REPOSITORY / "core/systemd").iterdir():
        shutil.copy(unit, UNITS)
    systemctl("daemon-reload")
    systemctl("start", "pouchd.service")
    pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
    yield
    systemctl("stop", "pouchd.service", "pouchd.socket")


@pytest.fixture
def service(installed: None) -> Iterator[None]:
    """The service runs, without configuration, and without containers before and after."""
    systemctl("start", "pouchd.service")
    yield
    systemctl("start", "pouchd.service")
    for container in pouch("ps", "-aq").stdout.split():
        pouch("rm", "-f", container)


@pytest.fixture
def configure(service: None) -> Iterator[Callable[[str], None]]:
    """Restarts the service with a configuration; the next test has none again."""

    def restart(text: str) -> None:
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(text)
        systemctl("restart", "pouchd.service")

    yield restart
    CONFIG.unlink()
    systemctl("restart", "pouchd.service")


@pytest.fixture
def drop_in(service: None) -> Iterator[Callable[[str], None]]:
    """Restarts the service with further settings of the unit; the next test has none again."""
    directory = UNITS / "pouchd.service.d"

    def restart(text: str) -> None:
        directory.mkdir()
        (directory / "test.conf").write_text(f"[Service]\n{text}\n")
        systemctl("daemon-reload")
        systemctl("restart", "pouchd.service")

    yield restart
    shutil.rmtree(directory)
    systemctl("daemon-reload")
    systemctl("restart", "pouchd.service")


def test_the_unit_is_up_when_the_daemon_serves(service: None) -> None:
    """Type=notify: `systemctl start` returns when containers can be run, and status tells where it listens."""
    systemctl("restart", "pouchd.service")
    assert pouch("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    assert "/run/pouch/pouch.sock" in shown("pouchd.service", "StatusText")
    assert shown("pouchd.service", "SubState") == "running"


def test_a_restart_leaves_containers_running(service: None) -> None:
    """`systemctl restart pouchd`: another daemon, the same process in the container, and exec works."""
    pouch("run", "-d", "--name", "stays", "busybox", "sleep", "100000")
    before = pid_of("stays"), shown("pouchd.service", "MainPID")
    systemctl("restart", "pouchd.service")
    assert shown("pouchd.service", "MainPID") != before[1]
    assert pid_of("stays") == before[0]
    assert pouch("exec", "stays", "echo", "here").stdout == "here\n"


def test_stopping_the_service_leaves_containers_running(service: None) -> None:
    """`systemctl stop pouchd` ends the daemon alone (KillMode=process); the next one finds what ended meanwhile."""
    pouch("run", "-d", "--name", "stays", "busybox", "sleep", "100000")
    pouch("run", "-d", "--name", "ends", "busybox", "sleep", "100000")
    stays, ends = pid_of("stays"), pid_of("ends")
    systemctl("stop", "pouchd.service", "pouchd.socket")
    os.kill(ends, signal.SIGKILL)
    assert Path(f"/proc/{stays}").exists()
    systemctl("start", "pouchd.service")
    assert pid_of("stays") == stays
    assert pouch("wait", "ends").stdout == "137\n"


def test_reload(service: None) -> None:
    """`systemctl reload pouchd` keeps the daemon, and returns it to service."""
    before = shown("pouchd.service", "MainPID")
    systemctl("reload", "pouchd.service")
    assert shown("pouchd.service", "MainPID") == before
    assert pouch("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"


def test_the_watchdog_restarts_a_daemon_that_hangs(drop_in: Callable[[str], None]) -> None:
    """systemd ends a stopped daemon and starts another one; the container has not noticed."""
    drop_in("WatchdogSec=10")
    pouch("run", "-d", "--name", "stays", "busybox", "sleep", "100000")
    before = pid_of("stays")
    hanging = int(shown("pouchd.service", "MainPID"))
    os.kill(hanging, signal.SIGSTOP)
    until(lambda: shown("pouchd.service", "MainPID") not in ("0", str(hanging)))
    until(lambda: shown("pouchd.service", "SubState") == "running")
    assert int(shown("pouchd.service", "NRestarts")) >= 1
    assert pid_of("stays") == before


def test_the_watchdog_is_content_with_a_busy_daemon(drop_in: Callable[[str], None]) -> None:
    """Containers that are run for longer than its time do not make it bite.

    Nor does LimitNOFILE=infinity, as docker's unit has it: nothing closes a thousand million descriptors one by one.
    """
    drop_in("WatchdogSec=15\nLimitNOFILE=infinity")
    daemon = shown("pouchd.service", "MainPID")
    ends_at = time.monotonic() + 20
    while time.monotonic() < ends_at:
        pouch("run", "--rm", "busybox", "true")
    assert shown("pouchd.service", "MainPID") == daemon


def test_socket_activation_with_dockers_command(service: None) -> None:
    """The first request on docker's socket starts the daemon and is answered; pouch's own socket works, too."""
    systemctl("stop", "pouchd.service", "pouchd.socket")
    systemctl("start", "pouchd.socket", "pouch-docker.socket")
    try:
        assert shown("pouchd.service", "ActiveState") == "inactive"
        command = [
            "docker",
            "-H",
            "unix:///run/docker.sock",
            "run",
            "--rm",
            "--network",
            "none",
            "busybox",
            "echo",
            "hi",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
        assert (done.stdout, done.stderr) == ("hi\n", "")
        assert shown("pouchd.service", "ActiveState") == "active"
        assert pouch("version").returncode == 0
    finally:
        systemctl("stop", "pouchd.service", "pouch-docker.socket")


def test_the_command_starts_the_unit(service: None) -> None:
    """`pouch` without a daemon starts pouchd.service, not a daemon of its own."""
    systemctl("stop", "pouchd.service", "pouchd.socket")
    pouch("version")
    assert shown("pouchd.service", "ActiveState") == "active"


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_container_is_a_scope(service: None, runtime: str) -> None:
    """Limits, processes, figures and signals of a container whose cgroup systemd has made, by each runtime."""
    limits = ["-m", "64m", "--cpus", "0.5", "--pids-limit", "50"]
    id_ = pouch("run", "-d", "--runtime", runtime, *limits, "busybox", "sleep", "100000").stdout.strip()
    pid = pid_of(id_)
    scope = f"/pouch.slice/pouch-{id_}.scope"
    assert cgroup_of(pid).removesuffix("/container") == scope
    directory = CGROUPS / cgroup_of(pid).lstrip("/")
    found = {name: (directory / name).read_text().strip() for name in ("memory.max", "cpu.max", "pids.max")}
    assert found == {"memory.max": str(64 << 20), "cpu.max": "50000 100000", "pids.max": "50"}
    assert "sleep 100000" in pouch("top", id_).stdout
    stats = json.loads(
        subprocess.run(
            ["curl", "-s", "--unix-socket", "/run/pouch/pouch.sock", f"http://d/containers/{id_}/stats?stream=false"],
            capture_output=True,
        ).stdout
    )
    assert stats["memory_stats"]["limit"] == 64 << 20
    assert stats["pids_stats"] == {"current": 1, "limit": 50}
    pouch("update", "-m", "128m", "--memory-swap", "256m", "--pids-limit", "-1", id_)
    assert (directory / "memory.max").read_text().strip() == str(128 << 20)
    assert (directory / "pids.max").read_text().strip() == "max"
    pouch("pause", id_)
    assert "frozen 1" in (directory / "cgroup.events").read_text()
    pouch("unpause", id_)
    assert cgroup_of_exec(id_).startswith(scope)
    pouch("rm", "-f", id_)
    assert not (CGROUPS / scope.lstrip("/")).exists()
    until(lambda: shown(f"pouch-{id_}.scope", "LoadState") == "not-found")


def cgroup_of_exec(container: str) -> str:
    """Where a further process of a container is, as the host sees it."""
    command = [POUCH, "exec", container, "sh", "-c", "echo; exec sleep 54321"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        until(lambda: bool(_pids("sleep\0" + "54321")))
        (pid,) = _pids("sleep\0" + "54321")
        found = cgroup_of(pid)
        os.kill(pid, signal.SIGKILL)
    return found


def _pids(arguments: str) -> list[int]:
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal():
            try:
                if (directory / "cmdline").read_text().rstrip("\0") == arguments:
                    found.append(int(directory.name))
            except OSError:
                continue
    return found


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_a_supervisor_is_in_a_scope_of_its_own(service: None, runtime: str) -> None:
    """Neither in the daemon's unit, nor in the container's scope, whose limits are not for it; it ends with it."""
    id_ = pouch("run", "-d", "--runtime", runtime, "busybox", "sleep", "100000").stdout.strip()
    unit = f"pouch-conmon-{id_}.scope"
    supervisor = supervisor_of(pid_of(id_))
    assert cgroup_of(supervisor) == f"/pouch.slice/pouch-supervisors.slice/{unit}"
    pouch("rm", "-f", id_)
    until(lambda: shown(unit, "LoadState") == "not-found")


def test_a_slice_as_parent(service: None) -> None:
    """--cgroup-parent takes a slice, nested by its name, and refuses a path."""
    id_ = pouch("run", "-d", "--cgroup-parent", "batch-night.slice", "busybox", "sleep", "100000").stdout.strip()
    assert cgroup_of(pid_of(id_)) == f"/batch.slice/batch-night.slice/pouch-{id_}.scope"
    refused = pouch("run", "--rm", "--cgroup-parent", "/batch", "busybox", "true", check=False)
    assert refused.returncode == 125
    assert "'/batch' is not a slice such as batch.slice" in refused.stderr


def test_info_names_the_driver(service: None) -> None:
    """docker's `info` has it, too."""
    assert "Cgroup Driver: systemd" in pouch("info").stdout


@pytest.mark.parametrize("runtime", ["runc", "crun"])
def test_cgroupfs_by_configuration(configure: Callable[[str], None], runtime: str) -> None:
    """With `cgroup-driver = "cgroupfs"` paths are made, also where systemd runs."""
    configure('cgroup-driver = "cgroupfs"\n')
    id_ = pouch("run", "-d", "--runtime", runtime, "-m", "64m", "busybox", "sleep", "100000").stdout.strip()
    assert cgroup_of(pid_of(id_)) == f"/pouch/{id_}"
    assert (CGROUPS / "pouch" / id_ / "memory.max").read_text().strip() == str(64 << 20)


def test_containers_keep_their_cgroup_when_the_driver_changes(configure: Callable[[str], None]) -> None:
    """A container that runs is found, and one that starts again is where it was to be."""
    id_ = pouch("run", "-d", "busybox", "sleep", "100000").stdout.strip()
    configure('cgroup-driver = "cgroupfs"\n')
    assert "sleep 100000" in pouch("top", id_).stdout
    pouch("restart", "-t", "0", id_)
    assert cgroup_of(pid_of(id_)) == f"/pouch.slice/pouch-{id_}.scope"


def test_what_the_unit_grants_the_daemon_is_not_the_containers(service: None) -> None:
    """The daemon is spared by the kernel when memory is short; a container is not."""
    daemon = shown("pouchd.service", "MainPID")
    assert Path(f"/proc/{daemon}/oom_score_adj").read_text() == "-500\n"
    assert pouch("run", "--rm", "busybox", "cat", "/proc/self/oom_score_adj").stdout == "0\n"


def test_mounts_are_private(service: None) -> None:
    """systemd shares all mounts; those of containers stay out of other namespaces."""
    assert any(tag.startswith("shared:") for tag in mounts.mountinfo()[0].propagation)
    pouch("run", "-d", "busybox", "sleep", "100000")
    ours = [each for each in mounts.mountinfo() if each.target.startswith(f"{ROOT}/") and each.fstype == "overlay"]
    assert ours
    assert [each.propagation for each in ours if each.propagation] == []
