"""Amounts of bytes as people write them."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from pouch_hookspecs import ByteSize, parse_size

UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40, "p": 2**50}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("512", 512),
        ("512b", 512),
        ("1k", 1024),
        ("64K", 65536),
        ("512m", 512 * 2**20),
        ("1.5g", 3 * 2**29),
        ("10gb", 10 * 2**30),
        ("10GiB", 10 * 2**30),
        ("2 M", 2 * 2**20),
        (" 7k ", 7168),
        ("0.5k", 512),
        ("1T", 2**40),
        ("3p", 3 * 2**50),
    ],
)
def test_sizes_as_people_write_them(text: str, size: int) -> None:
    """docker's forms, in any case."""
    assert parse_size(text) == size


@given(st.integers(0, 10**6), st.sampled_from(list(UNITS)), st.sampled_from(["", "b", "ib"]), st.booleans())
def test_whole_numbers_are_exact(number: int, unit: str, tail: str, upper: bool) -> None:
    """With every unit, in the long form, too."""
    text = f"{number}{unit}{tail if unit not in ('', 'b') else ''}"
    assert parse_size(text.upper() if upper else text) == number * UNITS[unit]


def test_large_numbers_are_exact() -> None:
    """Beyond what a float can hold."""
    assert parse_size("9007199254740993") == 2**53 + 1


def test_endless_number_is_no_crash() -> None:
    """Digits are a number, however many."""
    assert parse_size("9" * 400) == int("9" * 400)


@given(st.decimals(0, 1000, places=2), st.sampled_from("kmg"))
def test_fractions_are_cut_to_whole_bytes(number: Any, unit: str) -> None:
    """Never more than was said."""
    meant = Fraction(number) * UNITS[unit]
    assert meant - 1 < parse_size(f"{number:f}{unit}") <= meant


@given(st.integers(0))
def test_numbers_are_bytes(number: int) -> None:
    """As JSON has them."""
    assert parse_size(number) == number


@given(st.integers(max_value=-1))
def test_negative_numbers_are_refused(number: int) -> None:
    """No limit is written in another way."""
    with pytest.raises(ValueError, match="is negative"):
        parse_size(number)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "m",
        "-1",
        "+1",
        "1e3",
        "0x10",
        "1_000",
        "1,5g",
        "1.g",
        ".5g",
        "1mm",
        "1gm",
        "١٢",
        "²",
        "1k\n1",
        "inf",
        "nan",
        "1 0",
        "10 kb k",
        True,
        False,
        1.5,
        None,
        [],
        {},
        b"1k",
    ],
)
def test_what_is_no_size(value: object) -> None:
    """The error shows it and an example."""
    with pytest.raises(ValueError, match=r"is not a size; write a number with an optional unit .* such as 512m"):
        parse_size(value)


@given(st.text(alphabet="0123456789.kmgtpbiKMGB+-_ \n", max_size=20))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    """Never another error, never a negative amount."""
    with contextlib.suppress(ValueError):
        assert parse_size(text) >= 0


class Disk(BaseModel):
    """A model with such a field."""

    size: ByteSize = 0


def test_field_of_a_model() -> None:
    """It takes text and holds bytes; its error is pydantic's."""
    assert Disk.model_validate({"size": "1k"}).size == 1024
    with pytest.raises(ValidationError, match="'much' is not a size"):
        Disk.model_validate({"size": "much"})
