"""Lists: filters on the way in; on the way out a table, JSON lines, or a Go template for each row."""

from __future__ import annotations

import sys

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.tables import table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def filters(given: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the API's form of `--filter key=value` flags, None when there are none. Raises CommandError."""
    result: dict[str, list[str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise CommandError(f"invalid filter {text!r}: expected KEY=VALUE")
        result.setdefault(key.strip().lower(), []).append(value.strip())
    return result or None


def show_list(
    rows: Sequence[Mapping[str, str]], headers: Mapping[str, str], columns: Sequence[str], form: str | None
) -> None:
    """Print rows: the table of `columns`, or what `form` (`json`, a template, `table TEMPLATE`) makes of them.

    `headers` are the heads of all fields that a template may name. Raises CommandError for a wrong template.
    """
    if not form or form == "table":
        heads = [headers[column] for column in columns]
        sys.stdout.write(table(heads, [[row[column] for column in columns] for row in rows]))
        return
    from pouch_engine.cli.gotemplate import Template
    from pouch_engine.cli.jsontext import dumps

    if form == "json":
        for row in rows:
            print(dumps(dict(row)).decode())
        return
    as_table = form.startswith("table ")
    template = Template(form.removeprefix("table "))
    lines = [template.render(row) for row in rows]
    if as_table:
        cells = [line.split("\t") for line in [template.render(headers), *lines]]
        sys.stdout.write(table(cells[0], cells[1:]))
    else:
        for line in lines:
            print(line)
