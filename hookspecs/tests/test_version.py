"""Which plugins fit which engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_hookspecs import API, is_compatible, parse_api

NUMBER = st.integers(0, 1000)


def test_this_version_fits_itself() -> None:
    """And has the form that it demands."""
    assert is_compatible(API)
    assert ".".join(map(str, parse_api(API))) == API


@given(NUMBER, NUMBER)
def test_while_major_is_0_only_the_very_minor_fits(plugin: int, engine: int) -> None:
    """The contract is still being found."""
    assert is_compatible(f"0.{plugin}", f"0.{engine}") is (plugin == engine)


@given(st.integers(1, 1000), NUMBER, NUMBER)
def test_from_1_on_an_older_minor_fits(major: int, plugin: int, engine: int) -> None:
    """A plugin for 1.2 works with every 1.x, x >= 2."""
    assert is_compatible(f"{major}.{plugin}", f"{major}.{engine}") is (plugin <= engine)


@given(st.lists(NUMBER, min_size=2, max_size=2, unique=True), NUMBER, NUMBER)
def test_another_major_never_fits(majors: list[int], plugin: int, engine: int) -> None:
    """Neither older nor newer."""
    assert not is_compatible(f"{majors[0]}.{plugin}", f"{majors[1]}.{engine}")


@pytest.mark.parametrize(
    "text", ["", ".", "1", "1.", ".1", "1.2.3", "1.x", "v1.0", "-1.0", "1.-1", " 1.0", "1_0.0", "١.٠", "²."]
)
def test_version_that_is_none(text: str) -> None:
    """The error shows it and the form."""
    with pytest.raises(ValueError, match=r"is not of the form MAJOR\.MINOR"):
        parse_api(text)


@given(st.text())
def test_any_text_is_a_version_or_refused(text: str) -> None:
    """Two plain numbers with a dot between, nothing else."""
    try:
        major, minor = parse_api(text)
    except ValueError:
        return
    assert text.count(".") == 1
    assert (int(text.split(".")[0]), int(text.split(".")[1])) == (major, minor)
