"""The keys that detach a client from a terminal and leave the container running (docker's ctrl-p,ctrl-q)."""

from __future__ import annotations

from pouch_hookspecs.errors import InvalidArgument

DEFAULT = "ctrl-p,ctrl-q"

_CONTROLS = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """Read docker's form: single characters and `ctrl-X`, separated by commas; empty: the default.

    Raises:
        InvalidArgument: a key is unknown.
    """
    return bytes(_key(word) for word in (text or DEFAULT).split(","))


def _key(word: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    control = word.removeprefix("ctrl-").lower()
    if word.startswith("ctrl-") and len(control) == 1:
        if "a" <= control <= "z":
            return ord(control) - ord("a") + 1
        if control in _CONTROLS:
            return _CONTROLS[control]
    raise InvalidArgument(
        f"invalid detach key {word[:80]!r}: expected a character or ctrl- and one of a-z @ [ \\ ] ^ _"
    )


class DetachKeys:
    """Looks for the sequence in what a client types, which may come in pieces."""

    def __init__(self, sequence: bytes) -> None:
        self._sequence = sequence
        self._matched = 0

    def scan(self, data: bytes) -> tuple[bytes, bool]:
        """Give what is meant for the container, and whether the sequence is complete. The beginning of a sequence is
        held back until it is clear that it is none.
        """
        passed = bytearray()
        for byte in data:
            if byte == self._sequence[self._matched]:
                self._matched += 1
                if self._matched == len(self._sequence):
                    return bytes(passed), True
                continue
            if self._matched:
                passed += self._sequence[: self._matched]
                self._matched = 0
                if byte == self._sequence[0]:
                    self._matched = 1
                    continue
            passed.append(byte)
        return bytes(passed), False
