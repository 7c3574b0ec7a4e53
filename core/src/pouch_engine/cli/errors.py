"""What can go wrong in the command line, each with the exit code that it means."""

from __future__ import annotations


class CommandError(Exception):
    """A failure to tell the user, in one line, without a traceback.

    `code` is the exit code; None leaves it to the command (1, or 125 for `run`).
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code


class UsageProblem(CommandError):
    """The command line does not follow the command's grammar.

    `unknown` is the flag that the command does not have: it may be one that an installed plugin offers.
    """

    def __init__(self, message: str, code: int = 125, unknown: str = "") -> None:
        super().__init__(message, code)
        self.unknown = unknown


class HelpRequested(Exception):  # not an error: the user asked
    """The command line asks for the command's help."""


class ApiError(CommandError):
    """The daemon refused a request: its HTTP status and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ConnectionFailed(CommandError):
    """No daemon answers at the socket, or it went away in the middle of an answer."""


class BrokenDocument(CommandError):
    """The daemon's answer is not the JSON text that it should be."""
