"""update: what changes at once, what at the next start, what is refused; all or nothing."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import sysconfig
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cgroup_files import V2, Kernel
from tests.pouchd import Daemon

MIB = 1 << 20


def _kernel(daemon: Daemon, name: str) -> Kernel:
    return Kernel(daemon.inspect(name)["State"]["Pid"])


def _update(daemon: Daemon, name: str, body: dict[str, Any]) -> tuple[int, Any]:
    return daemon.api("POST", f"/v1.43/containers/{name}/update", body)


def _run(daemon: Daemon, *flags: str) -> Kernel:
    daemon.pouch("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")
    return _kernel(daemon, "box")


def test_limits_are_in_force_at_once(pouchd: Daemon) -> None:
    """Each limit that is given is what the kernel says; those that are not stay; inspect tells the same."""
    kernel = _run(pouchd, "-m", "64m", "--cpus", "0.5", "--pids-limit", "50")
    assert pouchd.text("update", "-m", "128m", "--memory-swap", "256m", "--cpuset-cpus", "0", "box") == "box"
    assert kernel.limits == (128 * MIB, 256 * MIB, 50, (50000, 100000), "0")
    pouchd.pouch("update", "--cpus", "0.25", "--pids-limit", "60", "box")
    assert kernel.limits == (128 * MIB, 256 * MIB, 60, (25000, 100000), "0")
    host = pouchd.inspect("box")["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (128 * MIB, 256 * MIB, 60)
    assert (host["NanoCpus"], host["CpusetCpus"]) == (250_000_000, "0")


def test_a_limit_of_minus_one_is_none(pouchd: Daemon) -> None:
    """-1 takes memory, swap and pids limits away."""
    kernel = _run(pouchd, "-m", "64m", "--pids-limit", "50")
    pouchd.pouch("update", "-m", "-1", "--memory-swap", "-1", "--pids-limit", "-1", "box")
    assert (kernel.memory_limit, kernel.memory_and_swap_limit, kernel.pids_limit) == (None, None, None)


def test_limits_of_a_paused_container(pouchd: Daemon) -> None:
    """They change, and it stays paused."""
    kernel = _run(pouchd, "-m", "64m")
    pouchd.pouch("pause", "box")
    pouchd.pouch("update", "-m", "100m", "box")
    assert kernel.memory_limit == 100 * MIB
    assert pouchd.inspect("box")["State"]["Status"] == "paused"
    pouchd.pouch("unpause", "box")
    assert pouchd.text("exec", "box", "echo", "alive") == "alive"


def test_a_stopped_container_has_them_at_its_next_start(pouchd: Daemon) -> None:
    """Limits, environment and labels of a container that does not run."""
    pouchd.pouch(
        "create", "--name", "box", "-m", "64m", "-e", "KEPT=1", "-e", "GONE=1", "-l", "gone=1", "busybox", "sh"
    )
    pouchd.pouch(
        "update", "-m", "96m", "--memory-swap", "200m", "-e", "NEW=2", "-e", "GONE", "-l", "new=2", "-l", "gone=", "box"
    )
    description = pouchd.inspect("box")
    assert {"KEPT=1", "NEW=2"} <= set(description["Config"]["Env"])
    assert "GONE" not in json.dumps(description["Config"]["Env"])
    assert description["Config"]["Labels"] == {"new": "2"}
    pouchd.pouch("rm", "box")
    pouchd.pouch("create", "--name", "box", "-m", "64m", "busybox", "sh", "-c", "echo $NEW; exec sleep 1000")
    pouchd.pouch("update", "-m", "96m", "--memory-swap", "200m", "-e", "NEW=2", "box")
    pouchd.pouch("start", "box")
    kernel = _kernel(pouchd, "box")
    assert (kernel.memory_limit, kernel.memory_and_swap_limit) == (96 * MIB, 200 * MIB)
    pouchd.pouch("stop", "-t", "0", "box")
    assert pouchd.text("logs", "box") == "2"


def test_environment_of_a_running_container(pouchd: Daemon) -> None:
    """Recorded for the next start, with a warning that says so; label and annotation count at once."""
    pouchd.pouch("run", "-d", "--name", "box", "busybox", "sh", "-c", "echo got $X; exec sleep 1000")
    done = pouchd.pouch("update", "-e", "X=1", "-l", "a=b", "--annotation", "c.d/e=f", "box")
    assert "next start" in done.stderr.decode()
    description = pouchd.inspect("box")
    assert description["Config"]["Labels"] == {"a": "b"}
    assert description["HostConfig"]["Annotations"] == {"c.d/e": "f"}
    assert pouchd.text("ps", "-q", "--filter", "label=a=b") == description["Id"][:12]
    pouchd.pouch("restart", "-t", "0", "box")
    pouchd.pouch("stop", "-t", "0", "box")
    assert pouchd.text("logs", "box").splitlines()[-1] == "got 1"


def test_pouchcontainers_body(pouchd: Daemon) -> None:
    """Label as a list of texts, and SpecAnnotation, as its clients send them; docker's zeros change nothing."""
    kernel = _run(pouchd, "-m", "64m")
    before = kernel.limits
    body = {
        "Label": ["x=1"],
        "SpecAnnotation": {"k": "v"},
        "Env": ["A=1"],
        "Memory": 0,
        "CpuShares": 0,
        "PidsLimit": None,
    }
    status, answer = _update(pouchd, "box", body)
    assert status == 200
    assert len(answer["Warnings"]) == 1  # of the environment
    description = pouchd.inspect("box")
    assert description["Config"]["Labels"] == {"x": "1"}
    assert description["HostConfig"]["Annotations"] == {"k": "v"}
    assert kernel.limits == before


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["-m", "1m"], ["memory limit", "6m"]),
        (["-m", "12x"], ["12x"]),
        (["-m", "512m"], ["memory-swap", "at the same time"]),
        (["--memory-swap", "8m"], ["memory-swap"]),
        (["--cpus", "1000"], ["CPUs"]),
        (["--cpu-shares", "1"], ["cpu shares", "2 to 262144"]),
        (["--cpuset-cpus", "9999"], ["cpuset-cpus", "9999"]),
        (["--cpuset-cpus", "a-b"], ["cpuset-cpus", "a-b"]),
        (["--pids-limit", "-5"], ["pids limit", "-5"]),
        (["--restart", "sometimes"], ["sometimes", "unless-stopped"]),
        (["--restart", "always:3"], ["always:3"]),
        (["-e", "=x"], ["=x"]),
        (["-l", "=x"], ["=x"]),
        (["--annotation", "novalue"], ["novalue"]),
        (["--nosuchflag"], ["nosuchflag"]),
        ([], ["nothing to update"]),
    ],
)
def test_update_mistakes(pouchd: Daemon, flags: list[str], words: list[str]) -> None:
    """Wrong values are refused at the door with words; the kernel's limits and the record stay as they were."""
    kernel = _run(pouchd, "-m", "64m", "--pids-limit", "50")
    before, host = kernel.limits, pouchd.inspect("box")["HostConfig"]
    done = pouchd.pouch("update", *flags, "box", check=False)
    error = done.stderr.decode()
    assert done.returncode != 0
    assert [word for word in words if word not in error] == [], error
    assert "Traceback" not in error
    assert (kernel.limits, pouchd.inspect("box")["HostConfig"]) == (before, host)


