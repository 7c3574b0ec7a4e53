"""Standard input, output and error, through the attach socket and the log."""

from __future__ import annotations

import hashlib
import os

from pouch_sdk.testing import RuntimeHarness

from .suite import Suite

_FIVE_MB = 5_000_000


class Streams(Suite):
    """Without a terminal."""

    def test_output_and_error_are_apart(self, harness: RuntimeHarness) -> None:
        """stdout and stderr come apart, by attach and in the log."""
        container = harness.container(["sh", "-c", "echo out; echo err >&2"])
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.read_all()
        container.wait()
        assert (attachment.stdout, attachment.stderr) == (b"out\n", b"err\n")
        assert (container.stdout, container.stderr) == (b"out\n", b"err\n")

    def test_binary_output_unharmed(self, harness: RuntimeHarness) -> None:
        """Five megabytes of random bytes come out as they are, by attach and in the log."""
        container = harness.container(
            ["sh", "-c", f"head -c {_FIVE_MB} /dev/urandom > /tmp/b; sha256sum < /tmp/b >&2; cat /tmp/b; rm /tmp/b"]
        )
        container.create()
        with container.attach() as attachment:
            container.start()
            data = attachment.read_all()
        container.wait()
        assert len(data) == _FIVE_MB
        assert hashlib.sha256(data).hexdigest() == attachment.stderr.split()[0].decode()
        assert container.stdout == data

    def test_binary_input_unharmed(self, harness: RuntimeHarness) -> None:
        """Five megabytes of random bytes go in as they are, and end with the client's half-close."""
        data = os.urandom(_FIVE_MB)
        container = harness.container(["sha256sum"], stdin=True, stdin_once=True)
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.send(data)
            attachment.half_close()
            assert attachment.read_all().split()[0].decode() == hashlib.sha256(data).hexdigest()
        assert container.wait() == 0

    def test_output_after_half_close(self, harness: RuntimeHarness) -> None:
        """A client that has ended its sending side still gets all output."""
        container = harness.container(["sh", "-c", "cat; sleep 0.2; echo late"], stdin=True, stdin_once=True)
        container.create()
        with container.attach() as attachment:
            container.start()
            attachment.send(b"early\n")
            attachment.half_close()
            assert attachment.read_all() == b"early\nlate\n"

    def test_input_stays_open_for_the_next_client(self, harness: RuntimeHarness) -> None:
        """Without stdin_once, a client's half-close does not end the input: another can write."""
        container = harness.container(["sh", "-c", "read a; echo got $a; read b; echo got $b"], stdin=True)
        container.create()
        with container.attach() as first, container.attach() as second:
            container.start()
            first.send(b"one\n")
            first.half_close()
            second.read_until(b"got one\n")
            second.send(b"two\n")
            assert second.read_all() == b"got one\ngot two\n"
        assert container.wait() == 0

    def test_no_input(self, harness: RuntimeHarness) -> None:
        """Without stdin the process reads the end of file at once."""
        assert harness.container(["cat"]).run() == 0

    def test_two_clients_see_the_same(self, harness: RuntimeHarness) -> None:
        """Each attached client gets all the output since it came."""
        container = harness.container(["sh", "-c", "read a; read b; seq 1 2000"], stdin=True)
        container.create()
        with container.attach() as first, container.attach() as second:
            container.start()
            for client in (first, second):  # a connection may wait for a moment to be accepted
                client.send(b"here\n")
            assert first.read_all() == second.read_all() == b"".join(b"%d\n" % n for n in range(1, 2001))

    def test_client_that_comes_and_goes(self, harness: RuntimeHarness) -> None:
        """A client that disconnects does not harm the container or the next client."""
        container = harness.container(["sh", "-c", "read a; echo got $a"], stdin=True)
        container.create()
        container.start()
        for _ in range(20):
            container.attach().close()
        with container.attach() as attachment:
            attachment.send(b"x\n")
            assert attachment.read_all() == b"got x\n"
        assert container.wait() == 0
