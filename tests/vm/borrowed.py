"""Tests of another directory, to run once more in a machine."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

from tests.pouchd import REPOSITORY


def borrow(package: str, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The test functions of all modules of a package, by name: `globals().update(borrow("tests.integration"))`.

    Args:
        package: Its name, from the repository's root.
        without: Names of tests to leave out; each must be there.

    Raises:
        ValueError: Two modules have a test of the same name, or none has one of `without`.
    """
    found: dict[str, Any] = {}
    for path in sorted(REPOSITORY.joinpath(*package.split(".")).glob("test_*.py")):
        module = importlib.import_module(f"{package}.{path.stem}")
        for name, test in vars(module).items():
            if not name.startswith("test_") or getattr(test, "__module__", None) != module.__name__:
                continue
            if name in found:
                raise ValueError(f"{test.__module__} and {found[name].__module__} both have a {name}")
            found[name] = test
    for name in without:
        if name not in found:
            raise ValueError(f"{package} has no {name} to leave out")
        del found[name]
    return found
