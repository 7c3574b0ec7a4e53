"""Its Options is not a pydantic model."""

from pouch_hookspecs import hookimpl


class Broken:
    """Its Options is not a pydantic model."""

    api = "0.1"
    Options = dict

    def __init__(self, handler):
        self.handler = handler

    @hookimpl
    def isolation_adjust(self, container, options):
        """Nothing to add."""
