"""Debian's kernels for the machines: downloaded and unpacked beside the build, never installed."""

from __future__ import annotations

import fcntl
import lzma
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.pouchd import REPOSITORY

CACHE = REPOSITORY / "build/vm/kernels"


class NoKernel(Exception):
    """The kernel could not be had; the message says which step failed, and how."""


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package.

    Attributes:
        tree: What the package would have put into "/".
        release: As `uname -r` says it.
    """

    tree: Path
    release: str

    @property
    def image(self) -> Path:
        """The kernel itself."""
        return self.tree / f"boot/vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        """What is /lib/modules where the kernel runs."""
        return self.tree / "lib/modules"

    def closure(self, names: list[str]) -> dict[str, bytes]:
        """The named modules and all they need, in the order to load them: file name and content, not compressed.

        What is built into the kernel is left out. Raises NoKernel for a module that is in neither place.
        """
        directory = self.modules / self.release
        needs = {
            path: needed.split()
            for path, needed in (line.split(":") for line in (directory / "modules.dep").read_text().splitlines())
        }
        paths = {_module_name(path): path for path in needs}
        builtin = {_module_name(line) for line in (directory / "modules.builtin").read_text().splitlines()}
        ordered: dict[str, bytes] = {}
        for name in names:
            if name in builtin:
                continue
            if name not in paths:
                raise NoKernel(f"kernel {self.release} has no module {name}")
            # modules.dep lists all that is needed, the last to load first (modules.dep(5)).
            for path in (*reversed(needs[paths[name]]), paths[name]):
                file_name = f"{_module_name(path)}.ko"
                if file_name not in ordered:
                    content = (directory / path).read_bytes()
                    ordered[file_name] = lzma.decompress(content) if path.endswith(".xz") else content
        return ordered


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def kernel(package: str) -> Kernel:
    """The kernel of a Debian package, or of the one that it depends on; kept in build/vm/kernels once it is there.

    Raises:
        NoKernel: It can't be downloaded or unpacked.
    """
    with _lock():
        kept = CACHE / package
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as made:
                _unpack(package, Path(made))
                tree = Path(made, "tree")
                tree.rename(kept)
        (image,) = (kept / "boot").glob("vmlinuz-*")
        return Kernel(kept, image.name.removeprefix("vmlinuz-"))


@contextmanager
def _lock() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack(package: str, directory: Path) -> None:
    for command in ("depmod", "dpkg", "apt-get"):
        if shutil.which(command) is None:
            raise NoKernel(f"there is no {command}; `scripts/test vm` installs what machines need")
    try:
        _download(package, directory)
    except NoKernel:
        # The lists of packages may be missing, or older than what the mirror has.
        _run("apt-get", "update", "-q")
        _download(package, directory)
    (archive,) = directory.glob("*.deb")
    tree = directory / "tree"
    _run("dpkg", "-x", str(archive), str(tree))
    (modules,) = (tree / "lib/modules").iterdir()
    _run("depmod", "-b", str(tree), modules.name)


def _download(package: str, directory: Path) -> None:
    described = _run("apt-cache", "show", "--no-all-versions", package)
    depends = re.search(r"^Depends:.*?\b(linux-image-[\w.+-]+)", described, re.MULTILINE)
    _run("apt-get", "download", "-q", depends.group(1) if depends else package, cwd=directory)


def _run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise NoKernel(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout
