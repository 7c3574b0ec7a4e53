"""Cgroups of version 2: one tree, Documentation/admin-guide/cgroup-v2.rst of the kernel."""

from __future__ import annotations

import os

from pouch_linux.cgroups.cgroup import Cgroup, CgroupUsage, make_directories, read, read_number, read_table
from pouch_linux.cgroups.layout import Layout

_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


class CgroupV2(Cgroup):
    """A directory in the unified hierarchy."""

    def __init__(self, path: str, layout: Layout) -> None:
        if layout.unified is None:
            raise ValueError("there is no version 2 hierarchy on this host")
        super().__init__(path, (layout.unified,))
        self._hierarchy = layout.unified
        self._directory = self.directories[0]

    def create(self) -> None:
        """See Cgroup. The parents hand down every controller that they have themselves."""
        parent = self._hierarchy
        for name in self.path.strip("/").split("/"):
            self._hand_down(parent)
            parent = f"{parent}/{name}"
            make_directories(parent)

    @staticmethod
    def _hand_down(directory: str) -> None:
        available = set((read(f"{directory}/cgroup.controllers") or "").split())
        handed_down = set((read(f"{directory}/cgroup.subtree_control") or "").split())
        for controller in _CONTROLLERS:
            if controller in available - handed_down:
                with open(f"{directory}/cgroup.subtree_control", "w", encoding="ascii") as file:
                    file.write(f"+{controller}")

    def kill(self) -> None:
        """See Cgroup; by cgroup.kill, which no fork escapes (Linux 5.14)."""
        try:
            # Not created if it is missing, as open("w") would try.
            descriptor = os.open(f"{self._directory}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            super().kill()
            return
        try:
            os.write(descriptor, b"1")
        finally:
            os.close(descriptor)

    def usage(self) -> CgroupUsage:
        """See Cgroup."""
        directory = self._directory
        cpu = read_table(f"{directory}/cpu.stat").get("usage_usec")
        io = self._io_bytes()
        return CgroupUsage(
            memory_usage_bytes=read_number(f"{directory}/memory.current"),
            memory_inactive_file_bytes=read_table(f"{directory}/memory.stat").get("inactive_file"),
            memory_limit_bytes=read_number(f"{directory}/memory.max"),
            oom_kills=read_table(f"{directory}/memory.events").get("oom_kill"),
            cpu_usage_ns=None if cpu is None else cpu * 1000,
            pids_current=read_number(f"{directory}/pids.current"),
            pids_limit=read_number(f"{directory}/pids.max"),
            io_read_bytes=None if io is None else io["rbytes"],
            io_write_bytes=None if io is None else io["wbytes"],
        )

    def _io_bytes(self) -> dict[str, int] | None:
        """Sums io.stat's lines "major:minor rbytes=… wbytes=… …" over the devices."""
        text = read(f"{self._directory}/io.stat")
        if text is None:
            return None
        sums = {"rbytes": 0, "wbytes": 0}
        for field in text.split():
            key, _, value = field.partition("=")
            if key in sums:
                sums[key] += int(value)
        return sums
