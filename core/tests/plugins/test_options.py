"""An option is declared once, and means the same at every door: flag, API, annotation, configuration."""

from __future__ import annotations

import contextlib
from enum import StrEnum
from typing import Any, Optional, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from pouch_engine.plugins.options import configured, describe_options, for_container, is_active
from pouch_hookspecs import ByteSize, option
from pouch_hookspecs.errors import InvalidArgument


class Color(StrEnum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


class Options(BaseModel):
    """One of each type, and two that are configuration only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wall: bool = option(
        False, flag="--wall", help="a wall", aliases=("--enableWall",), annotations=("io.kubernetes.wall.enabled",)
    )
    height: int = option(0, flag="--wall-height", help="metres")
    ratio: float = option(0.0, flag="--wall-ratio", help="width by height")
    color: Color = option(Color.RED, flag="--wall-color", help="its color")
    size: ByteSize = option(0, flag="--wall-size", help="bytes", config="default-size")
    limit: ByteSize | None = option(None, flag="--wall-limit", help="bytes, or none")
    label: str | None = option(None, flag="--wall-label", help="text", commands=("run",))
    gates: tuple[str, ...] = option((), flag="--wall-gate", help="names")
    rules: dict[str, ByteSize] = option({}, flag="--wall-rule", help="path=size")
    old_style: Optional[int] = option(None, flag="--wall-old", help="the older way to write a union")  # noqa: UP045
    command: str = "/usr/bin/wall"
    depth_meters: int = 1


def described() -> dict[str, dict[str, Any]]:
    """field → its description for clients."""
    return {item["field"]: item for item in describe_options([("guard", Options)])["options"]}


def resolved(
    requested: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **configuration: Any
) -> tuple[Options, bool]:
    """The options of a container."""
    base = configured(Options, configuration, "guard")
    options, asked = for_container("guard", base, requested or {}, annotations or {})
    return cast(Options, options), asked


def test_types_in_words() -> None:
    """What a client needs to know, optional or not."""
    assert {field: item["type"] for field, item in described().items()} == {
        "wall": "boolean",
        "height": "integer",
        "ratio": "number",
        "color": "string",
        "size": "size",
        "limit": "size",
        "label": "string",
        "gates": "list",
        "rules": "map",
        "old_style": "integer",
    }


def test_description_of_an_option() -> None:
    """Everything that was declared, and what follows from it."""
    assert described()["wall"] == {
        "plugin": "guard",
        "field": "wall",
        "flag": "--wall",
        "aliases": ["--enableWall"],
        "annotations": ["pouch.io/guard.wall", "io.kubernetes.wall.enabled"],
        "config": "wall",
        "type": "boolean",
        "default": False,
        "help": "a wall",
        "commands": ["run", "create", "update"],
    }


def test_key_of_the_configuration_file() -> None:
    """Kebab-case, unless the option names one."""
    assert (described()["old_style"]["config"], described()["size"]["config"]) == ("old-style", "default-size")


def test_plain_fields_are_not_offered_to_containers() -> None:
    """They are the operator's."""
    assert {"command", "depth_meters"} & set(described()) == set()


def test_hash_follows_the_options() -> None:
    """Clients cache by it."""
    one, same = (describe_options([("guard", Options)])["hash"] for _ in range(2))
    other = describe_options([("guard", Options), ("other", Options)])["hash"]
    assert one == same != other


@pytest.mark.parametrize(
    ("key", "value", "field", "meant"),
    [
        ("depth-meters", 3, "depth_meters", 3),
        ("default-size", "1k", "size", 1024),
        ("wall", True, "wall", True),
        ("rules", {"/": "1k"}, "rules", {"/": 1024}),
        ("gates", ["a", "b"], "gates", ("a", "b")),
    ],
)
def test_configuration_keys(key: str, value: Any, field: str, meant: Any) -> None:
    """As the file has them."""
    assert getattr(configured(Options, {key: value}, "guard"), field) == meant


@pytest.mark.parametrize("key", ["depth_meters", "size", "nosuch", "Wall"])
def test_unknown_configuration_key(key: str) -> None:
    """One spelling is right; the error lists all keys."""
    with pytest.raises(InvalidArgument, match=f"guard has no option {key}; it has: color, command, default-size"):
        configured(Options, {key: 1}, "guard")


TYPED = [
    ("wall", True, "true", True),
    ("height", 7, "7", 7),
    ("ratio", 0.5, "0.5", 0.5),
    ("color", "blue", "blue", Color.BLUE),
    ("size", 1024, "1k", 1024),
    ("limit", 2048, "2K", 2048),
    ("label", "x=1", "x=1", "x=1"),
    ("gates", ["north", "south"], "north,south", ("north", "south")),
    ("rules", {"/": 1024, "/data": "1g"}, "/=1k,/data=1g", {"/": 1024, "/data": 2**30}),
    ("old_style", 5, "5", 5),
]


@pytest.mark.parametrize(("field", "value", "text", "meant"), TYPED, ids=[row[0] for row in TYPED])
def test_typed_request(field: str, value: Any, text: str, meant: Any) -> None:
    """JSON's types are taken."""
    assert getattr(resolved({field: value})[0], field) == meant


@pytest.mark.parametrize(("field", "value", "text", "meant"), TYPED, ids=[row[0] for row in TYPED])
def test_request_as_text(field: str, value: Any, text: str, meant: Any) -> None:
    """Texts, as a flag has them, mean the same."""
    assert getattr(resolved({field: text})[0], field) == meant


@pytest.mark.parametrize(("field", "value", "text", "meant"), TYPED, ids=[row[0] for row in TYPED])
def test_annotation(field: str, value: Any, text: str, meant: Any) -> None:
    """Texts, as annotations have them, mean the same."""
    assert getattr(resolved(annotations={f"pouch.io/guard.{field}": text})[0], field) == meant


def test_repeated_flag_of_a_map() -> None:
    """A list of NAME=VALUE, as the command line sends it; a comma in it is the user's own."""
    assert resolved({"rules": ["/=1k", "/a,b=2k"]})[0].rules == {"/": 1024, "/a,b": 2048}


def test_annotation_that_the_plugin_names() -> None:
    """Of somebody else's vocabulary."""
    options, asked = resolved(annotations={"io.kubernetes.wall.enabled": "true"})
    assert (options.wall, asked) == (True, True)


def test_own_annotation_wins_over_a_borrowed_one() -> None:
    """Whatever their order."""
    both = {"pouch.io/guard.wall": "true", "io.kubernetes.wall.enabled": "false"}
    assert resolved(annotations=both)[0].wall
    assert resolved(annotations=dict(reversed(both.items())))[0].wall


def test_request_wins_over_annotation_wins_over_configuration() -> None:
    """The nearest word counts, field by field."""
    options, _ = resolved(
        {"height": 3}, {"pouch.io/guard.height": "2", "pouch.io/guard.ratio": "0.2"}, height=1, ratio=0.1, wall=True
    )
    assert (options.height, options.ratio, options.wall) == (3, 0.2, True)


def test_nothing_asked_gives_the_configured_options() -> None:
    """And says that nothing was asked."""
    options, asked = resolved(height=1)
    assert (options.height, asked) == (1, False)


@pytest.mark.parametrize("field", ["command", "depth_meters", "nosuch"])
def test_field_that_a_container_may_not_set(field: str) -> None:
    """A request and an annotation are refused with the same words."""
    words = f"guard has no option '{field}'; it has: wall, height"
    with pytest.raises(InvalidArgument, match=words):
        resolved({field: "1"})
    with pytest.raises(InvalidArgument, match=words):
        resolved(annotations={f"pouch.io/guard.{field}": "1"})


def test_annotations_of_others_are_none_of_ours() -> None:
    """Another plugin's, and those that are no plugin's."""
    assert resolved(annotations={"pouch.io/other.x": "1", "pouch.io/note": "hi", "team": "x"})[1] is False


@pytest.mark.parametrize(
    ("field", "text"),
    [("wall", "maybe"), ("height", "tall"), ("size", "huge"), ("rules", "/"), ("color", "green"), ("limit", "-1")],
)
def test_wrong_value_has_the_same_words_at_every_door(field: str, text: str) -> None:
    """The flag is named, and what it got."""
    words = []
    doors: list[dict[str, Any]] = [
        {"requested": {field: text}},
        {"annotations": {f"pouch.io/guard.{field}": text}},
    ]
    for door in doors:
        with pytest.raises(InvalidArgument) as caught:
            resolved(**door)
        words.append(caught.value.message)
    flag = "--wall" if field == "wall" else f"--wall-{field.removesuffix('s')}"
    assert words[0].startswith(f"{flag}: ")
    assert repr(text) in words[0]
    assert words[0] == words[1]


def test_enhancement_is_off_at_its_declared_defaults() -> None:
    """Configuration that is no container option turns nothing on."""
    assert not is_active(configured(Options, {"command": "/bin/x", "depth-meters": 9}, "guard"))


@pytest.mark.parametrize(("field", "value", "text", "meant"), TYPED, ids=[row[0] for row in TYPED])
def test_enhancement_is_on_when_an_option_differs(field: str, value: Any, text: str, meant: Any) -> None:
    """Any one of them."""
    assert is_active(resolved({field: value})[0])


def test_container_can_switch_a_default_off() -> None:
    """By asking for the declared default."""
    options, asked = resolved({"wall": False}, wall=True)
    assert (is_active(options), asked) == (False, True)


class Nested(BaseModel):
    """A default that is made anew each time."""

    names: list[str] = option([], flag="--names", help="names")
    extra: dict[str, int] = Field(default_factory=dict)


def test_configured_values_survive_a_request() -> None:
    """Those that are configuration only, too."""
    base = configured(Nested, {"extra": {"a": 1}}, "n")
    options, _ = for_container("n", base, {"names": "x"}, {})
    assert options == Nested(names=["x"], extra={"a": 1})


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_strange_annotations_are_refused_or_ignored(value: str, annotations: dict[str, str]) -> None:
    """Never another error than the vocabulary's."""
    for key in ("pouch.io/guard.rules", "pouch.io/guard.size", "pouch.io/guard.", "pouch.io/.", "pouch.io/guard"):
        with contextlib.suppress(InvalidArgument):
            resolved(annotations={**annotations, key: value})


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.lists(st.text()), st.dictionaries(st.text(), st.text())
    )
)
def test_strange_requests_are_refused_or_understood(value: Any) -> None:
    """Whatever JSON has, in every field."""
    for field in described():
        with contextlib.suppress(InvalidArgument):
            resolved({field: value})
