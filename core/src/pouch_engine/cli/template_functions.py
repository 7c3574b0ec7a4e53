"""The functions that docker offers in templates, and how Go shows values as text."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_VERB = re.compile(r"%(%|[-+0-9.]*[a-z])")


class TemplateProblem(Exception):  # becomes a CommandError that names the template
    """What is wrong with a template, or with its use on a value."""


def go_text(value: Any) -> str:
    """Return a value as Go's `%v` prints it: `[a b]`, `map[k:v]`, `true`, `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(map(go_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{go_text(item)}' for key, item in sorted(value.items()))}]"
    return str(value)


def truth(value: Any) -> bool:
    """Return whether `if` takes a value for true: all but false, nil, 0 and what is empty."""
    return bool(value)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if isinstance(value, dict):
            value = value.get(key, "")
        elif isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
            value = value[key]
        else:
            raise TemplateProblem(f"index: no element {key!r} in {go_text(value)!r}")
    return value


def _printf(form: str, *values: Any) -> str:
    rest = list(values)

    def put(match: re.Match[str]) -> str:
        verb = match[1]
        if verb == "%":
            return "%"
        if not rest:
            raise TemplateProblem(f"printf: no value for %{verb}")
        value = rest.pop(0)
        if verb[-1] == "q":
            return json.dumps(go_text(value), ensure_ascii=False)
        if verb[-1] in "vs":
            return f"%{verb[:-1]}s" % go_text(value)
        return str(f"%{verb}" % value)

    return _VERB.sub(put, form)


def _all(first: Any, *rest: Any) -> Any:
    """Go's `and`: the first value that is empty, else the last."""
    for value in rest:
        if not truth(first):
            return first
        first = value
    return first


def _any(first: Any, *rest: Any) -> Any:
    """Go's `or`: the first value that is not empty, else the last."""
    for value in rest:
        if truth(first):
            return first
        first = value
    return first


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": _all,
    "eq": lambda value, *others: value in others,
    "ge": lambda left, right: left >= right,
    "gt": lambda left, right: left > right,
    "index": _index,
    "join": lambda values, separator: separator.join(map(go_text, values)),
    "json": _json,
    "le": lambda left, right: left <= right,
    "len": len,
    "lower": lambda text: text.lower(),
    "lt": lambda left, right: left < right,
    "ne": lambda left, right: left != right,
    "not": lambda value: not truth(value),
    "or": _any,
    "pad": lambda text, before, after: " " * before + text + " " * after if text else "",
    "print": lambda *values: "".join(map(go_text, values)),
    "printf": _printf,
    "println": lambda *values: " ".join(map(go_text, values)) + "\n",
    "split": lambda text, separator: text.split(separator),
    "title": lambda text: text.title(),
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: text.upper(),
}
"""By name, as templates call them. Source: docker's templates.HelperFunctions and Go's text/template."""
