"""Runtime commands that hang, lie, babble or die: a call costs its deadline, and force always cleans up.

For drivers that have the options of `OciCommandRuntime`: the command is replaced by a script around it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pouch_hookspecs import Resources, TaskStatus
from pouch_hookspecs.errors import DeadlineExceeded, PouchError, RuntimeFailed, Unavailable
from pouch_sdk.oci_options import Deadlines
from pouch_sdk.testing import Container, RuntimeHarness

from .suite import MakeHarness, Suite, needs

_DEADLINE = 0.7
_MARGIN = 8.0  # seconds that killing and cleaning up may take on a busy machine

_CALLS: dict[str, Callable[[Container], object]] = {
    "create": lambda container: container.create(),
    "start": lambda container: container.start(),
    "kill": lambda container: container.kill(9),
    "delete": lambda container: container.delete(),
    "state": lambda container: container.state(),
    "exec": lambda container: container.exec(["true"]),
    "pause": lambda container: container.hooks.runtime_pause(task=container.task),
    "update": lambda container: container.hooks.runtime_update(task=container.task, resources=Resources()),
}
_FAULTS = {
    # A hanging child and one in a session of its own: whoever kills only the command itself misses both.
    "hangs": "sleep {seconds} & setsid sleep {seconds} & wait",
    "babbles": "exec yes 'something is wrong' >&2",
}


class Faults(Suite):
    """Each call ends in its deadline, with an error that tells the verb."""

    @pytest.fixture
    def seconds(self) -> str:
        """How long the hanging processes of this test would sleep: a number by which they are known."""
        return f"10{os.getpid()}{time.monotonic_ns() % 10**6:06}"

    @pytest.fixture
    def with_fault(self, make_harness: MakeHarness, tmp_path: Path) -> Callable[[str, str], RuntimeHarness]:
        """Makes a harness whose runtime command does something else in one verb, while a file `fault` exists."""
        options = self.find_driver().Options.model_fields
        if not {"command", "deadlines"} <= set(options):
            pytest.skip("the driver has not the options `command` and `deadlines` of OciCommandRuntime")

        def make(verb: str, script: str) -> RuntimeHarness:
            real = make_harness().plugin.options.command
            path = shutil.which(real)
            assert path
            wrapper = tmp_path / "runtime"
            wrapper.write_text(
                f'#!/bin/sh\nreal={path}\nif [ -e {tmp_path}/fault ]; then for each; do case "$each" in\n'
                f'{verb})\n{script}\n;;\nesac; done; fi\nexec $real "$@"\n'
            )
            wrapper.chmod(0o755)
            (tmp_path / "fault").touch()
            deadlines = Deadlines(**dict.fromkeys(Deadlines.model_fields, 20.0) | {verb: _DEADLINE})
            return make_harness(command=str(wrapper), deadlines=deadlines.model_dump())

        return make

    @pytest.mark.parametrize("fault", _FAULTS)
    @pytest.mark.parametrize("verb", _CALLS)
    def test_verb_that_does_not_end(
        self,
        with_fault: Callable[[str, str], RuntimeHarness],
        tmp_path: Path,
        seconds: str,
        verb: str,
        fault: str,
    ) -> None:
        """The call raises DeadlineExceeded in time; delete by force converges, and no process is left."""
        harness = with_fault(verb, _FAULTS[fault].format(seconds=seconds))
        if verb in ("exec", "pause", "update"):
            needs(harness, verb)
        container = harness.container(["sleep", seconds])
        (tmp_path / "fault").unlink()
        if verb != "create":
            container.create()
        if verb not in ("create", "start"):
            container.start()
        if verb == "delete":
            container.kill(9)
            container.wait()
        (tmp_path / "fault").touch()
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match=verb):
            _CALLS[verb](container)
        assert time.monotonic() - begun < _DEADLINE + _MARGIN
        container.delete(force=True)
        assert container.state() is None
        cgroups = [each for each in harness.plugin.layout.hierarchies if Path(each + container.task.cgroup).exists()]
        assert cgroups == []
        assert _processes_of(container) == []

    def test_runtime_that_is_missing(self, make_harness: MakeHarness, with_fault: object) -> None:
        """It raises Unavailable that names the path, with a remedy; check() finds the same."""
        harness = make_harness(command="/no/such/runtime")
        with pytest.raises(Unavailable, match="/no/such/runtime") as raised:
            harness.container(["true"]).create()
        assert raised.value.hint
        assert any(each.level == "error" and each.remedy for each in harness.hooks.check())

    def test_runtime_that_prints_garbage(self, with_fault: Callable[[str, str], RuntimeHarness]) -> None:
        """A state that can't be understood raises RuntimeFailed; nobody is fooled about the end."""
        harness = with_fault("state", 'echo \'{"status": "running"\'; exit 0')
        container = harness.container(["sleep", _long_time()])
        container.create()
        container.start()
        with pytest.raises(RuntimeFailed, match="state"):
            container.state()
        container.kill(9)
        container.wait()
        state = container.state()
        assert state is not None
        assert (state.status, state.exit_code) == (TaskStatus.STOPPED, 137)

    def test_runtime_that_says_stopped_of_a_living_container(
        self, with_fault: Callable[[str, str], RuntimeHarness]
    ) -> None:
        """A container whose process lives is not taken for stopped."""
        script = '$real "$@" | sed \'s/"running"/"stopped"/\'; exit 0'
        harness = with_fault("state", script)
        container = harness.container(["sleep", _long_time()])
        container.create()
        container.start()
        with pytest.raises(RuntimeFailed, match="stopped"):
            container.state()

    def test_runtime_that_fails_after_its_work(
        self, with_fault: Callable[[str, str], RuntimeHarness], tmp_path: Path
    ) -> None:
        """A create that made the container and then failed leaves nothing; the same task can be created again."""
        harness = with_fault("create", '$real "$@"; echo broken >&2; exit 1')
        container = harness.container(["true"])
        with pytest.raises(RuntimeFailed, match="broken"):
            container.create()
        assert _processes_of(container) == []
        (tmp_path / "fault").unlink()
        assert container.run() == 0

    def test_runtime_that_is_killed(self, with_fault: Callable[[str, str], RuntimeHarness]) -> None:
        """A create whose runtime died by a signal raises RuntimeFailed and leaves nothing."""
        harness = with_fault("create", "kill -9 $$")
        container = harness.container(["true"])
        with pytest.raises(RuntimeFailed):
            container.create()
        container.delete(force=True)
        assert _processes_of(container) == []
        assert container.state() is None

    def test_delete_when_the_runtime_always_fails(self, with_fault: Callable[[str, str], RuntimeHarness]) -> None:
        """With force the container is removed even if the runtime's own delete only fails."""
        harness = with_fault("delete", "echo no >&2; exit 1")
        container = harness.container(["sleep", _long_time()])
        container.create()
        container.start()
        container.delete(force=True)
        assert container.state() is None
        assert _processes_of(container) == []

    def test_error_with_control_characters(self, with_fault: Callable[[str, str], RuntimeHarness]) -> None:
        """Whatever a runtime prints, the error's message is one printable line of bounded length."""
        harness = with_fault(
            "start", "printf 'a\\033[31mb\\0c\\377' >&2; head -c 9999 /dev/zero | tr '\\0' d >&2; exit 1"
        )
        container = harness.container(["true"])
        container.create()
        with pytest.raises(PouchError) as raised:
            container.start()
        assert raised.value.message.isprintable()
        assert len(raised.value.message) < 1000


def _long_time() -> str:
    """Seconds that no other process on this host sleeps, by which the container's own is found."""
    return str(10_000 + secrets.randbelow(10**8))


def _processes_of(container: Container) -> list[str]:
    """Command lines of living processes that belong to a container: by its id, or by its first argument."""
    known = {container.task.id.encode(), str(container.task.bundle).encode()}
    known |= {word for word in _arguments_of(container) if word.isdigit()}
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if known & set(words):
                found.append(b" ".join(words).decode(errors="replace"))
    return found


def _arguments_of(container: Container) -> list[bytes]:
    config = json.loads((container.task.bundle / "config.json").read_bytes())
    return [str(each).encode() for each in config["process"]["args"]]
