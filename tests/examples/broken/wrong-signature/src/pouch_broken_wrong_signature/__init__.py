"""Its hook wants an argument that the contract does not have."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """Its hook wants an argument that the contract does not have."""

    api = "0.1"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options, weather):
        """Nothing to add."""
