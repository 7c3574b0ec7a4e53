"""Help for authors of Pouch plugins: `OciCommandRuntime`, the conformance suite, templates."""

from __future__ import annotations

from .oci_command import OciCommandRuntime
from .oci_options import Deadlines, OciCommandOptions
from .runtime_command import RuntimeCommand

__all__ = ["Deadlines", "OciCommandOptions", "OciCommandRuntime", "RuntimeCommand"]
