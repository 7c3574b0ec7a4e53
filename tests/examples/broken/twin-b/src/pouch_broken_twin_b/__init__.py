"""Claims the name `broken-twin`, as another distribution does."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """Claims the name `broken-twin`, as another distribution does."""

    api = "0.1"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options):
        """Nothing to add."""
