"""Changes to an image's configuration, written as lines of a Dockerfile (docker's `--change`)."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
import signal
from collections.abc import Callable, Iterable
from typing import Any

from pouch_hookspecs.errors import InvalidArgument

_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII | re.IGNORECASE)
_VARIABLE = re.compile(r"(?<!\\)\$(?:\{|[A-Za-z_])", re.ASCII)
_SIGNAL_NUMBER = re.compile(r"[0-9]{1,2}", re.ASCII)
_REALTIME = re.compile(r"RTMIN\+([0-9]{1,2})|RTMAX-([0-9]{1,2})", re.ASCII)
_LITERAL = ("CMD", "ENTRYPOINT")


def apply_changes(config: dict[str, Any], changes: Iterable[str]) -> None:
    """Change a configuration (the `config` object of an image's configuration) in place, line by line.

    CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR; variables are not expanded.

    Raises:
        InvalidArgument: a line is not one of these, or malformed.
    """
    for change in changes:
        name, _, rest = change.strip().partition(" ")
        instruction = _INSTRUCTIONS.get(name.upper())
        if instruction is None:
            raise InvalidArgument(
                f"change {change[:200]!r}: {name[:40]!r} is not supported; use one of {', '.join(_INSTRUCTIONS)}"
            )
        if not rest.strip():
            raise _wrong(name.upper(), rest, "a value is missing")
        if "\0" in rest:
            raise _wrong(name.upper(), rest, "it has a NUL character")
        if name.upper() not in _LITERAL and _VARIABLE.search(rest):
            raise _wrong(
                name.upper(), rest, r"variables are not expanded here: write the value, or \$ for a dollar sign"
            )
        instruction(config, rest.strip())


def _cmd(config: dict[str, Any], text: str) -> None:
    config["Cmd"] = _command("CMD", text)


def _entrypoint(config: dict[str, Any], text: str) -> None:
    config["Entrypoint"] = _command("ENTRYPOINT", text)


def _env(config: dict[str, Any], text: str) -> None:
    env = dict(entry.split("=", 1) for entry in config.get("Env", ()))
    env.update(_pairs("ENV", text))
    config["Env"] = [f"{name}={value}" for name, value in env.items()]


def _label(config: dict[str, Any], text: str) -> None:
    config.setdefault("Labels", {}).update(_pairs("LABEL", text))


def _expose(config: dict[str, Any], text: str) -> None:
    for word in _split("EXPOSE", text):
        match = _PORT.fullmatch(word)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None or not 1 <= first <= last <= 65535:
            raise _wrong("EXPOSE", word, "expected PORT[-PORT][/tcp|udp|sctp] with ports from 1 to 65535")
        for port in range(first, last + 1):
            config.setdefault("ExposedPorts", {})[f"{port}/{(match[3] or 'tcp').lower()}"] = {}


def _user(config: dict[str, Any], text: str) -> None:
    words = _split("USER", text)
    if len(words) != 1:
        raise _wrong("USER", text, "expected one USER[:GROUP]")
    config["User"] = words[0]


def _volume(config: dict[str, Any], text: str) -> None:
    words = _json_list("VOLUME", text)
    for path in _split("VOLUME", text) if words is None else words:
        if not path.strip():
            raise _wrong("VOLUME", text, "a path is empty")
        config.setdefault("Volumes", {})[path] = {}


def _workdir(config: dict[str, Any], text: str) -> None:
    words = _split("WORKDIR", text)
    if len(words) != 1:
        raise _wrong("WORKDIR", text, "expected one path; quote it if it has spaces")
    config["WorkingDir"] = posixpath.normpath(posixpath.join("/", config.get("WorkingDir", ""), words[0]))


def _stop_signal(config: dict[str, Any], text: str) -> None:
    if not _is_signal(text.upper().removeprefix("SIG")):
        raise _wrong("STOPSIGNAL", text, "expected a signal such as SIGTERM, SIGRTMIN+3 or a number from 1 to 64")
    config["StopSignal"] = text


_INSTRUCTIONS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "LABEL": _label,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}


def _is_signal(name: str) -> bool:
    if _SIGNAL_NUMBER.fullmatch(name):
        return 1 <= int(name) <= 64
    if match := _REALTIME.fullmatch(name):
        return int(match[1] or match[2]) <= signal.SIGRTMAX - signal.SIGRTMIN
    return f"SIG{name}" in signal.Signals.__members__


def _command(instruction: str, text: str) -> list[str]:
    words = _json_list(instruction, text)
    return ["/bin/sh", "-c", text] if words is None else words


def _json_list(instruction: str, text: str) -> list[str] | None:
    """The words of the JSON form; None: it is the shell form. What has JSON's brackets must be JSON."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        words = json.loads(text)
    except ValueError as error:
        raise _wrong(instruction, text, f"this is no JSON list of strings: {error}") from error
    if not all(isinstance(word, str) for word in words):
        raise _wrong(instruction, text, "the JSON list must have strings only")
    return list(words)


def _pairs(instruction: str, text: str) -> dict[str, str]:
    """`NAME=VALUE …` with quotes, or the old form `NAME VALUE`, where the value goes to the line's end."""
    first, _, rest = text.partition(" ")
    if "=" not in first and rest.strip():
        return {first: rest.strip()}
    pairs: dict[str, str] = {}
    for word in _split(instruction, text):
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise _wrong(instruction, word, "expected NAME=VALUE; quote values that have spaces")
        pairs[name] = value
    return pairs


def _split(instruction: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise _wrong(instruction, text, str(error)) from error


def _wrong(instruction: str, text: str, why: str) -> InvalidArgument:
    return InvalidArgument(f"change {instruction} {text.strip()[:200]!r}: {why}")
