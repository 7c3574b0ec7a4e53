"""The kernel's errors in the contract's words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pouch_hookspecs.errors import PermissionDenied, PouchError, ResourceExhausted, Unavailable

_EXHAUSTED = {
    errno.ENOSPC: "free space or inodes of the engine's root: pouch image prune, pouch container prune",
    errno.EDQUOT: "raise the disk quota or remove something",
    errno.EMFILE: "raise the daemon's limit of open files (LimitNOFILE=)",
    errno.ENFILE: "raise fs.file-max",
    errno.ENOMEM: "",
}


@contextmanager
def reported(doing: str) -> Iterator[None]:
    """Turn an OSError inside into an error of the contract that says what was being done (`doing`)."""
    try:
        yield
    except OSError as error:
        raise _contract_error(doing, error) from error


def _contract_error(doing: str, error: OSError) -> PouchError:
    message = f"{doing} failed: {error.strerror or error}"
    if error.filename is not None:
        message += f": {error.filename}"
    if error.errno in _EXHAUSTED:
        return ResourceExhausted(message, hint=_EXHAUSTED[error.errno])
    if error.errno in (errno.EPERM, errno.EACCES):
        return PermissionDenied(message, hint="the daemon needs to be root with CAP_SYS_ADMIN")
    return Unavailable(message)
