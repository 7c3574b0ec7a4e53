"""User namespaces on a machine with cgroup v2 only; apart, for its own `pouchd`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.vm.borrowed import borrow
from tests.vm.configuration import configuration

MACHINE = {"cgroup": "v2", "disks": ["ext4:noatime"]}
pytestmark = pytest.mark.vm(**MACHINE)
globals().update(borrow("tests.integration.test_spec_userns"))


@pytest.fixture(scope="module", autouse=True)
def _daemons_on_a_disk() -> Iterator[None]:
    """The machine's /var/tmp is a tmpfs, which kernels before 6.3 can't mount with mapped owners."""
    (disk,) = configuration(MACHINE).disks
    subprocess.run(["mount", "--bind", disk.place, "/var/tmp"], check=True)
    yield
    subprocess.run(["umount", "/var/tmp"], check=True)
