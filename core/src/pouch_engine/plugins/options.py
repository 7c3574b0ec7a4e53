"""Options of plugins: declared once, offered to every client, resolved for each container."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pouch_hookspecs import ByteSize, declaration
from pouch_hookspecs.errors import InvalidArgument

ANNOTATION_PREFIX = "pouch.io/"


def describe_options(handlers: Iterable[tuple[str, type[BaseModel]]]) -> dict[str, Any]:
    """The answer of `GET /pouch/options`: every option that a container can have, and a hash of it all."""
    options = [
        _described(handler, name, field, declared)
        for handler, model in handlers
        for name, field in model.model_fields.items()
        if (declared := declaration(field)) is not None
    ]
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()
    return {"hash": digest, "options": options}


def _described(handler: str, name: str, field: FieldInfo, declared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "plugin": handler,
        "field": name,
        "flag": declared["flag"],
        "aliases": declared["aliases"],
        "annotations": [f"{ANNOTATION_PREFIX}{handler}.{name}", *declared["annotations"]],
        "config": declared["config"] or name.replace("_", "-"),
        "type": _type_word(field),
        "default": _plain(field.get_default(call_default_factory=True)),
        "help": field.description or "",
        "commands": declared["commands"],
    }


def _plain(value: object) -> Any:
    return json.loads(json.dumps(value, default=str))


def _type_word(field: FieldInfo) -> str:
    """One of boolean, integer, number, string, size, list, map: what a client needs to know of a type."""
    return _word(field.annotation, field.metadata)


_WORDS: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),  # after bool, which is an int
    "number": (float,),
    "map": (Mapping,),
    "list": (list, tuple, set, frozenset),
}


def _word(annotation: Any, metadata: Iterable[object] = ()) -> str:
    if any(item in typing.get_args(ByteSize)[1:] for item in metadata):
        return "size"
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *details = typing.get_args(annotation)
        return _word(inner, details)
    if origin in (typing.Union, types.UnionType):
        return _word(next(arm for arm in typing.get_args(annotation) if arm is not type(None)))
    plain = origin or annotation
    kinds = (word for word, kinds in _WORDS.items() if isinstance(plain, type) and issubclass(plain, kinds))
    return next(kinds, "string")


def configured(model: type[BaseModel], table: Mapping[str, JsonValue], handler: str) -> BaseModel:
    """The handler's options from its table in `pouchd.toml`.

    Raises:
        InvalidArgument: an unknown key or a value that does not fit, with its place.
    """
    names = {_config_key(name, field): name for name, field in model.model_fields.items()}
    for key in table:
        if key not in names:
            there = ", ".join(sorted(names)) or "none"
            raise InvalidArgument(f"handler {handler} has no option {key}; it has: {there}")
    values = {names[key]: _shaped(model.model_fields[names[key]], value, key) for key, value in table.items()}
    return _validated(
        model, values, lambda name: f"handler {handler}: {_config_key(name, model.model_fields.get(name))}"
    )


def _config_key(name: str, field: FieldInfo | None) -> str:
    declared = declaration(field) if field else None
    return (declared and declared["config"]) or name.replace("_", "-")


def for_container(
    handler: str, base: BaseModel, requested: Mapping[str, JsonValue], annotations: Mapping[str, str]
) -> tuple[BaseModel, bool]:
    """The options in force for one container, and whether the container itself asked for any.

    Args:
        handler: the handler's name.
        base: its configured options.
        requested: field → value, from a flag or the API.
        annotations: of the container's request (never an image's); the request wins over them.

    Raises:
        InvalidArgument: an unknown field, one that only configuration may set, or a wrong value.
    """
    model = type(base)
    offered = {name: declared for name, field in model.model_fields.items() if (declared := declaration(field))}
    asked = _from_annotations(handler, offered, annotations) | dict(requested)
    for name in asked:
        if name not in offered:
            raise InvalidArgument(f"{handler} has no option {name!r}; it has: {', '.join(offered) or 'none'}")
    if not asked:
        return base, False
    values = {name: getattr(base, name) for name in base.model_fields_set}
    for name, value in asked.items():
        values[name] = _shaped(model.model_fields[name], value, offered[name]["flag"])
    return _validated(model, values, lambda name: _flag(model, name)), True


def annotated_plugins(annotations: Mapping[str, str]) -> set[str]:
    """The handlers that annotations of the form `pouch.io/<handler>.<field>` name."""
    return {plugin for plugin, _ in map(_annotated, annotations) if plugin}


def _annotated(key: str) -> tuple[str, str]:
    """Handler and field; empty for an annotation that is none of ours. A handler's name may have dots, a field not."""
    plugin, _, field = key.removeprefix(ANNOTATION_PREFIX).rpartition(".")
    return (plugin, field) if key.startswith(ANNOTATION_PREFIX) else ("", "")


def _from_annotations(
    handler: str, offered: Mapping[str, Mapping[str, Any]], annotations: Mapping[str, str]
) -> dict[str, JsonValue]:
    """Those under our own name, which win, and those under the names that the plugin knows besides."""
    besides = {key: name for name, declared in offered.items() for key in declared["annotations"]}
    found: dict[str, JsonValue] = {name: annotations[key] for key, name in besides.items() if key in annotations}
    for key, value in annotations.items():
        plugin, field = _annotated(key)
        if plugin == handler:
            found[field] = value
    return found


def is_active(options: BaseModel) -> bool:
    """An enhancement takes part where one of its container options is not at its declared default."""
    return any(
        getattr(options, name) != field.get_default(call_default_factory=True)
        for name, field in type(options).model_fields.items()
        if declaration(field) is not None
    )


def _shaped(field: FieldInfo, value: JsonValue, place: str) -> JsonValue:
    """Give text, as flags and annotations have it, the shape of its field: lists and maps by commas, `NAME=VALUE`."""
    word = _type_word(field)
    if word not in ("list", "map") or not isinstance(value, (str, list)):
        return value
    items: list[JsonValue] = list(value.split(",")) if isinstance(value, str) else value
    return items if word == "list" else dict(_pair(item, place) for item in items)


def _pair(item: JsonValue, place: str) -> tuple[str, JsonValue]:
    name, sign, value = str(item).partition("=")
    if not sign:
        raise InvalidArgument(f"{place}: {item!r} is not of the form NAME=VALUE")
    return name, value


def _flag(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    declared = declaration(field) if field else None
    return declared["flag"] if declared else name


def _validated(model: type[BaseModel], values: Mapping[str, Any], place: Callable[[str], str]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InvalidArgument("; ".join(_said(problem, model, place) for problem in error.errors())) from error


def _said(problem: ErrorDetails, model: type[BaseModel], place: Callable[[str], str]) -> str:
    where = place(str(problem["loc"][0])) if problem["loc"] else model.__name__
    return f"{where}: {problem['msg'].removeprefix('Value error, ')} (got {problem['input']!r})"
