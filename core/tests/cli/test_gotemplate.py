"""Go templates of `--format`."""

from __future__ import annotations

from typing import Any

import pytest

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.gotemplate import Template

CONTAINER: dict[str, Any] = {
    "Id": "abc",
    "State": {"Status": "running", "Running": True, "ExitCode": 0},
    "Config": {"Cmd": ["sh", "-c"], "Labels": {"a.b": "c", "x": "y"}, "Env": None},
    "Mounts": [{"Source": "/a", "Destination": "/b"}, {"Source": "/c", "Destination": "/d"}],
    "Size": 1.5,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{.Id}}", "abc"),
        ("{{ .State.Status }}!", "running!"),
        ("{{.State.Running}} {{.State.ExitCode}} {{.Size}}", "true 0 1.5"),
        ("{{.Config.Cmd}}", "[sh -c]"),
        ("{{.Config.Labels}}", "map[a.b:c x:y]"),
        ("{{.Config.Env}}", "<nil>"),
        ("{{json .Config.Cmd}}", '["sh","-c"]'),
        ("{{.Config.Cmd | json}}", '["sh","-c"]'),
        ('{{index .Config.Labels "a.b"}}', "c"),
        ("{{index .Config.Cmd 1}}", "-c"),
        ('{{join .Config.Cmd ", "}}', "sh, -c"),
        ("{{len .Mounts}}", "2"),
        ("{{.Id | upper | printf `%s`}}", "ABC"),
        ('{{printf "%s=%d" .Id 7}}', "abc=7"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if .State.ExitCode}}bad{{else if .Config.Env}}env{{else}}good{{end}}", "good"),
        ('{{if and .State.Running (eq .Id "abc")}}yes{{end}}', "yes"),
        ("{{range .Mounts}}{{.Source}}:{{.Destination}} {{end}}", "/a:/b /c:/d "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a.b=c;x=y;"),
        ("{{range $i, $m := .Mounts}}{{$i}}{{$m.Source}}{{end}}", "0/a1/c"),
        ("{{range .Mounts}}{{$.Id}}{{end}}", "abcabc"),
        ("{{range .Config.Env}}x{{else}}none{{end}}", "none"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ("a {{- .Id -}} b", "aabcb"),
        ("{{/* nothing */}}x", "x"),
        ("{{.Id}}\\t{{.Id}}\\n", "abc\tabc\n"),
        ("{{(index .Mounts 1).Source}}", "/c"),
        ("{{not .State.Running}}", "false"),
        ('{{or .Config.Env "unset"}}', "unset"),
        ("{{println .Id}}", "abc\n"),
    ],
)
def test_templates(template: str, text: str) -> None:
    """Templates give what Go's give."""
    assert Template(template).render(CONTAINER) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Nope}}", r"no field \.Nope \(fields here: Id, State"),
        ("{{.Id.Nope}}", "no field .Nope in 'abc'"),
        ("{{nope .Id}}", "function 'nope' is not known"),
        ("{{if .Id}}", "{{if}} without {{end}}"),
        ("{{end}}", "without an if"),
        ("{{.Id | .Id}}", "is no function"),
        ("{{(.Id}}", "a parenthesis is not closed"),
        ("{{}}", "an expression is missing"),
        ("{{.Id ^}}", "can't read"),
        ("{{$x}}", "variable '\\$x' is not declared"),
        ("{{range .Id}}{{end}}", "range over 'abc'"),
        ("{{index .Config.Cmd 7}}", "no element 7"),
        ("{{len}}", "len: "),
        ('{{printf "%s%q" .Id}}', "no value for %q"),
    ],
)
def test_wrong_templates_are_refused(template: str, message: str) -> None:
    """A mistake is an error that quotes the template and says what is wrong."""
    with pytest.raises(CommandError, match=message):
        Template(template).render(CONTAINER)
