"""Tests of other modules, to run once more in a machine."""

from __future__ import annotations

import importlib
from collections.abc import Collection
from typing import Any

import pytest

_FIXTURE = type(pytest.fixture(lambda: None))


def borrow(*modules: str, without: Collection[str] = ()) -> dict[str, Any]:
    """The tests and fixtures of modules, by name: `globals().update(borrow("tests.integration.test_run"))`.

    Args:
        modules: Their full names.
        without: Names of tests to leave out.

    Raises:
        ValueError: Two modules have one of the same name: one of them needs a borrower of its own. Or there is nothing
            of a name to leave out.
    """
    found: dict[str, Any] = {}
    for module in modules:
        for name, value in vars(importlib.import_module(module)).items():
            if not (name.lower().startswith("test") or isinstance(value, _FIXTURE)) or value.__module__ != module:
                continue
            if name in found:
                raise ValueError(f"{found[name].__module__} and {module} both have a {name}: borrow them apart")
            found[name] = value
    for name in without:
        if name not in found:
            raise ValueError(f"{', '.join(modules)}: no {name} to leave out")
        del found[name]
    return found
