"""Unpacking a layer of an image, whose tar archive is hostile, in a child process confined to the target
directory.

The format is the layer of the OCI image specification (layer.md) with its whiteouts; unpack_child does the
work.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pouch_linux._libc import PathLike

_BOOTSTRAP = "import sys; sys.path.append(sys.argv[1]); from pouch_linux import unpack_child; unpack_child.main()"
_PACKAGES = str(Path(__file__).resolve().parent.parent)
_OUTPUT_LIMIT = 1 << 16
_LOOK_EVERY = 5.0  # seconds between two looks at the bytes read


@dataclass(frozen=True, slots=True)
class Limits:
    """What one layer may contain: `entries`, and `bytes` as the sum of all file sizes, holes included.

    Fixed limits are 4095 bytes for a path and, in libarchive, 1 MiB for an extended header.
    """

    entries: int = 1_000_000
    bytes: int = 64 << 30


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What was unpacked: `entries` (whiteouts too) and `bytes` of file content."""

    entries: int
    bytes: int


class UnpackError(Exception):
    """A layer could not be unpacked, or was refused; `entry` is the path in the archive at fault, where one
    is.
    """

    def __init__(self, message: str, entry: str | None = None) -> None:
        super().__init__(f"{entry!r}: {message}" if entry is not None else message)
        self.message = message
        self.entry = entry


def unpack_layer(
    tar_fd: int,
    target: PathLike,
    *,
    lower: Sequence[PathLike] = (),
    work: PathLike | None = None,
    limits: Limits | None = None,
    deadline: float = 60.0,
) -> Unpacked:
    """Unpacks the plain tar stream on the descriptor `tar_fd` into the directory `target`, reading to its
    end.

    With `lower`, the directories of the layers below from the top down, `target` becomes the upper
    directory of an overlay of them, with `work` as its work directory (empty, on the same file system):
    whiteouts take overlayfs's form, and directories that the archive does not list come up from below as
    they are. Without `lower`, the archive is applied to what `target` contains already, and a whiteout
    removes it.

    Owners are numeric. Extended attributes are kept if they are user.*, security.capability or POSIX ACLs;
    the others (trusted.*, such as overlayfs's own) are the host's and never set by an image. `deadline`:
    seconds without an entry or byte after which the child is killed; there is none in total.

    Raises UnpackError; then `target` holds a part of the layer, to be thrown away. The caller closes
    `tar_fd`, which ends a writer at its other end that is still busy. Nothing outside `target` and `work`
    is changed, whatever the archive says.
    """
    if lower and work is None:
        raise ValueError("an overlay of lower directories needs a work directory")
    order = {
        "target": os.path.abspath(os.fsdecode(target)),
        "lower": [os.path.abspath(os.fsdecode(path)) for path in lower],
        "work": None if work is None else os.path.abspath(os.fsdecode(work)),
        "limits": asdict(limits or Limits()),
    }
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, _PACKAGES, json.dumps(order)],
        stdin=tar_fd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"LC_ALL": "C.UTF-8"},
        start_new_session=True,
        bufsize=0,
    )
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        said, complaint = _follow(child, deadline)
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        child.stdout.close()
        child.stderr.close()
    return _result(child.returncode, said, complaint)


def _follow(child: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bytes]:
    """Reads what the child says until it ends. Raises UnpackError if it stands still."""
    assert child.stdout is not None
    assert child.stderr is not None
    output = {child.stdout.fileno(): bytearray(), child.stderr.fileno(): bytearray()}
    poll = select.poll()
    for descriptor in output:
        poll.register(descriptor, select.POLLIN)
    seen, moved_at, open_pipes = -1, time.monotonic(), 2
    while open_pipes:
        events = poll.poll(min(deadline, _LOOK_EVERY) * 1000)
        for descriptor, _ in events:
            chunk = os.read(descriptor, _OUTPUT_LIMIT)
            # Empty lines say that the child is at work; the end is what counts.
            output[descriptor] = (output[descriptor] + chunk)[-_OUTPUT_LIMIT:]
            if not chunk:
                poll.unregister(descriptor)
                open_pipes -= 1
        read = _bytes_read(child.pid)
        if events or read != seen:
            seen, moved_at = read, time.monotonic()
        elif time.monotonic() - moved_at >= deadline:
            raise UnpackError(f"no entry and no byte was unpacked for {deadline:g} seconds")
    child.wait()
    said, complaint = output.values()
    return bytes(said), bytes(complaint)


def _bytes_read(pid: int) -> int:
    """By proc_pid_io(5); it moves while a large file is unpacked, too."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            return int(file.readline().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _result(returncode: int, said: bytes, complaint: bytes) -> Unpacked:
    try:
        result = json.loads(said)
    except ValueError:
        last = complaint.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        raise UnpackError(f"the unpacking process ended with {returncode}: {last[0]}") from None
    if returncode or "error" in result:
        raise UnpackError(result["error"], result.get("entry"))
    return Unpacked(result["entries"], result["bytes"])
