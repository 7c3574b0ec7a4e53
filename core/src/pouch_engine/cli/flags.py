"""The form of a declaration: what a command and each of its flags is called and means.

`catalogue.py` declares every command with these two classes. The parser (`parse.py`) and the click commands (`app.py`)
are both made from them. This module is on the path of every command: it imports nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    Options: TypeAlias = dict[str, Any]
    """The values of one command line by key: every flag and every argument of the command has one."""


class Flag:
    """One option of a command.

    `kind` says how its value is read: `bool`, `str`, `int`, `list` (repeatable, texts as given), `size` (docker's
    sizes, gives bytes) or `cpus` (a decimal number of CPUs, gives billionths). A flag that is not given has its
    `default`; None means "not set". `source` is (plugin, field) for a flag that an installed plugin offers.
    """

    __slots__ = ("aliases", "default", "help", "key", "kind", "metavar", "name", "short", "source")

    def __init__(
        self,
        name: str,
        short: str = "",
        kind: str = "bool",
        help: str = "",
        *,
        default: Any = None,
        metavar: str = "",
        aliases: tuple[str, ...] = (),
        source: tuple[str, str] | None = None,
    ) -> None:
        self.name = name
        self.short = short
        self.kind = kind
        self.help = help
        self.default = False if kind == "bool" and default is None else default
        self.metavar = metavar
        self.aliases = aliases
        self.source = source
        self.key = name[2:].replace("-", "_")

    def initial(self) -> Any:
        """Return the value of the flag when it is not given."""
        return [] if self.kind == "list" else self.default

    def label(self) -> str:
        """Return how the flag is named in messages: `-m, --memory`."""
        return f"{self.short}, {self.name}" if self.short else self.name


class Command:
    """One command: its names, the function behind it, its flags and arguments, and its help.

    `names` are full command lines without `pouch`; the first is the one that help shows. `run` is
    `module:function` below `pouch_engine.cli.commands`; the function takes (client, options) and returns the exit
    code. `arguments` are (key, arity) pairs in order; the arity is "1", "?" (none or one), "*" or "+". A command
    with `leading_flags` takes flags only before its first argument: what follows belongs to the container's
    command. `flags` may be a name in `container_flags`, a long module that only its own commands import. `failure` is
    the exit code of an error of the daemon or the client.
    """

    __slots__ = (
        "_flags",
        "arguments",
        "example",
        "failure",
        "help",
        "leading_flags",
        "names",
        "run",
        "summary",
        "usage",
    )

    def __init__(
        self,
        names: tuple[str, ...],
        run: str,
        usage: str,
        arguments: tuple[tuple[str, str], ...],
        flags: tuple[Flag, ...] | str,
        summary: str,
        help: str,
        example: str,
        *,
        leading_flags: bool = False,
        failure: int = 1,
    ) -> None:
        self.names = names
        self.run = run
        self.usage = usage
        self.arguments = arguments
        self._flags = flags
        self.summary = summary
        self.help = help
        self.example = example
        self.leading_flags = leading_flags
        self.failure = failure

    @property
    def flags(self) -> tuple[Flag, ...]:
        """The command's flags."""
        if isinstance(self._flags, str):
            from pouch_engine.cli import container_flags

            flags: tuple[Flag, ...] = getattr(container_flags, self._flags)
            self._flags = flags
        return self._flags

    @property
    def name(self) -> str:
        """The command's first name, as help and messages show it."""
        return self.names[0]