def test_restart_policy_of_a_container_with_rm(pouchd: Daemon) -> None:
    """--rm and a restart policy exclude each other, also afterwards."""
    pouchd.pouch("run", "-d", "--rm", "--name", "box", "busybox", "sleep", "1000")
    done = pouchd.pouch("update", "--restart", "always", "box", check=False)
    assert done.returncode == 1
    assert "--rm" in done.stderr.decode()


def test_memory_below_what_is_in_use(pouchd: Daemon) -> None:
    """Refused with both figures, on either version of cgroups; the process lives and no limit has changed."""
    script = "dd if=/dev/zero of=/dev/shm/x bs=1M count=40 2>/dev/null; echo up; exec sleep 1000"
    pouchd.pouch("run", "-d", "--name", "box", "-m", "64m", "--pids-limit", "50", "busybox", "sh", "-c", script)
    pouchd.pouch("exec", "box", "sh", "-c", "while [ $(stat -c %s /dev/shm/x || echo 0) -lt 41943040 ]; do :; done")
    kernel = _kernel(pouchd, "box")
    before = kernel.limits
    done = pouchd.pouch("update", "-m", "16m", "--memory-swap", "32m", "--pids-limit", "60", "box", check=False)
    assert done.returncode == 1
    assert str(16 * MIB) in done.stderr.decode()
    assert "uses now" in done.stderr.decode()
    assert kernel.limits == before
    assert pouchd.inspect("box")["HostConfig"]["Memory"] == 64 * MIB
    assert pouchd.inspect("box")["State"]["Running"] is True


