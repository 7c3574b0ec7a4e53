"""Starting a created container as `runc start` and `crun start` do, without running the command for it.

Both have a fifo `exec.fifo` in the container's state directory, by which they tell `created` from `running`, with
opposite directions.

runc's init, when all is set up, opens it for writing, which waits for a reader, writes one byte, and executes the
container's command (libcontainer, `linuxContainer.exec`). `runc start` is that reader; it removes the fifo.

crun's init has it open for reading since before `create` returned, and waits for a byte; `crun start` removes the fifo
and writes that byte (libcrun, `libcrun_status_write_exec_fifo`).

The hooks `poststart` are the command's to run, so a container that has some is started by the command.
"""

from __future__ import annotations

import json
import os
import select
from pathlib import Path

from pouch_hookspecs.errors import DeadlineExceeded, RuntimeFailed
from pouch_linux.pidfd import pidfd_open


def has_poststart_hooks(bundle: Path) -> bool:
    """Whether the command has hooks to run after the start."""
    config = (bundle / "config.json").read_bytes()
    return b'"poststart"' in config and bool(json.loads(config).get("hooks", {}).get("poststart"))


def write_fifo(fifo: Path) -> None:
    """Let crun's waiting init go on.

    Raises:
        FileNotFoundError: there is no such fifo: the container was started.
        OSError: ENXIO: nobody waits at it.
    """
    writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fifo.unlink()
        os.write(writer, b"0")
    finally:
        os.close(writer)


def open_fifo(fifo: Path, init_pid: int, deadline: float) -> None:
    """Let runc's waiting init go on.

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
