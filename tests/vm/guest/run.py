"""Runs the tests of a job inside a machine, and tells the host each report as it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, BinaryIO

import pytest

DIRECTORY = Path("/run/pouch-vm")  # what the host has given; only machines have it
TESTS_NAME = "tests.json"
PORT_NAME = "pouch.reports"


class Reporter:
    """Sends reports to the host: one JSON document a line."""

    def __init__(self, port: BinaryIO) -> None:
        self._port = port
        self._config: pytest.Config | None = None

    def say(self, kind: str, **content: Any) -> None:
        """Send one message."""
        self._port.write(json.dumps({"kind": kind, **content}).encode() + b"\n")
        self._port.flush()

    def pytest_configure(self, config: pytest.Config) -> None:
        """Reports are made into JSON by a hook, which a plugin may extend."""
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test has ended."""
        assert self._config is not None
        content = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self.say("report", report=content)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A module could not be imported, or has no such test."""
        if report.failed:
            self.say("uncollected", reason=str(report.longrepr))


def port() -> Path:
    """The device that the host listens to; without udev there are no names in /dev/virtio-ports."""
    for name in Path("/sys/class/virtio-ports").glob("*/name"):
        if name.read_text().strip() == PORT_NAME:
            return Path("/dev", name.parent.name)
    raise FileNotFoundError(f"no virtio port is named {PORT_NAME}")


def main() -> None:
    """Run what the job lists."""
    with port().open("wb") as stream:
        reporter = Reporter(stream)
        reporter.say("ready")
        status = pytest.main(json.loads((DIRECTORY / TESTS_NAME).read_text()), plugins=[reporter])
        reporter.say("finished", status=int(status))


if __name__ == "__main__":
    main()
