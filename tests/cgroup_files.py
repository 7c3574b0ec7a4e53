"""What the kernel itself says of a container, whichever version of cgroups is mounted."""

from __future__ import annotations

from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
V2 = (CGROUPS / "cgroup.controllers").exists()


class Kernel:
    """The cgroup files of a container."""

    def __init__(self, pid: int) -> None:
        """Find them by a process in it."""
        self._paths: dict[str, str] = {}
        for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                self._paths[controller] = path

    def file(self, controller: str, name: str) -> Path:
        """A file of a controller, by its name in the version that is mounted."""
        if V2:
            return CGROUPS / self._paths[""].lstrip("/") / name
        return CGROUPS / controller / self._paths[controller].lstrip("/") / name

    def number(self, controller: str, name: str) -> int | None:
        """A file's number; None for no limit."""
        text = self.file(controller, name).read_text().strip()
        return None if text == "max" or int(text) > 1 << 60 or int(text) < 0 else int(text)

    def table(self, controller: str, name: str) -> dict[str, int]:
        """A file of lines with a name and a number."""
        pairs = (line.split() for line in self.file(controller, name).read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}

    @property
    def memory_limit(self) -> int | None:
        """In bytes."""
        return self.number("memory", "memory.max" if V2 else "memory.limit_in_bytes")

    @property
    def memory_and_swap_limit(self) -> int | None:
        """In bytes, both together."""
        if not V2:
            return self.number("memory", "memory.memsw.limit_in_bytes")
        memory, swap = self.memory_limit, self.number("memory", "memory.swap.max")
        return None if memory is None or swap is None else memory + swap

    @property
    def pids_limit(self) -> int | None:
        """Processes and threads."""
        return self.number("pids", "pids.max")

    @property
    def cpu_quota(self) -> tuple[int | None, int]:
        """Quota (None: unlimited) and period in microseconds."""
        if V2:
            quota, period = self.file("cpu", "cpu.max").read_text().split()
            return (None if quota == "max" else int(quota)), int(period)
        quota_us = int(self.file("cpu", "cpu.cfs_quota_us").read_text())
        return (None if quota_us < 0 else quota_us), int(self.file("cpu", "cpu.cfs_period_us").read_text())

    @property
    def cpuset(self) -> str:
        """The list of processors."""
        return self.file("cpuset", "cpuset.cpus").read_text().strip()

    @property
    def limits(self) -> tuple[object, ...]:
        """All of them, to see whether anything has changed."""
        return self.memory_limit, self.memory_and_swap_limit, self.pids_limit, self.cpu_quota, self.cpuset

    @property
    def memory_used(self) -> int:
        """In bytes, without cache that can be had back at once."""
        usage = self.number("memory", "memory.current" if V2 else "memory.usage_in_bytes")
        stat = self.table("memory", "memory.stat")
        assert usage is not None
        return usage - stat["inactive_file" if V2 else "total_inactive_file"]

    @property
    def cpu_used_ns(self) -> int:
        """Since the start."""
        if V2:
            return self.table("cpu", "cpu.stat")["usage_usec"] * 1000
        return int(self.file("cpuacct", "cpuacct.usage").read_text())
