"""What a container may not see, and what a hostile root file system may not reach."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pouch_hookspecs.errors import PouchError
from pouch_sdk.testing import RuntimeHarness

from .suite import Suite, shares_kernel

_DESCRIPTORS_TRIED = range(3, 11)


class Confinement(Suite):
    """The attacks are those of CVE-2019-19921, 2021-30465, 2022-29162, 2024-21626, 2024-45310."""

    def test_only_three_descriptors_in_the_first_process(self, harness: RuntimeHarness) -> None:
        """Nothing but 0, 1 and 2 is open in the container's first process."""
        shares_kernel(harness)
        container = harness.container(["sleep", "100"])
        container.create()
        container.start()
        assert container.exec(["true"]).wait() == 0  # by now the process is what it shall be
        state = container.state()
        assert state is not None
        assert sorted(os.listdir(f"/proc/{state.init_pid}/fd")) == ["0", "1", "2"]

    def test_only_three_descriptors_in_an_exec(self, harness: RuntimeHarness) -> None:
        """Nothing but 0, 1 and 2 is open in a further process."""
        shares_kernel(harness)
        container = harness.container(["sleep", "100"])
        container.create()
        container.start()
        process = container.exec(["sh", "-c", "echo ready; read x"], stdin=True)
        process.attachment.read_until(b"ready")
        assert sorted(os.listdir(f"/proc/{process.supervised_pid}/fd")) == ["0", "1", "2"]

    @pytest.mark.parametrize("descriptor", _DESCRIPTORS_TRIED)
    def test_working_directory_on_a_leaked_descriptor(
        self, harness: RuntimeHarness, canary: Path, descriptor: int
    ) -> None:
        """A working directory of /proc/self/fd/N does not lead to the host (CVE-2024-21626)."""

        def set_cwd(config: dict[str, Any]) -> None:
            config["process"]["cwd"] = f"/proc/self/fd/{descriptor}"

        up = "../" * 12
        container = harness.container(["sh", "-c", f"test -e {up}{canary}/file"], change=set_cwd)
        try:
            code = container.run()
        except PouchError:
            return
        assert code != 0, "the host's file is visible"

    def test_no_inheritable_capabilities(self, harness: RuntimeHarness) -> None:
        """Inheritable and ambient capabilities are empty, in the first process and in an exec."""
        container = harness.container(["sh", "-c", "grep -E '^Cap(Inh|Amb)' /proc/self/status; read x"], stdin=True)
        container.create()
        none = {"CapInh:\t0000000000000000", "CapAmb:\t0000000000000000"}
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"CapAmb")
            attachment.read_until(b"\n", timeout=5)
            process = container.exec(["grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"])
            process.wait()
            assert set(process.attachment.stdout.decode().splitlines()) == none
        assert set(container.stdout.decode().splitlines()) == none

    def test_umask_is_not_the_daemons(self, harness: RuntimeHarness) -> None:
        """Whatever the umask of the caller, the container's and an exec's are 0022."""
        before = os.umask(0o077)
        try:
            container = harness.container(["sh", "-c", "umask; read x"], stdin=True)
            container.create()
            with container.attach() as attachment:
                container.start()
                attachment.read_until(b"0022\n")
                process = container.exec(["sh", "-c", "umask"])
                process.wait()
        finally:
            os.umask(before)
        assert process.attachment.stdout == b"0022\n"

    @pytest.fixture
    def canary(self, tmp_path: Path) -> Path:
        """A directory of the host with a file, that no container may see or change."""
        tmp_path.chmod(0o777)
        (tmp_path / "file").write_text("untouched")
        return tmp_path

    @pytest.fixture
    def own_root(self, busybox_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """A root file system that the test may spoil."""
        directory = tmp_path_factory.mktemp("root")
        root = directory / "root"
        shutil.copytree(busybox_root, root, symlinks=True)
        yield root
        shutil.rmtree(directory)

    @pytest.mark.parametrize("kind", ["relative", "absolute", "procfs"])
    @pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc", "tmp"])
    def test_hostile_root_file_system(
        self, harness: RuntimeHarness, own_root: Path, canary: Path, name: str, kind: str
    ) -> None:
        """A directory of the root that is a link out of it makes the create fail, or leads nowhere outside.

        The bundle mounts on every such directory, and on a file in /etc and in /tmp that does not exist yet.
        """
        shutil.rmtree(own_root / name)
        target = {
            "relative": "../" * 12 + str(canary).lstrip("/"),
            "absolute": str(canary),
            "procfs": f"/proc/1/root{canary}",
        }[kind]
        (own_root / name).symlink_to(target)

        def mount_files(config: dict[str, Any]) -> None:
            for place in ("/etc/hosts", "/tmp/file", "/tmp/new/deep"):
                config["mounts"].append(
                    {"destination": place, "type": "bind", "source": "/etc/hostname", "options": ["bind", "ro"]}
                )

        container = harness.container(["sh", "-c", "echo spoilt > /tmp/x; true"], root=own_root, change=mount_files)
        try:
            container.run()
        except PouchError:
            pass  # refusing it is fine
        finally:
            container.delete(force=True)
        assert [each.name for each in canary.iterdir()] == ["file"]
        assert (canary / "file").read_text() == "untouched"
