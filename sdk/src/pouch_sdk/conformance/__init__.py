"""The conformance suite for runtime plugins: what the engine relies on, as tests.

    from pouch_sdk.conformance import RuntimeConformance

    class TestMine(RuntimeConformance):
        handler = "mine"            # the entry point in the group pouch.runtime; or: driver = MyRuntime
        options = {"command": "/usr/bin/mine"}

It needs root, busybox-static, and the extra `pouch-sdk[conformance]`.
"""

from __future__ import annotations

from .commands import Commands
from .confinement import Confinement
from .execs import Execs
from .faults import Faults
from .leaks import Leaks
from .lifecycle import Lifecycle
from .recovery import Recovery
from .resources import Limits
from .streams import Streams
from .suite import Suite
from .task_files import TaskFiles
from .terminal import Terminal

__all__ = ["RuntimeConformance", "Suite"]


class RuntimeConformance(
    Lifecycle,
    Commands,
    Streams,
    Terminal,
    Execs,
    TaskFiles,
    Confinement,
    Limits,
    Faults,
    Recovery,
    Leaks,
):
    """All groups. A subclass named `Test…` sets `handler` or `driver`, and `options` where it needs some."""
