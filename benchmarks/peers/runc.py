"""runc alone on a bundle made beforehand: the floor below every engine that uses it."""

from __future__ import annotations

import json
from itertools import count

from benchmarks.lab import Lab, command, run
from benchmarks.peers.peer import Peer


class Runc(Peer):
    """`runc run` of a bundle with a plain directory as root file system: no mount, no removal, no log."""

    name = "runc"

    def __init__(self, lab: Lab) -> None:
        """Make the bundle."""
        bundle = lab.directory / "bundle"
        rootfs = bundle / "rootfs"
        rootfs.mkdir(parents=True)
        run(["tar", "--extract", "--file", str(lab.rootfs_tar), "--directory", str(rootfs)])
        self._runc = [command("runc"), "--root", str(lab.directory / "runc")]
        run([*self._runc, "spec", "--bundle", str(bundle)])
        configuration = bundle / "config.json"
        spec = json.loads(configuration.read_text())
        spec["process"] |= {"terminal": False, "args": ["true"]}
        spec["linux"]["cgroupsPath"] = f"/{lab.directory.name}/runc"
        configuration.write_text(json.dumps(spec))
        self._bundle = str(bundle)
        self._numbers = count()

    def version(self) -> str:
        """Give runc's version."""
        return run([command("runc"), "--version"]).split()[2]

    def argv(self, operation: str) -> list[str] | None:
        """Only run: the rest is an engine's."""
        if operation != "run":
            return None
        return [*self._runc, "run", "--bundle", self._bundle, f"r{next(self._numbers)}"]
