"""`RuncRuntime`: what is particular to runc on top of `OciCommandRuntime`."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pouch_hookspecs import RuntimeFeatures, Task, hookimpl
from pouch_sdk import OciCommandOptions, OciCommandRuntime

from .exec_fifo import has_poststart_hooks, open_fifo

# libcontainer/rootfs_linux.go, checkProcMount: runc refuses to bind over any other file of /proc. /proc/net/dev is on
# its list, too, but reached through the link /proc/net, where it is refused as well.
_PROC_BINDS = frozenset(
    {
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/slabinfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/sys/kernel/ns_last_pid",
        "/proc/uptime",
    }
)


class RuncOptions(OciCommandOptions):
    """What `[runtimes.runc]`, or another handler of this driver, may say in pouchd.toml."""

    command: str = Field("runc", description="runc, or a command like it (youki)", min_length=1)


class RuncRuntime(OciCommandRuntime):
    """Containers by namespaces and cgroups of this kernel."""

    api: ClassVar[str] = "0.1"
    Options: ClassVar[type[OciCommandOptions]] = RuncOptions
    minimum_version: ClassVar[tuple[int, ...]] = (1, 0)
    remedy: ClassVar[str] = "apt-get install runc"

    @hookimpl
    def runtime_start(self, task: Task) -> None:
        """See `RuntimeHooks`; runc itself is started by its fifo, which saves running the command."""
        try:
            is_runc = Path(self.command.path()).resolve().name == "runc"
            if is_runc and not has_poststart_hooks(task.bundle):
                init = int(task.io.pid_file.read_text())
                open_fifo(self.command.root / task.id / "exec.fifo", init, self.options.deadlines.start)
                return
        except (FileNotFoundError, ProcessLookupError):
            pass  # runc has words for it
        super().runtime_start(task)

    def find_features(self) -> RuntimeFeatures:
        """See `OciCommandRuntime`; runc has a list of files that may be bound over in /proc."""
        return super().find_features().model_copy(update={"proc_binds": _PROC_BINDS})
