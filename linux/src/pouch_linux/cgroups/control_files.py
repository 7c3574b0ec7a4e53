"""Which limits the kernel offers: the control files that a new cgroup has."""

from __future__ import annotations

import os
import tempfile

from pouch_linux.cgroups.layout import Layout, Mode, detect_layout

_V2_FILES = {
    "memory": ("memory.max", "memory.high", "memory.low", "memory.min"),
    "cpu": ("cpu.max", "cpu.weight"),
    "cpuset": ("cpuset.cpus", "cpuset.mems"),
    "pids": ("pids.max",),
    "io": ("io.max",),
}


def control_files(layout: Layout | None = None) -> frozenset[str]:
    """The names of the files by which limits are set here, such as `memory.memsw.limit_in_bytes` or `pids.max`.

    On version 1 an empty cgroup is made and removed in each hierarchy, since the root has not all files. On version
    2 that would show only what is enabled below the root already; the root says which controllers there are.
    `layout` defaults to this host's. Raises OSError.
    """
    layout = layout or detect_layout()
    if layout.mode is Mode.V2:
        assert layout.unified is not None
        return _unified_files(layout.unified)
    files: set[str] = set()
    for hierarchy in set(layout.controllers.values()):
        probe = tempfile.mkdtemp(prefix="probe-", dir=hierarchy)
        try:
            files.update(os.listdir(probe))
        finally:
            os.rmdir(probe)
    return frozenset(files)


def _unified_files(root: str) -> frozenset[str]:
    with open(f"{root}/cgroup.controllers", encoding="ascii") as file:
        controllers = file.read().split()
    files = {name for controller in controllers for name in _V2_FILES.get(controller, ())}
    if "memory" in controllers and os.path.exists("/proc/swaps"):
        files.add("memory.swap.max")
    if "io" in controllers:
        # Weights are the matter of two block layer policies, either of which may be missing.
        if os.path.exists(f"{root}/io.cost.qos"):
            files.add("io.weight")
        if os.path.isdir("/sys/module/bfq"):
            files.add("io.bfq.weight")
    if "hugetlb" in controllers:
        files.update(f"hugetlb.{size}.max" for size in huge_page_sizes())
    return frozenset(files)


def huge_page_sizes() -> tuple[str, ...]:
    """The sizes that this kernel has, as cgroups write them: `2MB`, `1GB`."""
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return ()
    return tuple(_size(int(name.removeprefix("hugepages-").removesuffix("kB"))) for name in sorted(names))


def _size(kib: int) -> str:
    if kib % 2**20 == 0:
        return f"{kib // 2**20}GB"
    return f"{kib // 2**10}MB" if kib % 2**10 == 0 else f"{kib}KB"
