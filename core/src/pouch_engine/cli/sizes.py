"""Sizes and CPU counts as docker writes them."""

from __future__ import annotations

_UNITS = "bkmgtp"
_DECIMAL_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def parse_size(text: str) -> int:
    """Return the bytes that `text` means: a decimal number and b, k, m, g, t or p (powers of 1024), any case.

    `kb` and `kib` are `k`; no unit means bytes; -1 stands for itself ("no limit"). Raises ValueError. Source: docker's
    go-units, `RAMInBytes`.
    """
    if text == "-1":
        return -1
    number = text.strip().lower()
    unit = number.lstrip("0123456789.")
    digits = number[: len(number) - len(unit)]
    letter = unit.strip()
    if letter[1:] in ("b", "ib") and letter[0] != "b":
        letter = letter[0]
    if not _is_decimal(digits) or len(letter) > 1 or (letter and letter not in _UNITS):
        raise ValueError("invalid size: expected a number and b, k, m, g or t, such as 64m or 1.5g")
    whole, _, fraction = digits.partition(".")
    scale = 1 << 10 * _UNITS.index(letter or "b")
    return int(whole or "0") * scale + (int(fraction) * scale // 10 ** len(fraction) if fraction else 0)


def parse_cpus(text: str) -> int:
    """Return billionths of a CPU ("NanoCpus") for a decimal number such as `1.5`. Raises ValueError."""
    whole, _, fraction = text.partition(".")
    if not _is_decimal(text) or len(fraction.rstrip("0")) > 9:
        raise ValueError("expected a number of CPUs with at most nine decimals, such as 1.5")
    return int(whole or "0") * 10**9 + int(fraction.rstrip("0").ljust(9, "0") if fraction else "0")


def _is_decimal(digits: str) -> bool:
    return digits.isascii() and digits.replace(".", "", 1).isdecimal()


def decimal_size(size: float, precision: int = 4) -> str:
    """Return `size` bytes for people, in powers of 1000 as docker shows images: `4.26MB`."""
    return _scaled(size, 1000, _DECIMAL_UNITS, precision)


def binary_size(size: float, precision: int = 4) -> str:
    """Return `size` bytes for people, in powers of 1024 as docker shows memory: `23.54GiB`."""
    return _scaled(size, 1024, _BINARY_UNITS, precision)


def _scaled(size: float, base: int, units: tuple[str, ...], precision: int) -> str:
    index = 0
    while size >= base and index < len(units) - 1:
        size /= base
        index += 1
    return f"{size:.{precision}g}{units[index]}"
