"""Brings in the plugin that runs tests in machines."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """By its name, so that it comes in once, whoever else asks for it."""
    config.pluginmanager.import_plugin("tests.vm.plugin")
