"""Containers with a pseudo-terminal."""

from __future__ import annotations

from pouch_hookspecs import Size
from pouch_sdk.testing import RuntimeHarness

from .suite import Suite


class Terminal(Suite):
    """With a terminal all output is stdout."""

    def test_process_has_a_terminal(self, harness: RuntimeHarness) -> None:
        """All three streams are a terminal, which is the controlling one."""
        container = harness.container(
            ["sh", "-c", "test -t 0 && test -t 1 && test -t 2 && echo yes >/dev/tty"], terminal=True
        )
        container.create()
        with container.attach() as attachment:
            container.start()
            assert attachment.read_all() == b"yes\r\n"
        assert container.wait() == 0

    def test_error_output_is_stdout(self, harness: RuntimeHarness) -> None:
        """What goes to stderr arrives as stdout, by attach and in the log."""
        container = harness.container(["sh", "-c", "echo err >&2"], terminal=True)
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_all()
        container.wait()
        assert (attachment.stdout, attachment.stderr) == (b"err\r\n", b"")
        assert container.stderr == b""

    def test_size_before_start(self, harness: RuntimeHarness) -> None:
        """A size set between create and start is the terminal's from the beginning."""
        container = harness.container(["sh", "-c", "sleep 0.2; stty size"], terminal=True)
        container.create()
        harness.hooks.runtime_resize(task=container.task, process=None, size=Size(width=123, height=45))
        with container.attach() as attachment:
            container.start()
            assert attachment.read_all() == b"45 123\r\n"

    def test_resize_is_seen(self, harness: RuntimeHarness) -> None:
        """A later size is told to the process by SIGWINCH."""
        container = harness.container(
            ["sh", "-c", "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done"], terminal=True
        )
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"ready")
            harness.hooks.runtime_resize(task=container.task, process=None, size=Size(width=77, height=22))
            assert attachment.read_until(b"22 77")
        assert container.wait() == 0

    def test_control_c(self, harness: RuntimeHarness) -> None:
        """The byte 3 typed at the terminal is SIGINT to its foreground process."""
        container = harness.container(
            ["sh", "-c", "trap 'exit 7' INT; echo ready; while :; do sleep 0.1; done"], terminal=True, stdin=True
        )
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_until(b"ready")
            attachment.send(b"\x03")
            attachment.read_all()
        assert container.wait() == 7

    def test_typed_text_is_echoed_and_read(self, harness: RuntimeHarness) -> None:
        """What is typed comes back from the terminal and reaches the process."""
        container = harness.container(["sh", "-c", "read x; echo got $x"], terminal=True, stdin=True)
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.send(b"word\n")
            assert attachment.read_all() == b"word\r\ngot word\r\n"
