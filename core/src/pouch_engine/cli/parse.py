"""The parser: docker's command-line grammar, for the flags that a `Command` declares.

`--flag value`, `--flag=value`, `-f value`, `-fvalue`, `-f=value`, bundles (`-it`), `--flag=false` for switches, `--`
ends the flags. It is on the path of every command: converters that need more are imported when a flag needs them.
"""

from __future__ import annotations

from pouch_engine.cli.errors import HelpRequested, UsageProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from pouch_engine.cli.flags import Command, Flag, Options

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def parse(command: Command, argv: Sequence[str], more_flags: Sequence[Flag] = ()) -> Options:
    """Return the values of `command`'s flags and arguments in `argv`.

    `more_flags` are the flags that installed plugins offer for this command; those that are given end up in
    `options["plugin_options"]` as (plugin, field, value). Raises UsageProblem, or HelpRequested for `--help`.
    """
    flags = (*command.flags, *more_flags)
    by_name = {name: flag for flag in flags for name in (flag.name, flag.short, *flag.aliases) if name}
    options: Options = {flag.key: flag.initial() for flag in command.flags}
    options["plugin_options"] = []
    given: dict[str, Any] = {}
    words = _scan(argv, by_name, command.leading_flags, given)
    for flag in flags:
        if flag.name in given:
            if flag.source:
                options["plugin_options"].append((*flag.source, given[flag.name]))
            else:
                options[flag.key] = given[flag.name]
    _place_arguments(command, words, options)
    return options


def _scan(argv: Sequence[str], by_name: dict[str, Flag], leading_flags: bool, given: dict[str, Any]) -> list[str]:
    """Read all flags of `argv` into `given`, and return the words that are none."""
    words: list[str] = []
    rest = list(argv)
    rest.reverse()
    while rest:
        word = rest.pop()
        if word == "--":
            return words + rest[::-1]
        if word.startswith("--"):
            _read_long(word, rest, by_name, given)
        elif word.startswith("-") and word != "-":
            _read_short(word, rest, by_name, given)
        elif leading_flags:
            return [*words, word, *rest[::-1]]
        else:
            words.append(word)
    return words


def _read_long(word: str, rest: list[str], by_name: dict[str, Flag], given: dict[str, Any]) -> None:
    name, equals, value = word.partition("=")
    flag = by_name.get(name)
    if flag is None:
        if name == "--help":
            raise HelpRequested
        raise UsageProblem(f"unknown flag: {name}", unknown=name)
    if equals:
        _store(flag, value, given)
    elif flag.kind == "bool":
        given[flag.name] = True
    elif rest:
        _store(flag, rest.pop(), given)
    else:
        raise UsageProblem(f"flag needs an argument: {name}")


def _read_short(word: str, rest: list[str], by_name: dict[str, Flag], given: dict[str, Any]) -> None:
    letters = word[1:]
    while letters:
        flag = by_name.get("-" + letters[0])
        if flag is None:
            if letters[0] == "h":
                raise HelpRequested
            raise UsageProblem(f"unknown shorthand flag: '{letters[0]}' in {word}", unknown="-" + letters[0])
        if len(letters) > 2 and letters[1] == "=":
            return _store(flag, letters[2:], given)
        if flag.kind == "bool":
            given[flag.name] = True
            letters = letters[1:]
        elif len(letters) > 1:
            return _store(flag, letters[1:], given)
        elif rest:
            return _store(flag, rest.pop(), given)
        else:
            raise UsageProblem(f"flag needs an argument: '{letters[0]}' in {word}")
    return None


def _store(flag: Flag, text: str, given: dict[str, Any]) -> None:
    try:
        value = _convert(flag.kind, text)
    except ValueError as error:
        raise UsageProblem(f'invalid argument "{text}" for "{flag.label()}" flag: {error}') from None
    if flag.kind == "list":
        given.setdefault(flag.name, []).append(value)
    else:
        given[flag.name] = value


def _convert(kind: str, text: str) -> Any:
    if kind == "bool":
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise ValueError("expected true or false")
    if kind == "int":
        if not (text.removeprefix("-").isdecimal() and text.isascii()):
            raise ValueError("expected a whole number")
        return int(text)
    if kind == "size":
        from pouch_engine.cli.sizes import parse_size

        return parse_size(text)
    if kind == "cpus":
        from pouch_engine.cli.sizes import parse_cpus

        return parse_cpus(text)
    return text


def _place_arguments(command: Command, words: list[str], options: Options) -> None:
    """Give the words to the command's arguments in order; refuse too few or too many."""
    needed = sum(arity in "1+" for _, arity in command.arguments)
    open_ended = any(arity in "*+" for _, arity in command.arguments)
    if len(words) < needed or (not open_ended and len(words) > len(command.arguments)):
        raise UsageProblem(f"'pouch {command.name}' {_expectation(command, needed, open_ended)}", code=1)
    for key, arity in command.arguments:
        if arity in "1?":
            options[key] = words.pop(0) if words else None
        else:
            options[key], words = words, []


def _expectation(command: Command, needed: int, open_ended: bool) -> str:
    most = len(command.arguments)
    if most == 0:
        return "accepts no arguments"
    if open_ended or needed < most:
        bound, count = ("at least", needed) if open_ended else ("at most", most)
    else:
        bound, count = "exactly", needed
    return f"requires {bound} {count} argument{'s' if count != 1 else ''}"
