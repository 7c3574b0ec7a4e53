"""JSON by the C accelerator alone.

The package `json` imports `re`, which costs a short command a third of its time (`json.decoder` needs it for
whitespace between documents). Its accelerator `_json` does all that the daemon's documents need; where an interpreter
has none, the package takes its place.
"""

from __future__ import annotations

from pouch_engine.cli.errors import BrokenDocument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner
except ImportError:  # an interpreter without the accelerator
    from json import JSONDecoder, JSONEncoder

    _scan = JSONDecoder().raw_decode
    _encode = JSONEncoder(separators=(",", ":")).iterencode
else:

    class _Plain:
        """What the scanner asks its decoder for: no hooks, plain types, control characters refused."""

        strict = True
        object_hook = None
        object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = float

    def _refuse(value: Any) -> Any:
        raise TypeError(f"{type(value).__name__} has no JSON form")

    _scan = make_scanner(_Plain())  # type: ignore[arg-type, assignment]  # it reads these attributes, whatever the class
    _encode = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, True)  # type: ignore[assignment]


def loads(text: str) -> Any:
    """Return the value of one JSON document. Raises BrokenDocument when it is none."""
    start = len(text) - len(text.lstrip())
    try:
        return _scan(text, start)[0]
    except (StopIteration, ValueError):
        raise BrokenDocument(f"the daemon sent something that is not JSON: {text[:80]!r}") from None


def dumps(value: Any) -> bytes:
    """Return the compact JSON text of a value made of dict, list, str, int, float, bool and None."""
    return "".join(_encode(value, False)).encode()
