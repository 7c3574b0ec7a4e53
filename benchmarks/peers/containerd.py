"""containerd and its `ctr`, which is nearer to the runtime than any engine, and has no network."""

from __future__ import annotations

from itertools import count

from benchmarks.lab import IMAGE, Lab, answers, command, run
from benchmarks.peers.peer import Peer

_CONFIGURATION = """\
version = 2
root = "{directory}/ctd"
state = "{directory}/ctd-run"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = "{directory}/ctd.sock"
"""


class Containerd(Peer):
    """containerd as `ctr run --rm` uses it: the runc shim, the overlayfs snapshotter."""

    name = "ctr"

    def __init__(self, lab: Lab) -> None:
        """Start containerd and import the image."""
        socket = lab.directory / "ctd.sock"
        configuration = lab.directory / "ctd.toml"
        configuration.write_text(_CONFIGURATION.format(directory=lab.directory))
        # The namespace names the containers' cgroup.
        self._ctr = [command("ctr"), "--address", str(socket), "--namespace", lab.directory.name]
        self.daemon = lab.daemon(
            "containerd", [command("containerd"), "--config", str(configuration)], ready=answers(socket)
        )
        self._numbers = count()
        run([*self._ctr, "images", "import", str(lab.image_tar)])

    def version(self) -> str:
        """Give containerd's version."""
        return run([command("containerd"), "--version"]).split()[2]

    def argv(self, operation: str) -> list[str] | None:
        """Only run: its listing and its version say less than an engine's."""
        if operation != "run":
            return None
        return [*self._ctr, "run", "--rm", f"docker.io/library/{IMAGE}", f"c{next(self._numbers)}", "true"]
