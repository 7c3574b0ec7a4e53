"""It can't be used without configuration: an option has no default."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class Needy(BaseModel):
    """One field has no default."""

    server: str


class Broken:
    """It can't be used without configuration: an option has no default."""

    api = "0.1"
    Options = Needy

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options):
        """Nothing to add."""
