"""The part of Go's text/template that people use with docker's `--format`.

Fields (`{{.State.Status}}`), variables, pipelines, parentheses, `if`, `else`, `range`, `with`, `end`, trimming (`{{-`),
and docker's functions (`json`, `join`, `upper`, …). `\\t` and `\\n` in the text mean a tab and a newline. A field that
is not there is an error which names those that are.
"""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

from pouch_engine.cli.errors import CommandError
from pouch_engine.cli.template_functions import FUNCTIONS, TemplateProblem, go_text, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Scope = dict[str, Any]
    Node = Callable[["Any", Scope], str]
    Expression = Callable[["Any", Scope], Any]

_ACTION = re.compile(r"\{\{(?P<left>- )?(?P<body>.*?)(?P<right> -)?\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)|(?P<field>(?:\.\w+)+|\.)"""
    r"""|(?P<variable>\$\w*)|(?P<word>\w+)|(?P<sign>:=|[|(),]))"""
)
_KEYWORDS = ("if", "range", "with")


class Template:
    """A parsed template. Raises CommandError for what it does not understand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._pieces = list(_split(text.replace("\\t", "\t").replace("\\n", "\n")))
        try:
            nodes, ending = self._block()
            if ending is not None:
                raise TemplateProblem(f"{{{{{ending}}}}} without an if, range or with")
        except TemplateProblem as problem:
            raise self._error(problem) from None
        self._nodes = nodes

    def render(self, value: Any) -> str:
        """Return the text that the template makes of a value. Raises CommandError."""
        try:
            return _join(self._nodes, value, {"$": value})
        except TemplateProblem as problem:
            raise self._error(problem) from None

    def _error(self, problem: Exception) -> CommandError:
        return CommandError(f"template {self._text!r}: {problem}")

    def _block(self) -> tuple[list[Node], str | None]:
        """Read nodes up to an `end` or `else` of the enclosing action, and return it (None: end of the text)."""
        nodes: list[Node] = []
        while self._pieces:
            is_action, text = self._pieces.pop(0)
            if not is_action:
                nodes.append(lambda dot, scope, text=text: text)  # type: ignore[misc]
                continue
            keyword = text.split(None, 1)[0] if text else ""
            if keyword in ("end", "else"):
                return nodes, text
            if keyword in _KEYWORDS:
                nodes.append(self._control(keyword, text[len(keyword) :]))
            elif not text.startswith("/*"):
                expression = _parse(text)
                nodes.append(lambda dot, scope, expression=expression: go_text(expression(dot, scope)))  # type: ignore[misc]
        return nodes, None

    def _control(self, keyword: str, head: str) -> Node:
        names, head = _declared(head) if keyword == "range" else ([], head)
        expression = _parse(head)
        body, ending = self._block()
        otherwise: list[Node] = []
        if ending is not None and ending.startswith("else"):
            again = ending[len("else") :].strip()  # `else if …` is an `if` in the else, and shares its end
            if again:
                otherwise, ending = [self._control(again.split()[0], again.partition(" ")[2])], "end"
            else:
                otherwise, ending = self._block()
        if ending != "end":
            raise TemplateProblem(f"{{{{{keyword}}}}} without {{{{end}}}}")
        return _control_node(keyword, names, expression, body, otherwise)


def show(value: Any, form: str) -> None:
    """Print one value by a template, or as JSON for the form `json`."""
    print(formatter(form)(value))


def show_objects(values: Sequence[Any], form: str | None) -> None:
    """Print objects as `inspect` does: indented JSON, `json` for one line, else the template for each."""
    if form and form != "json":
        template = Template(form)
        for value in values:
            print(template.render(value))
    elif form:
        print(json.dumps(list(values), separators=(",", ":"), ensure_ascii=False))
    else:
        print(json.dumps(list(values), indent=4, ensure_ascii=False))
    sys.stdout.flush()


def formatter(form: str) -> Callable[[Any], str]:
    """Return the function that makes one line of a value: by a template, or as JSON for the form `json`."""
    if form == "json":
        return lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return Template(form).render


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """Yield (is it an action, text) for the parts of a template, with white space trimmed as `{{-` and `-}}` say."""
    position, trim = 0, False
    for match in _ACTION.finditer(text):
        literal = text[position : match.start()]
        literal = literal.lstrip() if trim else literal
        yield False, literal.rstrip() if match["left"] else literal
        yield True, match["body"].strip()
        position, trim = match.end(), bool(match["right"])
    rest = text[position:]
    yield False, rest.lstrip() if trim else rest


def _join(nodes: Sequence[Node], dot: Any, scope: Scope) -> str:
    return "".join(node(dot, scope) for node in nodes)


def _declared(head: str) -> tuple[list[str], str]:
    """Split `$key, $value := expression` into the names and the expression."""
    match = re.match(r"\s*(\$\w+)(?:\s*,\s*(\$\w+))?\s*:=", head)
    if not match:
        return [], head
    return [name for name in match.groups() if name], head[match.end() :]


def _control_node(
    keyword: str, names: list[str], expression: Expression, body: list[Node], otherwise: list[Node]
) -> Node:
    def choose(dot: Any, scope: Scope) -> str:
        value = expression(dot, scope)
        if not truth(value):
            return _join(otherwise, dot, scope)
        if keyword != "range":
            return _join(body, value if keyword == "with" else dot, scope)
        if not isinstance(value, (dict, list)):
            raise TemplateProblem(f"range over {go_text(value)!r}, which is neither a list nor a map")
        items = sorted(value.items()) if isinstance(value, dict) else list(enumerate(value))
        return "".join(
            _join(body, item, {**scope, **dict(zip(names, (key, item) if len(names) == 2 else (item,), strict=False))})
            for key, item in items
        )

    return choose


def _parse(text: str) -> Expression:
    tokens = _tokens(text)
    expression = _pipeline(tokens)
    if tokens:
        raise TemplateProblem(f"unexpected {tokens[0][1]!r} in {text.strip()!r}")
    return expression


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise TemplateProblem(f"can't read {text[position:]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _pipeline(tokens: list[tuple[str, str]]) -> Expression:
    expression = _command(tokens, None)
    while tokens and tokens[0][1] == "|":
        tokens.pop(0)
        expression = _command(tokens, expression)
    return expression


def _command(tokens: list[tuple[str, str]], piped: Expression | None) -> Expression:
    """Read a value, or a function with its arguments; the piped value is its last one."""
    if not tokens:
        raise TemplateProblem("an expression is missing")
    if tokens[0][0] != "word" or tokens[0][1] in ("true", "false", "nil"):
        if piped is not None:
            raise TemplateProblem(f"{tokens[0][1]!r} is no function to pipe into")
        return _operand(tokens)
    name = tokens.pop(0)[1]
    function = FUNCTIONS.get(name)
    if function is None:
        raise TemplateProblem(f"function {name!r} is not known (known: {', '.join(sorted(FUNCTIONS))})")
    arguments: list[Expression] = []
    while tokens and tokens[0][1] not in ("|", ")"):
        arguments.append(_operand(tokens))
    if piped is not None:
        arguments.append(piped)

    def call(dot: Any, scope: Scope) -> Any:
        values = [argument(dot, scope) for argument in arguments]
        try:
            return function(*values)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise TemplateProblem(f"{name}: {error}") from None

    return call


def _operand(tokens: list[tuple[str, str]]) -> Expression:
    if not tokens:
        raise TemplateProblem("an expression is missing")
    kind, text = tokens.pop(0)
    if text == "(":
        inner = _pipeline(tokens)
        if not tokens or tokens.pop(0)[1] != ")":
            raise TemplateProblem("a parenthesis is not closed")
        return _with_fields(inner, tokens)
    if kind == "field":
        return lambda dot, scope: _walk(dot, text)
    if kind == "variable":
        return _with_fields(lambda dot, scope: _variable(scope, text), tokens)
    if kind == "word":
        name = FUNCTIONS.get(text)
        constants = {"true": True, "false": False, "nil": None}
        if text in constants:
            return lambda dot, scope: constants[text]
        if name is not None:
            return lambda dot, scope: name()
    if kind in ("string", "number"):
        value = text[1:-1] if text.startswith("`") else json.loads(text)
        return lambda dot, scope: value
    raise TemplateProblem(f"unexpected {text!r}")


def _with_fields(inner: Expression, tokens: list[tuple[str, str]]) -> Expression:
    if tokens and tokens[0][0] == "field" and tokens[0][1] != ".":
        path = tokens.pop(0)[1]
        return lambda dot, scope: _walk(inner(dot, scope), path)
    return inner


def _variable(scope: Mapping[str, Any], name: str) -> Any:
    if name not in scope:
        raise TemplateProblem(f"variable {name!r} is not declared")
    return scope[name]


def _walk(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not name:
            continue
        if not isinstance(value, dict):
            raise TemplateProblem(f"no field .{name} in {go_text(value)!r}")
        if name not in value:
            raise TemplateProblem(f"no field .{name} (fields here: {', '.join(map(str, value))})")
        value = value[name]
    return value
