"""What all groups of the suite stand on: the plugin under test in a harness, and skips that name a feature."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pouch_hookspecs import RuntimeFeatures
from pouch_sdk.testing import RuntimeHarness

MakeHarness = Callable[..., RuntimeHarness]


class Suite:
    """A group of cases, to be mixed into `RuntimeConformance`.

    Attributes:
        handler: the name of an entry point in the group `pouch.runtime`.
        driver: the plugin's class, instead of an entry point.
        options: the handler's configuration.
    """

    handler: ClassVar[str] = ""
    driver: ClassVar[type[Any] | None] = None
    options: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def find_driver(cls) -> type[Any]:
        """The class under test. Raises LookupError if neither `driver` nor `handler` finds one."""
        if cls.driver is not None:
            return cls.driver
        found = list(entry_points(group="pouch.runtime", name=cls.handler))
        if not found:
            raise LookupError(f"no installed package has an entry point {cls.handler!r} in the group pouch.runtime")
        loaded: type[Any] = found[0].load()
        return loaded

    @pytest.fixture
    def make_harness(self, busybox_root: Path) -> Iterator[MakeHarness]:
        """Makes harnesses with further options; they are closed after the test."""
        made: list[RuntimeHarness] = []

        def make(**options: Any) -> RuntimeHarness:
            merged = {**self.options, **options}
            made.append(RuntimeHarness(self.find_driver(), root=busybox_root, options=merged))
            return made[-1]

        yield make
        for harness in made:
            harness.close()

    @pytest.fixture
    def harness(self, make_harness: MakeHarness) -> RuntimeHarness:
        """The plugin under test, with a handler of its own."""
        return make_harness()


def features(harness: RuntimeHarness) -> RuntimeFeatures:
    """What the plugin says of itself."""
    told: RuntimeFeatures = harness.hooks.runtime_features()
    return told


def needs(harness: RuntimeHarness, feature: str) -> None:
    """Skip the test where the runtime says that it has not this feature."""
    if not getattr(features(harness), feature):
        pytest.skip(f"the runtime has not the feature `{feature}`")


def shares_kernel(harness: RuntimeHarness) -> None:
    """Skip the test where the container's processes are not this kernel's."""
    if features(harness).own_kernel:
        pytest.skip("the runtime has the feature `own_kernel`: its processes can't be seen from here")
