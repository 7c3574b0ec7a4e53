"""`pouch doctor`: what is wrong with this host, and what to do about it."""

from __future__ import annotations

from pouch_engine.cli.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pouch_engine.cli.client import Client
    from pouch_engine.cli.flags import Options

_WIDTH = 8


def execute(client: Client, options: Options) -> int:
    """Print every plugin's findings; return 1 if one of them is an error."""
    findings = client.get("/pouch/doctor")["findings"]
    form = options["format"]
    if form:
        from pouch_engine.cli.gotemplate import formatter

        line = formatter(form)
        for finding in findings:
            print(dumps(finding).decode() if form == "json" else line(finding))
    else:
        for finding in findings:
            print(_paragraph(finding))
    return int(any(finding["level"] == "error" for finding in findings))


def _paragraph(finding: dict[str, Any]) -> str:
    lines = [f"{finding['level']:<{_WIDTH}} {finding.get('plugin') or 'pouchd'}: {finding['what']}"]
    for key, label in (("why", "because"), ("remedy", "remedy")):
        if finding.get(key):
            lines.append(f"{'':<{_WIDTH}} {label}: {finding[key]}")
    return "\n".join(lines)
