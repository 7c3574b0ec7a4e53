"""`CrunRuntime`: what is particular to crun on top of `OciCommandRuntime`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from pouch_hookspecs import Resources, RuntimeFeatures, Task, hookimpl
from pouch_hookspecs.errors import RuntimeFailed
from pouch_linux import commands, mounts
from pouch_linux.cgroups import Cgroup, Layout, Mode, detect_layout, is_systemd_form, open_cgroup
from pouch_linux.namespaces import copy_mounts
from pouch_sdk import OciCommandOptions, OciCommandRuntime, RuntimeCommand
from pouch_sdk.runtime_command import find_command

from .exec_fifo import has_poststart_hooks, write_fifo

_BUILT_WITH = {"+SECCOMP": "seccomp", "+APPARMOR": "apparmor", "+SELINUX": "selinux"}
# A limit's name in version 2 → controller, file and "no limit" of version 1.
_VERSION_1 = {"cpu.max": ("cpu", "cpu.cfs_quota_us", "-1"), "pids.max": ("pids", "pids.max", "max")}
_IDMAPPED_SINCE = (1, 8)


class CrunOptions(OciCommandOptions):
    """What `[runtimes.crun]`, or another handler of this driver, may say in pouchd.toml."""

    command: str = Field("crun", description="crun, or a command like it", min_length=1)


class CrunCommand(RuntimeCommand):
    """crun, which refuses a hybrid host whose version 2 tree has controllers (libcrun, `libcrun_get_cgroup_mode`).

    There it runs in a mount namespace that has not this tree. It is a new one for each call: on a host whose mounts are
    private, one made earlier would lack the root file systems that were mounted since.
    """

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[tuple[str, ...]]:
        """See `RuntimeCommand`."""
        tree = _tree_in_the_way()
        if tree is None:
            yield ()
            return

        def hide() -> None:
            # An unmount spreads by the mount that it is on; all others stay as shared as they are.
            mounts.mount(None, os.path.dirname(tree), flags=mounts.MountFlag.PRIVATE)
            mounts.unmount(tree)

        nsenter = find_command("nsenter", hint="install it (Debian: apt-get install util-linux)")
        namespace = copy_mounts(hide)
        try:
            yield nsenter, f"--mount=/proc/{os.getpid()}/fd/{namespace}"
        finally:
            os.close(namespace)


def _tree_in_the_way() -> str | None:
    """The mount point of the version 2 tree of a hybrid host, if it has controllers."""
    layout = detect_layout()
    if layout.mode is not Mode.HYBRID or layout.unified is None:
        return None
    with open(f"{layout.unified}/cgroup.controllers", encoding="ascii") as file:
        return layout.unified if file.read().strip() else None


class CrunRuntime(OciCommandRuntime):
    """Containers by namespaces and cgroups of this kernel."""

    api: ClassVar[str] = "0.1"
    Options: ClassVar[type[OciCommandOptions]] = CrunOptions
    Command: ClassVar[type[RuntimeCommand]] = CrunCommand
    minimum_version: ClassVar[tuple[int, ...]] = (1, 0)
    remedy: ClassVar[str] = "apt-get install crun"

    @hookimpl
    def runtime_start(self, task: Task) -> None:
        """See `RuntimeHooks`; crun itself is started by its fifo, which saves running the command."""
        is_crun = Path(self.command.path()).resolve().name == "crun"
        if is_crun and not has_poststart_hooks(task.bundle):
            with contextlib.suppress(OSError):  # crun has words for it
                write_fifo(self.command.root / task.id / "exec.fifo")
                return
        super().runtime_start(task)

    def cgroup_of_running(self, task: Task) -> Cgroup:
        """See `OciCommandRuntime`; in a scope of systemd's crun makes another cgroup, and sets the limits there.

        Which crun(1) has under `run.oci.systemd.subgroup`: `container` by default, on version 2 only.
        """
        outer = super().cgroup_of_running(task)
        inner = open_cgroup(f"{outer.path}/container", self.layout)
        return inner if is_systemd_form(task.cgroup) and inner.exists() else outer

    def update_document(self, task: Task, resources: Resources) -> dict[str, Any]:
        """See `OciCommandRuntime`; crun 1.8 writes -1, for no limit, as a number that the kernel refuses."""
        document = super().update_document(task, resources)
        unlimited = {}
        if document["cpu"]["quota"] < 0:
            del document["cpu"]["quota"]
            unlimited["cpu.max"] = f"max {document['cpu']['period']}"
        if document["pids"]["limit"] < 0:
            del document["pids"]
            unlimited["pids.max"] = "max"
        if self.layout.mode is Mode.V2:
            return document | {"unified": unlimited}
        for name in unlimited:
            _lift(self.layout, self.cgroup(task).path, name)
        return document

    def find_features(self) -> RuntimeFeatures:
        """See `OciCommandRuntime`; before 1.10 crun does not tell, but `--version` lists what it was built with."""
        features = super().find_features()
        if not features.assumed:
            return features
        told = commands.run((self.command.path(), "--version"), deadline=self.options.deadlines.features)
        if told.returncode != 0:
            raise RuntimeFailed(f"{self.command.command} --version failed: {told.stderr.decode(errors='replace')}")
        built_with = set(told.stdout.decode(errors="replace").split())
        systemd = {"systemd"} if "+SYSTEMD" in built_with else set()
        version = tuple(int(part) for part in features.version.split("."))
        return features.model_copy(
            update={
                "cgroup_drivers": frozenset({"cgroupfs"} | systemd),
                "idmapped_mounts": version >= _IDMAPPED_SINCE,
                **{feature: word in built_with for word, feature in _BUILT_WITH.items()},
            }
        )


def _lift(layout: Layout, cgroup: str, limit: str) -> None:
    """Take a limit of version 1 away, by version 2's name of it; nothing to do where the controller is not there."""
    controller, name, value = _VERSION_1[limit]
    if controller in layout.controllers:
        Path(f"{layout.controllers[controller]}{cgroup}/{name}").write_text(value)
