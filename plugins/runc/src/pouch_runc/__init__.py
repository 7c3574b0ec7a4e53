"""The runtime driver for runc and for other OCI commands that behave like it (crun, youki)."""

from __future__ import annotations

from .runtime import RuncOptions, RuncRuntime

__all__ = ["RuncOptions", "RuncRuntime"]
