"""Its hook gives an argument a default: pluggy would never pass it."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """Its hook gives an argument a default: pluggy would never pass it."""

    api = "0.1"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options=None):
        """Nothing to add."""
