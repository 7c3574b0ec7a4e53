"""Archives that skopeo, umoci and tar made of a real root file system."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("skopeo", "umoci", "busybox"))), reason="needs skopeo, umoci and busybox"
)


def _run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def forms() -> Iterator[Path]:
    """A directory with one image of two layers: layout.tar, layout-dir.tar, saved.tar, saved.tar.gz."""
    made = Path(tempfile.mkdtemp(prefix="pouch-forms-", dir="/run"))
    try:
        _build(made)
        yield made
    finally:
        shutil.rmtree(made)


def _build(made: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None
    _run("umoci", "init", "--layout", "oci", cwd=made)
    _run("umoci", "new", "--image", "oci:1", cwd=made)
    _run("umoci", "unpack", "--image", "oci:1", "bundle", cwd=made)
    root = made / "bundle" / "rootfs"
    (root / "bin").mkdir()
    shutil.copy(busybox, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "etc").mkdir()
    (root / "etc/gone").write_text("x")
    _run("umoci", "repack", "--image", "oci:1", "bundle", cwd=made)
    shutil.rmtree(made / "bundle")
    _run("umoci", "unpack", "--image", "oci:1", "bundle", cwd=made)
    (root / "etc/gone").unlink()
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    _run("umoci", "repack", "--image", "oci:1", "bundle", cwd=made)
    _run("umoci", "config", "--image", "oci:1", "--config.cmd", "sh", "--config.env", "PATH=/bin", cwd=made)
    _run("tar", "cf", "layout-dir.tar", "-C", "oci", ".", cwd=made)
    copy = ("skopeo", "copy", "--insecure-policy", "oci:oci:1")
    _run(*copy, "oci-archive:layout.tar:team/app:1", cwd=made)
    _run(*copy, "docker-archive:saved.tar:team/app:1", cwd=made)
    _run("gzip", "-k", "saved.tar", cwd=made)


@pytest.mark.parametrize("form", ["layout-dir.tar", "layout.tar", "saved.tar", "saved.tar.gz"])
def test_a_tools_archive_is_loaded_and_its_root_is_right(world: Any, forms: Path, form: str) -> None:
    """Both layers, the whiteout, the sticky bit, the link; the command works in it."""
    with (forms / form).open("rb") as archive:
        (added,) = world.store.load(archive.fileno())
    root = world.root_of(added.id)
    assert sorted(path.name for path in root.iterdir()) == ["bin", "etc", "tmp"]
    assert list((root / "etc").iterdir()) == []
    assert (root / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert _run("chroot", root, "/bin/sh", "-c", "echo works", cwd=Path("/")) == "works\n"


def test_the_id_and_the_layers_are_those_that_skopeo_sees(world: Any, forms: Path) -> None:
    """Configuration and manifest, byte for byte."""
    with (forms / "layout.tar").open("rb") as archive:
        (added,) = world.store.load(archive.fileno())
    inspected = json.loads(_run("skopeo", "inspect", "--raw", "oci-archive:layout.tar", cwd=forms))
    record = world.store.resolve("team/app:1")
    assert (added.id, record.id) == (inspected["config"]["digest"], inspected["config"]["digest"])
    assert [layer.digest for layer in record.layers] == [layer["digest"] for layer in inspected["layers"]]
    assert record.config.config.cmd == ("sh",)
