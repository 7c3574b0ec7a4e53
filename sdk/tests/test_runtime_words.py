"""A runtime's output becomes one sentence and the right error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_hookspecs.errors import CommandNotExecutable, CommandNotFound, Conflict, RuntimeFailed
from pouch_sdk.runtime_words import failure, sentence


def _json(message: str, level: str = "error") -> str:
    return json.dumps({"level": level, "msg": message, "time": "2026-01-01T00:00:00Z"})


_START = "runc create failed: unable to start container process: "


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (_START + 'exec: "x": executable file not found in $PATH', CommandNotFound),
        (_START + 'exec: "/x": stat /x: no such file or directory', CommandNotFound),
        ("executable file `x` not found in $PATH: No such file or directory", CommandNotFound),
        (_START + 'exec: "/x": permission denied', CommandNotExecutable),
        (_START + 'exec: "/x": is a directory', CommandNotExecutable),
        ("exec /x: exec format error", CommandNotExecutable),
        ("open executable: Permission denied", CommandNotExecutable),
        ("open executable: Operation not permitted", CommandNotExecutable),
        ("the container `0123` is paused", Conflict),
        ("cannot exec in a paused container (use --ignore-paused to override)", Conflict),
        (_START + 'chdir to cwd ("/x") set in config.json failed: no such file or directory', RuntimeFailed),
        (_START + "error mounting: mount /x: permission denied", RuntimeFailed),
    ],
)
def test_kind_of_error(words: str, expected: type[Exception]) -> None:
    """What runc and crun say of a command is told apart from all else, such as a missing working directory."""
    assert type(failure("runc", "create", _json(words))) is expected


def test_the_command_is_named() -> None:
    """Where the runtime does not say which command it could not execute."""
    assert failure("crun", "exec", "open executable: Permission denied", "/x").message.startswith("/x: open")
    told = _START + 'exec: "/x": permission denied'
    assert failure("runc", "exec", _json(told), "/x").message == 'exec: "/x": permission denied'


def test_last_error_of_the_log_is_quoted() -> None:
    """Warnings and earlier lines are left out, and so are runc's own prefixes."""
    output = "\n".join([_json("w", "warning"), _json("first"), _json(_START + "second"), _json("later", "info")])
    assert sentence(output) == "second"


def test_plain_text_is_quoted() -> None:
    """Without a log the last line counts."""
    assert sentence("usage:\n\nrun: no such option\n") == "run: no such option"


def test_logrus_text_is_understood() -> None:
    """runc's format without --log-format json."""
    assert sentence('time="2026-01-01T00:00:00Z" level=error msg="say \\"why\\""\n') == 'say "why"'


def test_silence_is_told() -> None:
    """A runtime that says nothing gets an error that says so."""
    assert failure("runc", "start", "").message == "runc start failed: it gave no reason"


@given(st.text())
def test_any_output_gives_one_short_printable_line(output: str) -> None:
    """Whatever the output is, the sentence is printable, one line, and bounded."""
    words = sentence(output)
    assert words.isprintable()
    assert len(words) <= 600
