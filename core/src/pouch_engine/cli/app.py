"""The long way: click commands, generated from the catalogue.

click brings help, shell completion, and the messages about wrong usage; it is imported only for these and for flags
that installed plugins offer. Arguments are read by the same `parse` as on the short way, so that both always agree.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from pouch_engine.cli import connect, execute, tell
from pouch_engine.cli.catalogue import COMMANDS, GLOBAL, GROUPS
from pouch_engine.cli.errors import CommandError, HelpRequested, UsageProblem
from pouch_engine.cli.flags import Command, Flag
from pouch_engine.cli.parse import parse
from pouch_engine.cli.plugin_flags import plugin_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

_TYPES = {"int": "INTEGER", "str": "TEXT", "list": "TEXT", "size": "SIZE", "cpus": "DECIMAL"}
_PLUGIN_COMMANDS = ("run", "create", "update")


def run_click(argv: Sequence[str]) -> int:
    """Run a command line through click and return its exit code."""
    try:
        result = application().main(list(argv), prog_name="pouch", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.UsageError as error:
        return _wrong_usage(error)
    except click.Abort:
        return 130
    return result if isinstance(result, int) else 0


def application() -> click.Group:
    """Return the click group of all commands."""
    root = click.Group(
        "pouch",
        help="Pouch runs containers; runtimes and isolation are plugins. The daemon, pouchd, is started when needed.",
        params=[_option(flag) for flag in GLOBAL.flags],
        epilog="Example: pouch run --rm -it busybox sh",
        no_args_is_help=True,
        subcommand_metavar="COMMAND",
        context_settings={"help_option_names": ["--help"], "max_content_width": 110},
    )
    groups = {word: click.Group(word, help=f"{text}.", short_help=text) for word, text in GROUPS.items()}
    for word, group in groups.items():
        root.add_command(group, word)
    for command in COMMANDS:
        for full_name in command.names:
            *group_words, name = full_name.split(" ")
            parent = groups[group_words[0]] if group_words else root
            known = any(
                isinstance(other, _ClickCommand) and other.command is command for other in parent.commands.values()
            )
            parent.add_command(_ClickCommand(command, name, hidden=known), name)
    return root


class _ClickCommand(click.Command):
    """One command of the catalogue as click sees it."""

    def __init__(self, command: Command, name: str, *, hidden: bool) -> None:
        super().__init__(
            name,
            params=[_option(flag) for flag in command.flags],
            help=command.help,
            short_help=command.summary,
            epilog=f"Example: {command.example}",
            hidden=hidden,
        )
        self.command = command

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Show the usage as the catalogue writes it."""
        return ["[OPTIONS]", self.command.usage] if self.command.usage else ["[OPTIONS]"]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the other names of the command to its paragraph."""
        super().format_help_text(ctx, formatter)
        if len(self.command.names) > 1:
            names = ", ".join(f"pouch {name}" for name in self.command.names)
            with formatter.section("Names"):
                formatter.write_text(names)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Add the flags of installed plugins, when a daemon tells them."""
        super().format_options(ctx, formatter)
        records = [_option(flag).get_help_record(ctx) for flag in self._plugin_flags(ctx, quietly=True)]
        if records:
            with formatter.section("Options of installed plugins"):
                formatter.write_dl([record for record in records if record])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments by the catalogue's grammar."""
        try:
            ctx.params = self._parse(ctx, args)
        except HelpRequested:
            click.echo(self.get_help(ctx))
            ctx.exit()
        except CommandError as error:
            if ctx.resilient_parsing:  # completion: what has been typed so far may be anything
                return []
            raise _WrongUsage(str(error), ctx, error.code or 1) from None
        return []

    def invoke(self, ctx: click.Context) -> int:
        """Run the command."""
        return execute(self.command, ctx.params, ctx.find_root().params.get("host"))

    def _parse(self, ctx: click.Context, args: list[str]) -> dict[str, Any]:
        try:
            return parse(self.command, args)
        except UsageProblem as problem:
            if not problem.unknown or ctx.resilient_parsing:
                raise
            flags = self._plugin_flags(ctx, quietly=False)
            if not any(problem.unknown in (flag.name, flag.short, *flag.aliases) for flag in flags):
                raise
            return parse(self.command, args, flags)

    def _plugin_flags(self, ctx: click.Context, *, quietly: bool) -> list[Flag]:
        if self.command.name not in _PLUGIN_COMMANDS:
            return []
        client = connect(ctx.find_root().params.get("host"))
        try:
            return plugin_flags(client, self.command.name)
        except CommandError as error:
            if not quietly:
                tell(f"the flags of installed plugins are not known: {error}")
            return []


class _WrongUsage(click.UsageError):
    """Wrong usage with docker's exit code for it."""

    def __init__(self, message: str, ctx: click.Context, code: int) -> None:
        super().__init__(message, ctx)
        self.code = code


def _option(flag: Flag) -> click.Option:
    names = [name for name in (flag.short, flag.name, *flag.aliases) if name]
    text = flag.help
    if flag.kind == "list":
        text += " (repeatable)"
    if flag.kind == "bool":
        return click.Option(names, is_flag=True, default=bool(flag.default), help=text, show_default=bool(flag.default))
    metavar = flag.metavar or _TYPES[flag.kind]
    return click.Option(
        names, metavar=metavar, multiple=flag.kind == "list", default=flag.default, help=text, show_default=True
    )


def _wrong_usage(error: click.UsageError) -> int:
    context = error.ctx
    path = context.command_path if context else "pouch"
    message = error.format_message()
    code = error.code if isinstance(error, _WrongUsage) else error.exit_code
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(message)
        return 0
    if isinstance(error, click.NoSuchCommand):
        code = 1
    elif isinstance(error, click.NoSuchOption):
        code = 125
    tell(message)
    if context:
        print(f"\n{context.get_usage()}", file=sys.stderr)
    print(f"Run '{path} --help' for more information.", file=sys.stderr)
    return code
