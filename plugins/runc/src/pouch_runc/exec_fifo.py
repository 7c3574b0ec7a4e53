"""Starting a created container as `runc start` does, without running runc for it.

runc's init, when all is set up, opens `exec.fifo` in the container's state directory for writing, which waits for a
reader, writes one byte, and executes the container's command (libcontainer, `linuxContainer.exec`). `runc start` is
that reader; it removes the fifo, by which runc tells `created` from `running`. It does nothing else.
"""

from __future__ import annotations

import os
import select
from pathlib import Path

from pouch_hookspecs.errors import DeadlineExceeded, RuntimeFailed
from pouch_linux.pidfd import pidfd_open


def open_fifo(fifo: Path, init_pid: int, deadline: float) -> None:
    """Let the waiting init go on.

    Args:
        fifo: `exec.fifo`.
        init_pid: of the container.
        deadline: in seconds.

    Raises:
        FileNotFoundError: there is no such fifo: the container was started, or this is not runc's way.
        ProcessLookupError: the init is gone.
        RuntimeFailed: it ended instead of starting the command.
        DeadlineExceeded: it did not answer.
    """
    init = pidfd_open(init_pid)  # before the fifo: afterwards it may run to its end at once
    try:
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            _read_byte(reader, init, deadline)
        finally:
            os.close(reader)
    finally:
        os.close(init)
    fifo.unlink(missing_ok=True)


def _read_byte(reader: int, init: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(init, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(deadline * 1000)}
    if reader in ready:
        os.read(reader, 1)
    elif init in ready:
        raise RuntimeFailed("the container's init ended before the start")
    else:
        raise DeadlineExceeded(f"the container's init did not answer within {deadline:g} seconds")
