"""Ending a process with everything that came from it: proc_pid_stat(5)."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable

from pouch_linux.pidfd import ProcessIdentity

_ENDED_WITHIN = 5.0  # seconds in which killed processes end, unless the kernel is stuck in one


def end_tree(roots: Iterable[int]) -> None:
    """Kill these processes, their descendants and the members of their sessions, until none is left.

    A supervisor leaves its parent (double fork) and makes a session of its own: whoever came from it is found
    by descent while the parents live, and by the session afterwards. Processes that can't be killed now (stuck
    in the kernel) are given up after 5 seconds.
    """
    ours = set(roots)
    give_up_at = time.monotonic() + _ENDED_WITHIN
    while members := _living_members(ours):
        for member in members:
            member.signal(signal.SIGKILL)
        ours.update(member.pid for member in members)
        left = give_up_at - time.monotonic()
        if left <= 0 or not members[0].wait(left):
            return


def _living_members(ours: set[int]) -> list[ProcessIdentity]:
    """Processes in `ours`, below them or in a session of one of them; parents come first."""
    processes = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            processes[int(name)] = fields
    found = {pid for pid, (_, _, session, _) in processes.items() if pid in ours or session in ours}
    grown = True
    while grown:
        below = {pid for pid, (_, parent, _, _) in processes.items() if parent in found} - found
        found |= below
        grown = bool(below)
    living = [pid for pid in sorted(found) if processes[pid][0] not in "ZX" and pid != os.getpid()]
    return [ProcessIdentity(pid, processes[pid][3]) for pid in living]


def _stat(pid: int) -> tuple[str, int, int, int] | None:
    """State, parent, session and start time; None if the process has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19])
