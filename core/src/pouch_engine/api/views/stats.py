"""Figures in docker's words (API 1.43, ContainerStats).

Docker's fields that single devices or processors would have are not there, since the contract counts them together:
`percpu_usage` is absent, and the entries of `blkio_stats` are sums over all devices, named 0:0.
"""

from __future__ import annotations

from typing import Any

from pouch_engine.containers.stats import Sample
from pouch_hookspecs import CpuStats, MemoryStats, PidsStats, Stats

from .times import ZERO, timestamp


def stats_document(sample: Sample, before: Sample | None, *, old_cgroups: bool) -> dict[str, Any]:
    """The document of one moment.

    Args:
        sample: of the moment.
        before: the one before in the same stream: clients compute their percentages from the difference.
        old_cgroups: the host's memory controller is of version 1: docker's clients know by the names in `stats`.
    """
    stats = sample.stats or Stats()
    runs = sample.stats is not None
    return {
        "read": timestamp(sample.taken_at) if runs else ZERO,
        "preread": timestamp(before.taken_at) if before and before.stats else ZERO,
        "name": f"/{sample.container.name}",
        "id": sample.container.id,
        "num_procs": 0,
        "pids_stats": _pids(stats.pids) if runs else {},
        "cpu_stats": _cpu(sample),
        "precpu_stats": _cpu(before) if before else _cpu_figures(CpuStats()),
        "memory_stats": _memory(stats.memory, sample, old_cgroups) if runs else {},
        "blkio_stats": {
            "io_service_bytes_recursive": _operations(stats.io.read_bytes, stats.io.write_bytes) if runs else None,
            "io_serviced_recursive": _operations(stats.io.read_operations, stats.io.write_operations) if runs else None,
            "io_queue_recursive": None,
            "io_service_time_recursive": None,
            "io_wait_time_recursive": None,
            "io_merged_recursive": None,
            "io_time_recursive": None,
            "sectors_recursive": None,
        },
        "storage_stats": {},
        "networks": {},
    }


def _pids(pids: PidsStats) -> dict[str, Any]:
    return {"current": pids.current} | ({} if pids.limit is None else {"limit": pids.limit})


def _cpu(sample: Sample) -> dict[str, Any]:
    if sample.stats is None:
        return _cpu_figures(CpuStats())
    host = {"system_cpu_usage": sample.host_cpu_ns, "online_cpus": sample.host_processors}
    return _cpu_figures(sample.stats.cpu) | host


def _cpu_figures(cpu: CpuStats) -> dict[str, Any]:
    return {
        "cpu_usage": {
            "total_usage": cpu.usage_ns,
            "usage_in_kernelmode": cpu.system_ns,
            "usage_in_usermode": cpu.user_ns,
        },
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_ns,
        },
    }


def _memory(memory: MemoryStats, sample: Sample, old_cgroups: bool) -> dict[str, Any]:
    """Clients show usage without inactive cache: `usage` minus `total_inactive_file` (v1) or `inactive_file` (v2)."""
    inactive = memory.usage_bytes - memory.working_set_bytes
    document: dict[str, Any] = {
        "usage": memory.usage_bytes,
        "limit": min(memory.limit_bytes or sample.host_memory_bytes, sample.host_memory_bytes),
        "stats": {"inactive_file": inactive, "swap": memory.swap_bytes}
        | ({"total_inactive_file": inactive} if old_cgroups else {}),
    }
    return document | ({} if memory.peak_bytes is None else {"max_usage": memory.peak_bytes})


def _operations(read: int, write: int) -> list[dict[str, Any]]:
    return [{"major": 0, "minor": 0, "op": op, "value": value} for op, value in (("read", read), ("write", write))]
