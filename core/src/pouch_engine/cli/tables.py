"""Tables as docker prints them: columns three blanks apart, at least ten wide, the last one ragged."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_GAP = 3
_NARROWEST = 10


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return the lines of a table, each with its newline."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(_NARROWEST, _GAP + max(map(len, column))) for column in zip(*lines, strict=True)]
    widths[-1] = 0
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + "\n" for line in lines
    )


def short_id(identity: str) -> str:
    """Return the first twelve digits of an id or digest, as tables show it."""
    return identity.removeprefix("sha256:")[:12]


def ellipsis(text: str, width: int) -> str:
    """Return `text`, cut to `width` characters with a `…` at its end if it is longer."""
    return text if len(text) <= width else text[: width - 1] + "…"
