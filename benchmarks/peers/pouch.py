"""This engine: the pouch and pouchd that are installed beside the Python that runs the benchmarks."""

from __future__ import annotations

from benchmarks.lab import Lab, answers, command, run
from benchmarks.peers.peer import Peer


class Pouch(Peer):
    """Pouch as its packages configure it."""

    name = "pouch"

    def __init__(self, lab: Lab) -> None:
        """Start pouchd and load the image."""
        socket = lab.directory / "pouch.sock"
        self.environment = {"POUCH_HOST": f"unix://{socket}"}
        self._pouch = command("pouch")
        self.daemon = lab.daemon(
            "pouchd",
            [
                command("pouchd"),
                *("--root", str(lab.directory / "pouch"), "--run", str(lab.directory / "pouch-run")),
                *("--socket", str(socket), "--config", "/dev/null"),
            ],
            ready=answers(socket),
        )
        run([self._pouch, "load", "--input", str(lab.image_tar)], self.environment)

    def version(self) -> str:
        """Give the engine's version."""
        return run([self._pouch, "version", "--format", "{{.Server.Version}}"], self.environment).strip()

    def argv(self, operation: str) -> list[str] | None:
        """Give pouch's words, which are docker's."""
        words = {
            "run": ["run", "--rm", "--network", "none", "busybox", "true"],
            "ps": ["ps"],
            "version": ["version"],
        }.get(operation)
        return words and [self._pouch, *words]