@pytest.mark.parametrize(
    "body",
    [
        {"PidsLimit": 60, "Memory": 96 * MIB, "MemorySwappiness": 10},
        {"PidsLimit": 60, "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]},
    ],
    ids=["swappiness", "throttle"],
)
def test_what_can_not_change_while_it_runs(pouchd: Daemon, body: dict[str, Any]) -> None:
    """One limit that can't be set keeps all the others from being set."""
    kernel = _run(pouchd, "-m", "64m", "--pids-limit", "50")
    before, host = kernel.limits, pouchd.inspect("box")["HostConfig"]
    status, answer = _update(pouchd, "box", body)
    assert status in (400, 409, 501), answer
    assert answer["message"]
    assert (kernel.limits, pouchd.inspect("box")["HostConfig"]) == (before, host)


@pytest.mark.skipif(not V2, reason="kernels with cgroup v1 have all of these limits")
def test_a_limit_that_this_kernel_can_not_set(pouchd: Daemon) -> None:
    """Refused with the reason, and nothing else is set; --allow-degraded sets the rest, with a warning."""
    kernel = _run(pouchd, "-m", "64m", "--pids-limit", "50")
    before = kernel.limits
    done = pouchd.pouch("update", "--memory-swappiness", "10", "--pids-limit", "60", "box", check=False)
    assert done.returncode == 1
    assert "--memory-swappiness" in done.stderr.decode()
    assert kernel.limits == before
    done = pouchd.pouch("update", "--allow-degraded", "--memory-swappiness", "10", "--pids-limit", "60", "box")
    assert "WARNING" in done.stderr.decode()
    assert kernel.pids_limit == 60


def test_a_runtime_that_fails_half_way(own_pouchd: Daemon, tmp_path: Path) -> None:
    """The first limits were set when the runtime failed: they are as before again."""
    flag = tmp_path / "fail"
    wrapper = tmp_path / "runtime"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *" update "*) runc "$@" || exit 1\n'
        f'[ -e {flag} ] && rm {flag} && echo "level=error msg=\\"no such limit\\"" >&2 && exit 1; exit 0;;\n'
        'esac\nexec runc "$@"\n'
    )
    wrapper.chmod(0o755)
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.half]\ndriver = "runc"\ncommand = "{wrapper}"\n')
    own_pouchd.start()
    kernel = _run(own_pouchd, "--runtime", "half", "-m", "64m", "--pids-limit", "50")
    before = kernel.limits
    flag.touch()
    done = own_pouchd.pouch("update", "-m", "96m", "--pids-limit", "60", "box", check=False)
    assert done.returncode == 1
    assert "no such limit" in done.stderr.decode()
    assert kernel.limits == before
    own_pouchd.pouch("update", "-m", "96m", "--pids-limit", "60", "box")
    assert (kernel.memory_limit, kernel.pids_limit) == (96 * MIB, 60)


