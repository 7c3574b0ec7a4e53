"""The error vocabulary: one small tree that hooks raise and every edge maps in one table.

Each error says what happened and to what (`message`) and, where there is one, what to do about it
(`hint`). HTTP status, gRPC code and exit code are chosen by the edges, never here.
"""

from __future__ import annotations


class PouchError(Exception):
    """The root of the tree: something that was asked for could not be done.

    Args:
        message: one sentence: what happened, to what, what was expected.
        hint: what the reader can do about it; empty if there is nothing to say.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class InvalidArgument(PouchError):
    """The request itself is wrong, whatever the state of the engine: a value, a flag, a file."""


class NotFound(PouchError):
    """The thing named does not exist (container, image, volume, handler, exec …)."""


class Conflict(PouchError):
    """The request is right but the state forbids it: a name in use, a container that runs."""


class PermissionDenied(PouchError):
    """The caller, or this process, may not do it."""


class Refused(PouchError):
    """A plugin, a policy or a rule of safety said no; nothing was changed."""


class Unsupported(PouchError):
    """The driver or this kernel can not do it; another one might."""


class Unavailable(PouchError):
    """Something that is needed is not there now: a daemon, a plugin, a file system, a device."""


class ResourceExhausted(PouchError):
    """Disk, quota, memory, addresses or another bounded thing is used up."""


class DeadlineExceeded(PouchError):
    """A hook or a command did not answer within its deadline; what it did is not known yet."""


class DataDamaged(PouchError):
    """Content does not match its digest, its format or its length."""


class PluginFailed(PouchError):
    """A plugin raised something that is not of this tree; its name and hook are in the message."""


class RuntimeFailed(PouchError):
    """The container runtime answered with an error, quoted in the message."""


class CommandNotFound(RuntimeFailed):
    """The container's command does not exist in its root file system (exit code 127)."""


class CommandNotExecutable(RuntimeFailed):
    """The container's command exists but can not be executed (exit code 126)."""
