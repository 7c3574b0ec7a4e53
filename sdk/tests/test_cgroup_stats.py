"""Figures on a version 2 host, read from files of its form; real version 1 cgroups are in the conformance suite."""

from __future__ import annotations

from pathlib import Path

from pouch_hookspecs import Pressure
from pouch_linux.cgroups import Layout, Mode
from pouch_sdk.cgroup_stats import cgroup_stats

_FILES = {
    "memory.current": "1000\n",
    "memory.stat": "anon 500\ninactive_file 300\n",
    "memory.max": "max\n",
    "memory.peak": "2000\n",
    "memory.swap.current": "11\n",
    "memory.events": "oom 2\noom_kill 1\n",
    "cpu.stat": "usage_usec 7\nuser_usec 5\nsystem_usec 2\nnr_periods 4\nnr_throttled 3\nthrottled_usec 9\n",
    "pids.current": "6\n",
    "pids.max": "70\n",
    "io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2 rios=3 wios=4\n",
    "memory.pressure": "some avg10=0.00 avg300=0.00 total=12\nfull avg10=0.00 avg300=0.00 total=3\n",
}


def test_version_2(tmp_path: Path) -> None:
    """Each figure comes from its file, in the units of the contract."""
    (tmp_path / "pouch/x").mkdir(parents=True)
    for name, text in _FILES.items():
        (tmp_path / "pouch/x" / name).write_text(text)
    stats = cgroup_stats("/pouch/x", Layout(Mode.V2, {}, str(tmp_path)))
    memory, cpu, io = stats.memory, stats.cpu, stats.io
    assert (memory.usage_bytes, memory.working_set_bytes, memory.limit_bytes) == (1000, 700, None)
    assert (memory.peak_bytes, memory.swap_bytes, memory.oom_kills) == (2000, 11, 1)
    assert (cpu.usage_ns, cpu.user_ns, cpu.system_ns) == (7000, 5000, 2000)
    assert (cpu.periods, cpu.throttled_periods, cpu.throttled_ns) == (4, 3, 9000)
    assert (io.read_bytes, io.write_bytes, io.read_operations, io.write_operations) == (11, 22, 4, 6)
    assert (stats.pids.current, stats.pids.limit) == (6, 70)
    assert stats.pressure == {"memory": Pressure(some_us=12, full_us=3)}
