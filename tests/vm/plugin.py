"""pytest's part: tests marked with `vm` run in a machine, and are reported as if they had run here."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from tests.pouchd import REPOSITORY
from tests.vm.configuration import Configuration, WrongConfiguration, configuration
from tests.vm.guest.run import DIRECTORY, TESTS_NAME
from tests.vm.machine import Machine, MachineLost

_RUNNER = "tests.vm.guest.run"
# An emulated processor is ten to twenty times slower than a real one.
BOOT_SECONDS = 120.0
TEST_SECONDS = 300.0
RUN_SECONDS = 2700.0
MARKER = (
    "vm(cgroup, init, disks, kernel): run in a virtual machine with this cgroup version (v2, v1, hybrid), this init "
    "(none, systemd), these disks (as ext4:prjquota, xfs:pquota), the kernel of this Debian package"
)


def pytest_configure(config: pytest.Config) -> None:
    """Outside of machines, send marked tests into one; inside, they are tests like any other."""
    config.addinivalue_line("markers", MARKER)
    if not DIRECTORY.exists():
        config.pluginmanager.register(Machines(config))


@pytest.fixture
def disks(request: pytest.FixtureRequest) -> dict[str, Path]:
    """Where the disks of the test's marker are mounted, by the marker's names of them."""
    wanted = _configuration(request.node)
    assert wanted is not None, "only tests marked with vm have disks"
    return {disk.name: disk.place for disk in wanted.disks}


def _configuration(item: pytest.Item) -> Configuration | None:
    marker = item.get_closest_marker("vm")
    if marker is None:
        return None
    if marker.args:
        raise pytest.UsageError(f"{item.nodeid}: vm takes keyword arguments only")
    try:
        return configuration(marker.kwargs)
    except WrongConfiguration as error:
        raise pytest.UsageError(f"{item.nodeid}: vm: {error}") from error


class Machines:
    """One machine for each configuration, which reports when its tests' turn has come."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._items: defaultdict[Configuration, list[pytest.Item]] = defaultdict(list)
        self._runs: dict[Configuration, Run] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Tests of a configuration stand together, behind those that run here; else the order stays."""
        places: dict[Configuration | None, int] = {None: -1}
        for item in items:
            places.setdefault(_configuration(item), len(places))
        items.sort(key=lambda item: places[_configuration(item)])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Now it is known which tests will run."""
        for item in session.items:
            wanted = _configuration(item)
            if wanted is not None:
                self._items[wanted].append(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Report what the machine reports of the test."""
        wanted = _configuration(item)
        if wanted is None:
            return None
        self._start(wanted)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._runs[wanted].reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        if nextitem is None or _configuration(nextitem) != wanted:
            self._runs.pop(wanted).close()
        return True

    def _start(self, wanted: Configuration) -> None:
        """Start its machine and, as a boot keeps one processor busy only, the next one; none twice."""
        configurations = list(self._items)
        place = configurations.index(wanted)
        for near in configurations[place : place + 2]:
            if near not in self._runs:
                self._runs[near] = Run(self._config, near, self._items[near])
                self._runs[near].start()

    def pytest_sessionfinish(self) -> None:
        """Interrupted, too, a session leaves no machine behind."""
        while self._runs:
            self._runs.popitem()[1].close()


class Run:
    """The tests of one configuration in their machine."""

    def __init__(self, config: pytest.Config, wanted: Configuration, items: list[pytest.Item]) -> None:
        self._config = config
        self._reports: defaultdict[str, list[pytest.TestReport]] = defaultdict(list)
        self._uncollected = ""
        self._lost: MachineLost | None = None
        self._booted = False
        self._until = float("inf")
        arguments = [*_options(config), *(item.nodeid for item in items)]
        self._machine = Machine(
            wanted,
            _command(config.rootpath),
            files={TESTS_NAME: json.dumps(arguments).encode()},
            visible=[config.rootpath, Path(sys.prefix), Path(sys.base_prefix)],
        )

    def start(self) -> None:
        """Start the machine; that it could not be started is told by its tests."""
        try:
            self._machine.start()
        except MachineLost as lost:
            self._lost = lost

    def close(self) -> None:
        """End the machine."""
        self._machine.close()

    def reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """What the machine reports of a test, up to its tear-down; a failure where it does not."""
        when = None
        while when != "teardown":
            report = self._next(item.nodeid)
            if report is None:
                yield self._failure(item, "teardown" if when == "call" else "call")
                yield pytest.TestReport(item.nodeid, item.location, {}, "passed", None, "teardown")
                return
            when = report.when
            yield report

    def _next(self, nodeid: str) -> pytest.TestReport | None:
        """The next report of a test, or None if there will be no more."""
        while not self._reports[nodeid]:
            if self._lost is not None:
                return None
            try:
                self._receive()
            except MachineLost as lost:
                self._lost = lost
        return self._reports[nodeid].pop(0)

    def _receive(self) -> None:
        """Take in one message."""
        if not self._booted:
            self._machine.receive(BOOT_SECONDS)
            self._booted = True
            self._until = time.monotonic() + RUN_SECONDS
        seconds = min(TEST_SECONDS, self._until - time.monotonic())
        message = self._machine.receive(seconds)
        match message["kind"]:
            case "report":
                data = message["report"]
                report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
                if isinstance(report.longrepr, list):  # a skip's place and reason; JSON has no tuples
                    report.longrepr = tuple(report.longrepr)
                self._reports[report.nodeid].append(report)
            case "uncollected":
                self._uncollected += f"\nNot collected there:\n{message['reason']}"
            case "finished":
                raise MachineLost(f"pytest in the machine ended with exit code {message['status']}, without this test")

    def _failure(self, item: pytest.Item, when: Literal["call", "teardown"]) -> pytest.TestReport:
        reason = f"{self._machine.configuration}: {self._lost}{self._uncollected}"
        console = ("The machine's console", self._machine.console())
        return pytest.TestReport(item.nodeid, item.location, {}, "failed", reason, when, sections=[console])


def _options(config: pytest.Config) -> list[str]:
    """Of the options here, those that decide how a test runs and how its failure is told."""
    options = ["-q", "--color=no", "-p", "tests.vm.plugin", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    options += [f"--rootdir={config.rootpath}", f"--tb={config.option.tbstyle}", *["-l"] * config.option.showlocals]
    options += [f"--maxfail={config.option.maxfail or 0}"]
    if config.inipath is not None:
        options += ["-c", str(config.inipath)]
    if config.pluginmanager.has_plugin("randomly"):
        options += ["--randomly-dont-reorganize", f"--randomly-seed={config.option.randomly_seed}"]
    else:
        options += ["-p", "no:randomly"]
    return options


def _command(directory: Path) -> str:
    """The script that runs the tests in the machine, as they would run here."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {**kept, "HOME": "/root", "PYTHONPATH": str(REPOSITORY)}
    words = [f"{name}={value}" for name, value in environment.items()]
    return f"cd {shlex.quote(str(directory))} && exec env {shlex.join([*words, sys.executable, '-m', _RUNNER])}\n"