def test_a_daemon_that_is_killed_in_an_update(own_pouchd: Daemon, tmp_path: Path) -> None:
    """The kernel has the new limits, the record the old ones: the next daemon puts the record's in force."""
    wrapper, done = tmp_path / "runtime", tmp_path / "done"
    wrapper.write_text(
        f'#!/bin/sh\ncase "$*" in *" update "*) runc "$@"; [ -e {done} ] && exit; touch {done};\n'
        f'while [ -e {done} ]; do sleep 0.1; done; exit;;\nesac\nexec runc "$@"\n'
    )
    wrapper.chmod(0o755)
    own_pouchd.stop()
    own_pouchd.configure(f'[runtimes.slow]\ndriver = "runc"\ncommand = "{wrapper}"\n')
    own_pouchd.start()
    kernel = _run(own_pouchd, "--runtime", "slow", "-m", "64m", "--cpuset-cpus", "0")
    before = kernel.limits
    updating = threading.Thread(
        target=own_pouchd.pouch,
        args=("update", "-m", "96m", "--cpuset-cpus", "0-1", "box"),
        kwargs={"check": False},
    )
    updating.start()
    while not done.exists():
        assert updating.is_alive()
    assert kernel.memory_limit == 96 * MIB
    own_pouchd.kill()
    updating.join()
    own_pouchd.start()
    assert kernel.limits == before
    assert own_pouchd.inspect("box")["HostConfig"]["Memory"] == 64 * MIB
    done.unlink()  # the killed daemon's call of the runtime ends


def test_update_while_it_starts(pouchd: Daemon) -> None:
    """Whoever is first, the limits are in force in the end: the record and the kernel agree."""
    for attempt in range(8):
        name = f"box{attempt}"
        pouchd.pouch("create", "--name", name, "-m", "64m", "busybox", "sleep", "1000")
        starting = threading.Thread(target=pouchd.pouch, args=("start", name))
        starting.start()
        pouchd.pouch("update", "-m", "96m", name)
        starting.join()
        assert _kernel(pouchd, name).memory_limit == 96 * MIB
        pouchd.pouch("rm", "-f", name)


# enhancements

