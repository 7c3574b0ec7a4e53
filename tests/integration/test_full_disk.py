"""A full disk: a clear error that says so, nothing lost, and all goes on once there is space again."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pouchd import Daemon


@pytest.fixture
def small(busybox_tar: Path) -> Iterator[Daemon]:
    """A daemon whose root directory holds 48 MiB."""
    daemon = Daemon(f"pt{secrets.token_hex(4)}")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=711", "tmpfs", daemon.root_dir], check=True)
    try:
        daemon.configure("")
        daemon.start()
        daemon.pouch("import", "--change", 'CMD ["sh"]', busybox_tar, "busybox:latest")
        yield daemon
        for container in daemon.text("ps", "-aq").split():
            daemon.pouch("rm", "-f", "-v", container)
        daemon.stop()
    finally:
        subprocess.run(["umount", "-R", "-l", daemon.root_dir], check=True)
        daemon.configure("")
        daemon.destroy()


def _fill(daemon: Daemon) -> Path:
    filler = daemon.root_dir / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size:
            try:
                file.write(b"\0" * size)
            except OSError:
                size //= 2
    return filler


def test_operations_on_a_full_disk(small: Daemon) -> None:
    """Creating fails with words about space; what is there stays; after making space the same works."""
    small.pouch("create", "--name", "before", "busybox", "echo", "still here")
    filler = _fill(small)
    done = small.pouch("create", "--name", "after", "busybox", "true", check=False)
    error = done.stderr.decode()
    assert done.returncode == 1 or done.returncode == 125
    assert "space" in error or "full" in error, error
    assert "Traceback" not in error
    filler.unlink()
    assert small.text("start", "-a", "before") == "still here"
    small.pouch("create", "--name", "after", "busybox", "true")


def test_import_on_a_full_disk(small: Daemon, tmp_path: Path) -> None:
    """An image that does not fit leaves nothing behind but the words."""
    big = tmp_path / "big.tar"
    content = tmp_path / "content"
    content.mkdir()
    (content / "file").write_bytes(os.urandom(60 << 20))
    subprocess.run(["tar", "-C", content, "-cf", big, "."], check=True)
    free = os.statvfs(small.root_dir).f_bavail
    done = small.pouch("import", big, "big:latest", check=False)
    error = done.stderr.decode()
    assert done.returncode == 1
    assert "space" in error or "full" in error, error
    assert small.text("images", "--format", "{{.Repository}}") == "busybox"
    assert os.statvfs(small.root_dir).f_bavail > free - 256
    assert small.text("run", "--rm", "busybox", "echo", "fine") == "fine"
