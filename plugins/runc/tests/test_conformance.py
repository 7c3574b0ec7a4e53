"""The conformance suite on runc."""

from __future__ import annotations

from pouch_sdk.conformance import RuntimeConformance


class TestRunc(RuntimeConformance):
    """runc, found by its entry point."""

    handler = "runc"
