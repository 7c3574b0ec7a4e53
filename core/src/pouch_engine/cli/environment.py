"""Variables and labels: `-e`, `--env-file`, `--label`, `--label-file`, and other KEY=VALUE flags."""

from __future__ import annotations

import os

from pouch_engine.cli.errors import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def variables(files: Sequence[str], given: Sequence[str], caller: Mapping[str, str] | None = None) -> list[str]:
    """Return the environment that `--env-file` and `-e` ask for, the files first.

    A name without a value takes the caller's value. Where the caller has none: from a file it is left out, from `-e`
    it is sent as it is, and takes the image's variable of this name away (docker's behaviour). Raises CommandError.
    """
    caller = os.environ if caller is None else caller
    result = []
    for path in files:
        for line in _lines(path):
            if "=" in line:
                result.append(line)
            elif line in caller:
                result.append(f"{line}={caller[line]}")
    for text in given:
        if not text or text.startswith("="):
            raise CommandError(f"invalid environment variable: {text!r} has no name", 125)
        result.append(f"{text}={caller[text]}" if "=" not in text and text in caller else text)
    return result


def labels(files: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Return the labels that `--label-file` and `--label` ask for; a key alone has the empty value."""
    return key_values([line for path in files for line in _lines(path)] + list(given), "label")


def key_values(given: Sequence[str], what: str, value_needed: bool = False) -> dict[str, str]:
    """Return KEY=VALUE texts as a mapping. Raises CommandError that calls the entry a `what`."""
    result = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not key or (value_needed and not equals):
            raise CommandError(f"invalid {what} {text!r}: expected KEY=VALUE", 125)
        result[key] = value
    return result


def _lines(path: str) -> list[str]:
    """Return the entries of a file: neither blank lines nor comments, blanks before a name taken away."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise CommandError(f"open {path}: {error.strerror}", 125) from None
    except UnicodeDecodeError as error:
        raise CommandError(f"file {path} is not UTF-8: {error.reason} at byte {error.start}", 125) from None
    entries = [line.lstrip() for line in lines]
    entries = [line for line in entries if line and not line.startswith("#")]
    for entry in entries:
        name = entry.partition("=")[0]
        if not name:
            raise CommandError(f"file {path}: no name before '=' in {entry!r}", 125)
        if name.split() != [name]:
            raise CommandError(f"file {path}: the name {name!r} contains white space", 125)
    return entries
