"""A harness of `OciCommandRuntime` itself, with runc as its command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_sdk import OciCommandRuntime
from pouch_sdk.testing import RuntimeHarness


@pytest.fixture
def harness(busybox_root: Path) -> Iterator[RuntimeHarness]:
    """Closed after the test."""
    with RuntimeHarness(OciCommandRuntime, root=busybox_root, options={"command": "runc"}) as harness:
        yield harness
