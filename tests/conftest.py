"""Fixtures of the tests that cross packages."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cgroup_files import V2
from tests.pouchd import REPOSITORY, Daemon


def pytest_configure(config: pytest.Config) -> None:
    """`flag` says which flags of `run` a test is about, and where it can run; docs/run.md is made from it."""
    config.addinivalue_line("markers", "flag(*names, versions=(1, 2)): flags of run; cgroup versions (hybrid is 1)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What the other cgroup version is needed for is not run here."""
    here = 2 if V2 else 1
    for marker in item.iter_markers("flag"):
        if here not in marker.kwargs.get("versions", (1, 2)):
            pytest.skip(f"this host has cgroup version {here}")


@pytest.fixture(scope="session")
def busybox_tar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root file system of busybox, made from the host's busybox-static."""
    path = tmp_path_factory.mktemp("image") / "busybox.tar"
    subprocess.run([REPOSITORY / "scripts/make-busybox-image", path], check=True)
    return path


def _new_daemon(busybox_tar: Path, config: str = "") -> Daemon:
    daemon = Daemon(f"pt{secrets.token_hex(4)}", config)
    daemon.start()
    daemon.pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
    return daemon


@pytest.fixture(scope="session")
def shared_daemon(busybox_tar: Path) -> Iterator[Daemon]:
    """One daemon for all tests that leave it as they found it."""
    daemon = _new_daemon(busybox_tar)
    yield daemon
    daemon.destroy()


@pytest.fixture
def pouchd(shared_daemon: Daemon) -> Iterator[Daemon]:
    """The shared daemon, with no container before and none after, and nothing of any left behind."""
    yield shared_daemon
    _, containers = shared_daemon.api("GET", "/containers/json?all=1")
    for container in containers:
        shared_daemon.api("DELETE", f"/containers/{container['Id']}?force=1&v=1")
    assert shared_daemon.remains() == []


@pytest.fixture
def own_pouchd(busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon for a test that kills, restarts or configures it."""
    daemon = _new_daemon(busybox_tar)
    yield daemon
    daemon.destroy()
