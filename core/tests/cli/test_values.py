"""Values of flags: sizes, CPUs, times, variables, labels."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.cli import environment, sizes, times
from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.references import split_tag


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("64", 64),
        ("64b", 64),
        ("64k", 65536),
        ("64K", 65536),
        ("64kb", 65536),
        ("64KiB", 65536),
        ("64m", 64 << 20),
        ("1.5g", 3 << 29),
        ("2 GB", 2 << 30),
        ("1t", 1 << 40),
        (".5m", 1 << 19),
        ("-1", -1),
    ],
)
def test_sizes_as_docker_writes_them(text: str, size: int) -> None:
    """A number and a unit of any case, powers of 1024."""
    assert sizes.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "b", "m", "1.2.3m", "64x", "64mm", "-5m", "lots", "1e3", "٣m", "64mib2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """A text that is no size gives an error that shows what one looks like."""
    with pytest.raises(ValueError, match="such as 64m"):
        sizes.parse_size(text)


@given(st.integers(min_value=0, max_value=2**60))
def test_whole_bytes_are_exact(size: int) -> None:
    """No size loses a byte on the way."""
    assert sizes.parse_size(str(size)) == size


@pytest.mark.parametrize(
    ("text", "billionths"), [("1", 10**9), ("0.5", 5 * 10**8), (".25", 25 * 10**7), ("1.5000000000", 15 * 10**8)]
)
def test_cpus(text: str, billionths: int) -> None:
    """CPUs are counted in billionths, without rounding."""
    assert sizes.parse_cpus(text) == billionths


@pytest.mark.parametrize("text", ["", ".", "x", "-1", "1.0000000001"])
def test_what_is_no_cpu_count_is_refused(text: str) -> None:
    """A text that is no number of CPUs is an error."""
    with pytest.raises(ValueError, match="number of CPUs"):
        sizes.parse_cpus(text)


@pytest.mark.parametrize(("size", "text"), [(0, "0B"), (999, "999B"), (1983000, "1.98MB"), (4.26e9, "4.26GB")])
def test_sizes_for_people(size: float, text: str) -> None:
    """Image sizes have three digits and a decimal unit."""
    assert sizes.decimal_size(size, 3) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.3, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (3600 * 47, "47 hours"),
        (3600 * 48, "2 days"),
        (86400 * 15, "2 weeks"),
        (86400 * 90, "3 months"),
        (86400 * 800, "2 years"),
    ],
)
def test_lengths_of_time_in_dockers_words(seconds: float, text: str) -> None:
    """Lengths of time read as docker's do."""
    assert times.elapsed(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T06:20:13Z", 1795501213),
        ("2026-11-24T06:20:13.5Z", 1795501213.5),
        ("2026-11-24T07:20:13+01:00", 1795501213),
        ("2024-02-29T00:00:00Z", 1709164800),
        ("0001-01-01T00:00:00Z", 0),
        ("", 0),
    ],
)
def test_rfc3339_times(text: str, seconds: float) -> None:
    """Times of the daemon become seconds since 1970, Go's zero time 0."""
    assert times.parse_rfc3339(text) == seconds


def test_since_a_duration_is_before_now() -> None:
    """`1h30m` means ninety minutes ago."""
    value = times.since_parameter("1h30m")
    assert value is not None
    assert time.time() - float(value) == pytest.approx(5400, abs=5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1700000000", "1700000000"),
        ("1700000000.25", "1700000000.25"),
        ("2023-11-14T22:13:20Z", "1700000000.000000000"),
        (None, None),
    ],
)
def test_since_a_moment(text: str | None, value: str | None) -> None:
    """Seconds are sent as they are, times as seconds."""
    assert times.since_parameter(text) == value


def test_since_nonsense_is_refused() -> None:
    """What is no time gives an error that shows what one looks like."""
    with pytest.raises(CommandError, match="such as 42m"):
        times.since_parameter("yesterday")


def test_variables_from_file_and_caller(tmp_path: Path) -> None:
    """Files come first; comments and blank lines are skipped; bare names take the caller's value."""
    path = tmp_path / "env"
    path.write_text("\ufeff# comment\n\n  A=1\nB= two words \nHOME\nABSENT\n", encoding="utf-8")
    result = environment.variables([str(path)], ["C=3", "HOME", "GONE"], {"HOME": "/root"})
    assert result == ["A=1", "B= two words ", "HOME=/root", "C=3", "HOME=/root", "GONE"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"=x\n", "no name before '='"), (b"A B=x\n", "contains white space"), (b"A=\xff\n", "is not UTF-8")],
)
def test_broken_env_files(tmp_path: Path, content: bytes, message: str) -> None:
    """A broken line of an env file is an error that says what is wrong."""
    path = tmp_path / "env"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=message):
        environment.variables([str(path)], [])


def test_missing_env_file() -> None:
    """A file that is not there is named in the error."""
    with pytest.raises(CommandError, match="open /nope/env: No such file"):
        environment.variables(["/nope/env"], [])


def test_labels() -> None:
    """A label's value may hold `=` or be left out."""
    assert environment.labels([], ["a", "b=c=d"]) == {"a": "", "b": "c=d"}


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("a", ("a", "latest")),
        ("a:1", ("a", "1")),
        ("host:5000/a", ("host:5000/a", "latest")),
        ("host:5000/a:1", ("host:5000/a", "1")),
    ],
)
def test_tags_of_references(reference: str, parts: tuple[str, str]) -> None:
    """The colon of a port is none of a tag's."""
    assert split_tag(reference, "latest") == parts