PLUGIN = '''
import json
from pathlib import Path
from pydantic import BaseModel
from pouch_hookspecs import Adjustment, Resources, hookimpl, option
from pouch_hookspecs.errors import InvalidArgument, Refused


class Watcher:
    """Writes down what it is told, and refuses what it does not like."""

    api = "0.1"
    order = {order}

    class Options(BaseModel):
        level: int = option(0, flag="--{name}-level", help="a level")

    def __init__(self, handler):
        self.told = handler.data_dir / "told"

    @hookimpl
    def isolation_validate(self, container, options):
        if options.level > 100:
            raise InvalidArgument("level " + str(options.level) + " is above 100")

    @hookimpl
    def isolation_adjust(self, container, options):
        return Adjustment(resources=Resources(pids_limit=77)) if options.level == 50 else None

    @hookimpl
    def isolation_update(self, container, old, new):
        with self.told.open("a") as file:
            memory = container.resources.memory_limit_bytes
            file.write(json.dumps([old.level, new.level, memory]) + "\\n")
        if new.level == 13:
            raise Refused("thirteen is refused")
'''


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon with two enhancements, `first` and `second`, that write down what they are told."""
    directory = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    site = next(directory.glob("lib/python*/site-packages"))
    (site / "base.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    for order, name in enumerate(("first", "second")):
        (site / f"pouch_{name}.py").write_text(textwrap.dedent(PLUGIN.format(order=order, name=name)))
        info = site / f"pouch_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pouch-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pouch.isolation]\n{name} = pouch_{name}:Watcher\n")
    daemon = Daemon(f"pt{secrets.token_hex(4)}", python=str(directory / "bin/python"))
    daemon.start()
    daemon.pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
    yield daemon
    daemon.destroy()


@pytest.fixture
def watching(watched: Daemon) -> Iterator[Daemon]:
    """The daemon with a running container `box` that both enhancements take part in, and nothing told yet."""
    for name in ("first", "second"):
        _told_path(watched, name).unlink(missing_ok=True)
    flags = ["--first-level", "1", "--second-level", "1", "-m", "64m"]
    watched.pouch("run", "-d", "--name", "box", *flags, "busybox", "sleep", "1000")
    yield watched
    watched.pouch("rm", "-f", "box", "plain", check=False)


def _told_path(daemon: Daemon, name: str) -> Path:
    return daemon.root_dir / f"plugins/isolation/{name}/told"


def _told(daemon: Daemon, name: str) -> list[list[int]]:
    path = _told_path(daemon, name)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_options_of_an_enhancement(watching: Daemon) -> None:
    """A flag that the plugin offers reaches the plugin alone that it is of, with old and new options."""
    watching.pouch("update", "--first-level", "2", "box")
    assert (_told(watching, "first"), _told(watching, "second")) == ([[1, 2, 64 * MIB]], [])
    assert watching.inspect("box")["Pouch"]["Enhancements"]["first"]["options"] == {"level": 2}


def test_enhancements_hear_of_limits(watching: Daemon) -> None:
    """New limits are told to all, in the view of the container."""
    watching.pouch("update", "-m", "96m", "box")
    assert (_told(watching, "first"), _told(watching, "second")) == ([[1, 1, 96 * MIB]], [[1, 1, 96 * MIB]])


def test_a_refusal_undoes_what_others_have_done(watching: Daemon) -> None:
    """The second refuses: both get the same call with the two swapped; nothing has changed."""
    kernel = _kernel(watching, "box")
    before, description = kernel.limits, watching.inspect("box")
    flags = ["--first-level", "2", "--second-level", "13", "-m", "96m"]
    done = watching.pouch("update", *flags, "box", check=False)
    assert "thirteen is refused" in done.stderr.decode()
    assert _told(watching, "first") == [[1, 2, 96 * MIB], [2, 1, 64 * MIB]]
    assert _told(watching, "second") == [[1, 13, 96 * MIB], [13, 1, 64 * MIB]]
    assert kernel.limits == before
    assert watching.inspect("box") == description


def test_a_runtime_that_refuses_undoes_enhancements(watching: Daemon) -> None:
    """The kernel's word comes last: enhancements are taken back."""
    throttle = {"BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}  # which no runtime changes while it runs
    body = {"Memory": 96 * MIB, **throttle, "HostConfig": {"Isolation": {"first": {"level": 2}}}}
    status, answer = _update(watching, "box", body)
    assert status == 501, answer
    assert _told(watching, "first") == [[1, 2, 96 * MIB], [2, 1, 64 * MIB]]
    assert watching.inspect("box")["HostConfig"]["Isolation"]["first"] == {"level": "1"}


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--first-level", "101"], "above 100"),
        (["--first-level", "many"], "--first-level"),
    ],
)
def test_wrong_options_of_an_enhancement(watching: Daemon, flags: list[str], words: str) -> None:
    """Refused with the same words as at create, before anything is told."""
    done = watching.pouch("update", *flags, "box", check=False)
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert _told(watching, "first") == []


def test_an_enhancement_can_not_join_later(watching: Daemon) -> None:
    """It had no say when the container was made."""
    watching.pouch("create", "--name", "plain", "busybox")
    done = watching.pouch("update", "--first-level", "2", "plain", check=False)
    assert done.returncode == 1
    assert "takes no part" in done.stderr.decode()


def test_options_of_a_stopped_container_count_at_its_start(watching: Daemon) -> None:
    """Nothing is told while it does not run; the next start has the new options."""
    watching.pouch("create", "--name", "plain", "--first-level", "1", "busybox", "sleep", "1000")
    watching.pouch("update", "--first-level", "50", "plain")
    assert _told(watching, "first") == []
    watching.pouch("start", "plain")
    assert _kernel(watching, "plain").pids_limit == 77


def test_a_limit_that_an_enhancement_owns(watching: Daemon) -> None:
    """It stays in force when other limits change, and can't be changed beside its owner, who is named."""
    watching.pouch("run", "-d", "--name", "plain", "-m", "64m", "--first-level", "50", "busybox", "sleep", "1000")
    kernel = _kernel(watching, "plain")
    watching.pouch("update", "-m", "96m", "plain")
    assert (kernel.memory_limit, kernel.pids_limit) == (96 * MIB, 77)
    done = watching.pouch("update", "--pids-limit", "10", "plain", check=False)
    assert "first" in done.stderr.decode()
    assert kernel.pids_limit == 77
