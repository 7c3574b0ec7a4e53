"""The key sequence that detaches from a container: `ctrl-p,ctrl-q`, or what `--detach-keys` says."""

from __future__ import annotations

from pouch_engine.cli.errors import CommandError

DEFAULT = "ctrl-p,ctrl-q"


def parse_keys(text: str) -> bytes:
    """Return the bytes of a sequence of keys: single characters or `ctrl-` and one of a-z @ [ \\ ] ^ _, by commas.

    Raises CommandError.
    """
    keys = bytearray()
    for key in text.split(","):
        symbol = key[5:].upper() if key.lower().startswith("ctrl-") else ""
        if len(key) == 1 and key.isascii():
            keys += key.encode()
        elif len(symbol) == 1 and "@" <= symbol <= "_":
            keys.append(ord(symbol) - ord("@"))
        else:
            raise CommandError(
                f"invalid detach keys {text!r}: {key!r} is neither one character nor ctrl- and one of a-z @ [ \\ ] ^ _"
            )
    return bytes(keys)


class DetachKeys:
    """Watches what the user types. A sequence that has begun is held back until it ends or turns out to be another."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0

    def scan(self, typed: bytes) -> tuple[bytes, bool]:
        """Return the bytes to send on, and whether the sequence was completed."""
        passed = bytearray()
        for byte in typed:
            if byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    return bytes(passed), True
                continue
            passed += self._keys[: self._matched]
            self._matched = 1 if byte == self._keys[0] else 0
            if not self._matched:
                passed.append(byte)
        return bytes(passed), False
