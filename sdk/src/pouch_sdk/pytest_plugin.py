"""What pytest loads of the sdk in every run (entry point `pytest11`): little, for it costs every run.

The suite itself is `pouch_sdk.conformance`; it is imported by the tests that use it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("pouch_sdk.conformance")


@pytest.fixture(scope="session")
def busybox_root() -> Iterator[Path]:
    """A root file system of busybox, shared by the containers of a run."""
    from pouch_sdk.bundles import make_busybox_root

    directory = Path(tempfile.mkdtemp(prefix="pouch-root-"))
    directory.chmod(0o755)
    try:
        yield make_busybox_root(directory / "root")
    finally:
        shutil.rmtree(directory)
