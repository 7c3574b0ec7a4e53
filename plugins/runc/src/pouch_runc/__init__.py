"""The runtime drivers for runc (and commands that behave like it) and for crun."""

from __future__ import annotations

from .crun import CrunOptions, CrunRuntime
from .runtime import RuncOptions, RuncRuntime

__all__ = ["CrunOptions", "CrunRuntime", "RuncOptions", "RuncRuntime"]
