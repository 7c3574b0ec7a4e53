"""Cgroups of version 1, also with a version 2 tree beside them (hybrid)."""

from __future__ import annotations

from pouch_linux.cgroups.cgroup import Cgroup, CgroupUsage, make_directories, read, read_number, read_table
from pouch_linux.cgroups.layout import Layout

_UNLIMITED_FROM = 1 << 62  # the kernel says "no memory limit" by the highest multiple of the page size
_CPUSET_FILES = ("cpuset.cpus", "cpuset.mems")


class CgroupV1(Cgroup):
    """One directory in each version 1 hierarchy, and in the version 2 tree if there is one."""

    def __init__(self, path: str, layout: Layout) -> None:
        super().__init__(path, layout.hierarchies)
        self._controllers = layout.controllers

    def create(self) -> None:
        """See Cgroup."""
        for directory in self.directories:
            make_directories(directory)
        if cpuset := self._controllers.get("cpuset"):
            self._inherit_cpuset(cpuset)

    def _inherit_cpuset(self, hierarchy: str) -> None:
        """A new cpuset is empty, and no process can enter it (ENOSPC) until it has cpus and memory nodes."""
        parent = hierarchy
        for name in self.path.strip("/").split("/"):
            child = f"{parent}/{name}"
            for file in _CPUSET_FILES:
                if not (read(f"{child}/{file}") or "").strip():
                    with open(f"{child}/{file}", "w", encoding="ascii") as target:
                        target.write(read(f"{parent}/{file}") or "")
            parent = child

    def usage(self) -> CgroupUsage:
        """See Cgroup."""
        limit = read_number(self._file("memory", "memory.limit_in_bytes"))
        memory = read_table(self._file("memory", "memory.stat"))
        io = self._io_bytes()
        return CgroupUsage(
            memory_usage_bytes=read_number(self._file("memory", "memory.usage_in_bytes")),
            memory_inactive_file_bytes=memory.get("total_inactive_file"),
            memory_limit_bytes=limit if limit is not None and limit < _UNLIMITED_FROM else None,
            oom_kills=read_table(self._file("memory", "memory.oom_control")).get("oom_kill"),
            cpu_usage_ns=read_number(self._file("cpuacct", "cpuacct.usage")),
            pids_current=read_number(self._file("pids", "pids.current")),
            pids_limit=read_number(self._file("pids", "pids.max")),
            io_read_bytes=None if io is None else io["Read"],
            io_write_bytes=None if io is None else io["Write"],
        )

    def _file(self, controller: str, name: str) -> str:
        # Where the controller is missing, any directory will do: it has no file of that name.
        hierarchy = self._controllers.get(controller)
        directory = self.directories[0] if hierarchy is None else hierarchy + self.path
        return f"{directory}/{name}"

    def _io_bytes(self) -> dict[str, int] | None:
        """Sums blkio's lines "major:minor Operation bytes" over the devices."""
        text = read(self._file("blkio", "blkio.throttle.io_service_bytes_recursive"))
        if text is None:
            return None
        sums = {"Read": 0, "Write": 0}
        for line in text.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in sums:
                sums[fields[1]] += int(fields[2])
        return sums
