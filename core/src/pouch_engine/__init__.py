"""The Pouch container engine. This module imports nothing: the command line starts here."""

__version__ = "0.1.0"
