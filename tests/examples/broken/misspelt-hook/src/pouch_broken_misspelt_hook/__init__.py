"""It misspells a hook."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """It misspells a hook."""

    api = "0.1"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_ajust(self, container, options):
        """Nothing to add."""
