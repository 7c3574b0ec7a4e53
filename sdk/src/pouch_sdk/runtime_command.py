"""An OCI runtime's command line (runc, crun, youki …), called with a deadline and a cap on its output.

The verbs and options are those that runc defined and others follow:
https://github.com/opencontainers/runtime-tools/blob/master/docs/command-line-interface.md
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pouch_hookspecs.errors import DeadlineExceeded, Unavailable
from pouch_linux import commands

from . import runtime_words
from .process_tree import end_tree

_OUTPUT_LIMIT = 1 << 20
_CALL = "POUCH_RUNTIME_CALL"  # in the environment: by it a call's descendants are found, whatever sessions they made
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where commands are looked up, and the PATH that they get; the daemon's own does not matter."""


def find_command(command: str, *, hint: str) -> str:
    """The absolute path of a command.

    Raises:
        Unavailable: it is not there or can't be executed; the message names it, `hint` says how to mend it.
    """
    found = shutil.which(command, path=SEARCH_PATH)
    if found is None:
        what = "is not an executable file" if os.path.exists(command) else "is not installed"
        raise Unavailable(f"the command {command} {what}", hint=hint)
    return os.path.abspath(found)


@dataclass(frozen=True)
class RuntimeCommand:
    """One runtime command with its global arguments.

    Attributes:
        command: a name to be found in PATH, or a path.
        arguments: global ones, put before the verb.
        root: the directory of the runtime's state of its containers.
    """

    command: str
    arguments: tuple[str, ...]
    root: Path

    def path(self) -> str:
        """Where the command is. Raises Unavailable."""
        return find_command(
            self.command,
            hint="install it (Debian: apt-get install runc, or crun), or set `command` of the handler in pouchd.toml",
        )

    def global_arguments(self) -> tuple[str, ...]:
        """What stands before every verb."""
        return ("--root", str(self.root), "--log-format", "json", *self.arguments)

    @contextlib.contextmanager
    def surroundings(self) -> Iterator[tuple[str, ...]]:
        """Words that stand before the command's path, for a runtime that needs a place made for it; good inside `with`.

        None by default. The words are a command that ends up as the command which follows it, such as nsenter(1).
        """
        yield ()

    def call(self, verb: str, *arguments: str, deadline: float, stdin: bytes | None = None) -> bytes:
        """Run a verb to its end and return what it printed.

        Args:
            verb: `start`, `kill` …
            arguments: options and the container's id.
            deadline: in seconds; then it is killed.
            stdin: given to it; nothing by default.

        Raises:
            DeadlineExceeded: it did not end in time.
            RuntimeFailed: it failed; or CommandNotFound, CommandNotExecutable by its words.
            Unavailable: the command is not there.
        """
        path = self.path()
        call = secrets.token_hex(16)
        try:
            with self.surroundings() as before:
                done = commands.run(
                    (*before, path, *self.global_arguments(), verb, *arguments),
                    deadline=deadline,
                    stdin=stdin,
                    env={"PATH": SEARCH_PATH, _CALL: call},
                    output_limit=_OUTPUT_LIMIT,
                )
        except commands.CommandTimeout as timeout:
            end_tree(_marked(call))
            raise DeadlineExceeded(
                f"{self.command} {verb} did not end within {deadline:g} seconds and was killed"
            ) from timeout
        except OSError as error:
            raise Unavailable(
                f"the command {path} could not be started: {error.strerror}",
                hint="reinstall it, or set `command` of the handler in pouchd.toml",
            ) from error
        if done.returncode != 0:
            raise runtime_words.failure(self.command, verb, done.stderr.decode(errors="replace"))
        return done.stdout


def _marked(call: str) -> list[int]:
    """The processes that came from a call."""
    mark = f"{_CALL}={call}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read().split(b"\0"):
                        found.append(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found
