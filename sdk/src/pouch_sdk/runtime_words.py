"""What an OCI runtime command says when it fails, as one sentence and as an error of the contract."""

from __future__ import annotations

import json
import re

from pouch_hookspecs.errors import CommandNotExecutable, CommandNotFound, Conflict, RuntimeFailed

_LONGEST = 600
_LOGFMT = re.compile(r'level=(?:error|fatal)\b.*?msg="((?:[^"\\]|\\.)*)"')
_PREFIX = re.compile(
    r"^(?:\S*(?:runc|crun|youki)\S*: )?(?:(?:runc )?\w+ failed: )?(?:unable to start container process: )?"
)
# runc: exec: "x": executable file not found in $PATH | exec: "/x": stat /x: no such file or directory
# crun: executable file `x` not found in $PATH: No such file or directory
_NOT_FOUND = re.compile(
    r'exec: "[^"]*": (?:executable file not found|(?:stat|lstat) \S+: no such file or directory)'
    r"|executable file [`'\"][^`'\"]*[`'\"] not found"
    r"|\bexecve?:? \S+: no such file or directory",
    re.IGNORECASE,
)
# runc: exec: "/x": permission denied | exec: "/x": is a directory | exec /x: exec format error
# crun: open executable: Permission denied | open executable: Operation not permitted
_NOT_EXECUTABLE = re.compile(
    r'exec: "[^"]*": (?:permission denied|is a directory|(?:stat|lstat) \S+: (?:permission denied|not a directory))'
    r"|\bexecve?:? \S+: (?:permission denied|exec format error|is a directory|not a directory)"
    r"|open executable: (?:permission denied|operation not permitted)|exec format error",
    re.IGNORECASE,
)
# runc: cannot exec in a paused container | crun: the container `x` is not running, … is paused
_NOT_NOW = re.compile(
    r"cannot exec in a (?:paused|stopped) container|container \S+ is (?:not running|paused)", re.IGNORECASE
)


def sentence(output: str) -> str:
    """The last error in a runtime's output (JSON log lines, logrus text or plain lines) in one short line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [words for line in lines if (words := _error_of(line))]
    words = errors[-1] if errors else (lines[-1] if lines else "")
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    words = _PREFIX.sub("", words)
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


def _error_of(line: str) -> str:
    """The message of a log entry of level error; empty for anything else."""
    if line.startswith("{"):
        try:
            entry = json.loads(line, strict=False)
        except ValueError:
            return ""
        level, message = entry.get("level", "error"), entry.get("msg")
        return message if isinstance(message, str) and level in ("error", "fatal") else ""
    match = _LOGFMT.search(line)
    return match[1].replace('\\"', '"') if match else ""


def failure(command: str, verb: str, output: str, program: str = "") -> RuntimeFailed | Conflict:
    """The error for a runtime that failed in `verb` and said `output`; `program`: what it was to execute, if known."""
    words = sentence(output) or "it gave no reason"
    if _NOT_NOW.search(words):
        return Conflict(words)
    not_found, not_executable = _NOT_FOUND.search(words), _NOT_EXECUTABLE.search(words)
    if not_found or not_executable:
        told = words if program in words else f"{program}: {words}"  # crun does not always name it
        return CommandNotFound(told) if not_found else CommandNotExecutable(told)
    return RuntimeFailed(f"{command} {verb} failed: {words}")
