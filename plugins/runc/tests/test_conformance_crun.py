"""The conformance suite on crun, on this host whatever its cgroups are."""

from __future__ import annotations

from pouch_hookspecs import Size
from pouch_sdk.conformance import RuntimeConformance
from pouch_sdk.testing import Container


class TestCrun(RuntimeConformance):
    """crun, found by its entry point."""

    handler = "crun"

    def test_exec_terminal_has_its_size(self, running: Container) -> None:
        """crun 1.8 sets the size of an exec's terminal beside the first instructions of the process."""
        wait_for_it = ["sh", "-c", "until stty size 2> /dev/null; do :; done"]
        process = running.exec(wait_for_it, terminal=True, size=Size(width=100, height=30))
        process.wait()
        assert process.attachment.stdout == b"30 100\r\n"
