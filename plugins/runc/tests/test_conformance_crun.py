"""The conformance suite on crun, on this host whatever its cgroups are."""

from __future__ import annotations

from pouch_sdk.conformance import RuntimeConformance


class TestCrun(RuntimeConformance):
    """crun, found by its entry point."""

    handler = "crun"
