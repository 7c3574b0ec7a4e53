"""One operation on several objects: each is tried, failures are told, and the exit code says whether all went well."""

from __future__ import annotations

from pouch_engine.cli import tell
from pouch_engine.cli.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def for_each(names: Iterable[str], operation: Callable[[str], object], *, report: bool = True) -> int:
    """Call `operation` with each name and print the name when it is done (`report`); return 1 if any failed."""
    code = 0
    for name in names:
        try:
            operation(name)
        except ApiError as error:
            tell(str(error))
            code = 1
        else:
            if report:
                print(name, flush=True)
    return code
