"""The task contract (hookspecs/task-contract.md), point by point."""

from __future__ import annotations

import os
import re
import select
import stat
import time

from pouch_linux.inotify import Inotify, Mask
from pouch_sdk.testing import TIMEOUT, RuntimeHarness, log_text, read_log

from .suite import Suite

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)")
_LONG_LINE = 100_000
_WATCHED = Mask.CREATE | Mask.MOVED_TO | Mask.CLOSE_WRITE


class TaskFiles(Suite):
    """Log, attach socket, exit file, control fifo, pid file, supervisor."""

    def test_log_has_cri_format(self, harness: RuntimeHarness) -> None:
        """(1) Each line is time, stream, tag, text; the time has nanoseconds and a zone."""
        container = harness.container(["sh", "-c", "echo one; echo two >&2"])
        container.run()
        assert container.task.io.log_path is not None
        entries = read_log(container.task.io.log_path)
        assert sorted((each.stream, each.tag, each.text) for each in entries) == [
            ("stderr", "F", b"two"),
            ("stdout", "F", b"one"),
        ]
        assert all(_TIME.fullmatch(each.time) for each in entries)

    def test_log_marks_parts_of_long_lines(self, harness: RuntimeHarness) -> None:
        """(1) A long line is split into entries P, the last one is F; together they are the line."""
        container = harness.container(["sh", "-c", f"head -c {_LONG_LINE} /dev/zero | tr '\\0' x; echo; echo end"])
        container.run()
        assert container.task.io.log_path is not None
        tags = [each.tag for each in read_log(container.task.io.log_path)]
        assert tags[0] == "P"
        assert tags[-2:] == ["F", "F"]
        assert container.stdout == b"x" * _LONG_LINE + b"\nend\n"

    def test_log_keeps_a_last_line_without_newline(self, harness: RuntimeHarness) -> None:
        """(1) Output that ends without a newline is not lost, and none is added."""
        container = harness.container(["printf", "no newline"])
        container.run()
        assert container.stdout == b"no newline"

    def test_log_needs_nobody(self, harness: RuntimeHarness) -> None:
        """(1) Without any client and any call of ours the log gets everything from the first byte on."""
        container = harness.container(["seq", "1", "50000"])
        container.run()
        assert container.stdout == b"".join(b"%d\n" % n for n in range(1, 50001))

    def test_log_is_complete_before_the_exit_file(self, harness: RuntimeHarness) -> None:
        """(1) At the very moment when the exit file appears the log has the last byte."""
        for n in range(5):
            container = harness.container(["sh", "-c", f"seq 1 5000; echo last {n}"])
            container.run()
            assert container.stdout.endswith(b"last %d\n" % n)

    def test_no_log(self, harness: RuntimeHarness) -> None:
        """(1) With log_path None there is no log, and nothing else changes."""
        container = harness.container(["echo", "x"], log=False)
        container.create()
        with container.attach() as attachment:
            container.start()
            assert attachment.read_all() == b"x\n"
        assert container.wait() == 0

    def test_log_is_reopened(self, harness: RuntimeHarness) -> None:
        """(1, 4) After a rename and `2 0 0` on the control fifo further output goes to a new file at the path."""
        container = harness.container(["sh", "-c", "while read x; do echo $x; done"], stdin=True, stdin_once=True)
        log = container.task.io.log_path
        assert log is not None
        container.create()
        with container.attach() as attachment, Inotify() as inotify:
            container.start()
            attachment.send(b"before\n")
            attachment.read_until(b"before\n")
            rotated = log.rename(log.with_name("log.1"))
            inotify.add(log.parent, Mask.CREATE | Mask.MOVED_TO)
            container.task.io.control_fifo.write_bytes(b"2 0 0\n")
            ends_at = time.monotonic() + TIMEOUT
            while not log.exists():
                assert inotify.read(ends_at - time.monotonic()), "the log was not opened again"
            attachment.send(b"after\n")
            attachment.read_until(b"after\n")
            attachment.half_close()
        container.wait()
        assert (log_text(rotated), log_text(log)) == (b"before\n", b"after\n")

    def test_log_is_private(self, harness: RuntimeHarness) -> None:
        """(1) Nobody else may read the log, whatever the umask is."""
        container = harness.container(["true"])
        before = os.umask(0)
        try:
            container.run()
        finally:
            os.umask(before)
        assert container.task.io.log_path is not None
        assert stat.S_IMODE(container.task.io.log_path.stat().st_mode) & 0o077 == 0

    def test_attach_takes_connections_from_create_on(self, harness: RuntimeHarness) -> None:
        """(2) The socket is there when create has returned, and a client then misses nothing."""
        container = harness.container(["echo", "first byte"])
        container.create()
        with container.attach() as attachment:
            container.start()
            assert attachment.read_all() == b"first byte\n"

    def test_attach_ends_after_the_last_byte(self, harness: RuntimeHarness) -> None:
        """(2) The supervisor closes the connection when all output was sent."""
        container = harness.container(["seq", "1", "3000"])
        container.create()
        with container.attach() as attachment:
            container.start()
            assert attachment.read_all().endswith(b"\n3000\n")

    def test_attach_is_private(self, harness: RuntimeHarness) -> None:
        """(2) Nobody else can connect."""
        container = harness.container(["true"])
        container.create()
        mode = stat.S_IMODE((container.task.io.attach_dir / "attach").stat().st_mode)
        directory = stat.S_IMODE(container.task.io.attach_dir.stat().st_mode)
        assert mode & 0o077 == 0 or directory & 0o077 == 0

    def test_exit_file_is_renamed_into_place(self, harness: RuntimeHarness) -> None:
        """(3) The exit file appears complete, by a rename, under the container's id."""
        container = harness.container(["sh", "-c", "exit 5"])
        container.create()
        with Inotify() as inotify:
            inotify.add(container.task.io.exit_dir, _WATCHED)
            container.start()
            seen: list[Mask] = []
            ends_at = time.monotonic() + TIMEOUT
            while Mask.MOVED_TO not in seen and time.monotonic() < ends_at:
                events = inotify.read(ends_at - time.monotonic())
                seen += [each.mask for each in events if each.name == container.task.id]
        assert seen == [Mask.MOVED_TO]
        assert container.exit_file.read_text().strip() == "5"

    def test_pid_file(self, harness: RuntimeHarness) -> None:
        """(5) It holds `supervised_pid`, whose end is the container's end."""
        container = harness.container(["sleep", "100"])
        state = container.create()
        assert int(container.task.io.pid_file.read_text()) == state.supervised_pid
        assert state.supervised_pid is not None
        pidfd = os.pidfd_open(state.supervised_pid)
        try:
            container.start()
            container.kill(9)
            assert container.wait() == 137
            assert select.select([pidfd], [], [], TIMEOUT)[0], "the process of the pid file lives on"
        finally:
            os.close(pidfd)

    def test_supervisor_has_left_our_cgroup(self, harness: RuntimeHarness) -> None:
        """(6) No process that stays for the container is in our cgroups, or works in its root file system."""
        container = harness.container(["sleep", "100"])
        container.create()
        with open("/proc/self/cgroup") as file:
            ours = file.read()
        supervisors = _processes_with(container.task.id)
        for pid in supervisors:
            with open(f"/proc/{pid}/cgroup") as file:
                assert file.read() != ours
            directory = os.readlink(f"/proc/{pid}/cwd")
            assert not directory.startswith(str(container.task.rootfs))


def _processes_with(text: str) -> list[int]:
    """Processes that have the text in their command line."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if text.encode() in file.read():
                        found.append(int(name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found
