"""Ending a process ends all that came from it, and nothing else."""

from __future__ import annotations

import os
import select
import signal
import subprocess

from pouch_sdk.process_tree import end_tree


def _ended(pidfd: int) -> bool:
    return bool(select.select([pidfd], [], [], 10)[0])


def test_children_and_their_sessions_end() -> None:
    """A child, a grandchild and a child in a session of its own are all killed; a bystander is not."""
    script = "sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (sleep 1000 & echo $!; wait) & wait"
    bystander = subprocess.Popen(["sleep", "1000"])
    root = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    assert root.stdout is not None
    pidfds = [os.pidfd_open(int(root.stdout.readline())) for _ in range(3)]
    try:
        end_tree([root.pid])
        assert root.wait(10) == -signal.SIGKILL
        assert all(_ended(each) for each in pidfds)
        assert bystander.poll() is None
    finally:
        for each in pidfds:
            os.close(each)
        root.stdout.close()
        bystander.kill()
        bystander.wait()


def test_a_process_that_is_gone_is_no_error() -> None:
    """A number that nobody has any more is passed over."""
    done = subprocess.Popen(["true"])
    done.wait()
    end_tree([done.pid])
