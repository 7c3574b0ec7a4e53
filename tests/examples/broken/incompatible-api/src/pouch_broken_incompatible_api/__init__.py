"""It was written for another version of the contract."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """It was written for another version of the contract."""

    api = "99.0"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options):
        """Nothing to add."""
