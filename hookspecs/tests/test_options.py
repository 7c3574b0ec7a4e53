"""How an option is declared."""

from __future__ import annotations

from pydantic import BaseModel

from pouch_hookspecs import declaration, option


class Options(BaseModel):
    """Two container options and a plain field."""

    wall: bool = option(False, flag="--wall", help="a wall")
    rules: dict[str, str] = option(
        {},
        flag="--wall-rule",
        help="by path",
        aliases=("--wallRule",),
        annotations=("io.kubernetes.wall",),
        config="default-rules",
        commands=("run",),
    )
    command: str = "wall"


def test_declaration_has_what_was_said() -> None:
    """As plain lists and texts, since it goes to clients as JSON."""
    assert declaration(Options.model_fields["rules"]) == {
        "flag": "--wall-rule",
        "aliases": ["--wallRule"],
        "annotations": ["io.kubernetes.wall"],
        "config": "default-rules",
        "commands": ["run"],
    }


def test_what_is_not_said_has_its_default() -> None:
    """Offered by run, create and update."""
    declared = declaration(Options.model_fields["wall"]) or {}
    assert declared["commands"] == ["run", "create", "update"]
    assert (declared["aliases"], declared["annotations"], declared["config"]) == ([], [], "")


def test_plain_field_has_none() -> None:
    """It is the handler's configuration."""
    assert declaration(Options.model_fields["command"]) is None


def test_help_is_the_description() -> None:
    """One text for --help, docs and schema."""
    assert Options.model_fields["wall"].description == "a wall"


def test_option_is_an_ordinary_field() -> None:
    """With its default and its validation; a mutable default is not shared."""
    one, two = Options(), Options(wall=True)
    assert (one.wall, two.wall) == (False, True)
    assert one.rules is not two.rules
