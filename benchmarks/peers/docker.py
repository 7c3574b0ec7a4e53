"""dockerd with the containerd that it starts itself, and the docker command of the PATH."""

from __future__ import annotations

from benchmarks.lab import Lab, answers, command, run
from benchmarks.peers.peer import Peer


class Docker(Peer):
    """Docker, without a bridge: two dockerds would remove each other's."""

    name = "docker"

    def __init__(self, lab: Lab) -> None:
        """Start dockerd and load the image."""
        root = lab.directory / "docker"
        socket = lab.directory / "docker.sock"
        configuration = lab.directory / "docker.json"
        configuration.write_text("{}")  # so that this machine's own is not read
        self._docker = [command("docker"), "--host", f"unix://{socket}"]
        self.daemon = lab.daemon(
            "dockerd",
            [
                command("dockerd"),
                *("--config-file", str(configuration), "--host", f"unix://{socket}"),
                *("--data-root", str(root), "--exec-root", str(lab.directory / "docker-run")),
                *("--pidfile", str(lab.directory / "docker.pid")),
                *("--bridge", "none", "--iptables=false", "--ip-forward=false"),
                *("--storage-driver", "overlay2", "--cgroup-parent", f"/{lab.directory.name}"),
            ],
            ready=answers(socket),
        )
        run([*self._docker, "load", "--input", str(lab.image_tar)])

    def version(self) -> str:
        """Give the client's and the server's version."""
        return run(
            [*self._docker, "version", "--format", "client {{.Client.Version}}, server {{.Server.Version}}"]
        ).strip()

    def argv(self, operation: str) -> list[str] | None:
        """Give docker's own words."""
        words = {
            "run": ["run", "--rm", "--network", "none", "busybox", "true"],
            "ps": ["ps"],
            "version": ["version"],
        }.get(operation)
        return words and [*self._docker, *words]
