"""A runtime without the hooks that every runtime must have."""

from pydantic import BaseModel

from pouch_hookspecs import hookimpl


class NoOptions(BaseModel):
    """There is nothing to configure."""


class Broken:
    """A runtime without the hooks that every runtime must have."""

    api = "0.1"
    Options = NoOptions

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def runtime_start(self, task):
        """The only one."""
