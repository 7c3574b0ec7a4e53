"""Options of plugins: declared once, offered to every client, resolved for each container."""

from __future__ import annotations

import hashlib
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic.fields import FieldInfo

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
    annotation = field.annotation
    if field.metadata and any(item in typing.get_args(ByteSize)[1:] for item in field.metadata):
        return "size"
    if isinstance(annotation, types.UnionType):
        annotation = next(arm for arm in typing.get_args(annotation) if arm is not type(None))
    origin = typing.get_origin(annotation) or annotation
    if isinstance(origin, type):
        if issubclass(origin, bool):
            return "boolean"
        if issubclass(origin, int):
            return "integer"
        if issubclass(origin, float):
            return "number"
        if issubclass(origin, str):
            return "string"
        if issubclass(origin, Mapping):
            return "map"
        if issubclass(origin, (list, tuple, set, frozenset)):
            return "list"
    return "string"


def configured(model: type[BaseModel], table: Mapping[str, JsonValue], handler: str) -> BaseModel:
    """The handler's options from its table in `pouchd.toml`.

    Raises:
        InvalidArgument: an unknown key or a value that does not fit, with its place.
    """
    names = {_config_key(name, field): name for name, field in model.model_fields.items()}
    values: dict[str, JsonValue] = {}
    for key, value in table.items():
        if key not in names and key not in model.model_fields:
            raise InvalidArgument(
                f"handler {handler} has no option {key}; it has: {', '.join(sorted(names)) or 'none'}"
            )
        values[names.get(key, key)] = value
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
    asked = _from_annotations(handler, model, annotations)
    for name, value in requested.items():
        field = model.model_fields.get(name)
        if field is None or declaration(field) is None:
            offered = [n for n, f in model.model_fields.items() if declaration(f) is not None]
            raise InvalidArgument(f"{handler} has no option {name!r}; it has: {', '.join(offered) or 'none'}")
        asked[name] = value
    if not asked:
        return base, False
    values = {name: getattr(base, name) for name in base.model_fields_set}
    values |= {name: _shaped(model.model_fields[name], value) for name, value in asked.items()}
    return _validated(model, values, lambda name: _flag(model, name)), True


def _from_annotations(handler: str, model: type[BaseModel], annotations: Mapping[str, str]) -> dict[str, JsonValue]:
    found: dict[str, JsonValue] = {}
    for name, field in model.model_fields.items():
        declared = declaration(field)
        keys = [f"{ANNOTATION_PREFIX}{handler}.{name}", *(declared["annotations"] if declared else ())]
        for key in keys if declared else ():
            if key in annotations:
                found[name] = annotations[key]
    return found


def is_active(options: BaseModel) -> bool:
    """An enhancement takes part where one of its container options is not at its declared default."""
    return any(
        getattr(options, name) != field.get_default(call_default_factory=True)
        for name, field in type(options).model_fields.items()
        if declaration(field) is not None
    )


def _shaped(field: FieldInfo, value: JsonValue) -> JsonValue:
    """Give text from a repeatable flag or an annotation the shape that its field has."""
    word = _type_word(field)
    if word == "list" and isinstance(value, str):
        return [value]
    if word == "map" and isinstance(value, str):
        return dict(_pair(item) for item in value.split(","))
    if word == "map" and isinstance(value, list):
        return dict(_pair(item) for item in value)
    return value


def _pair(item: JsonValue) -> tuple[str, JsonValue]:
    name, sign, value = str(item).partition("=")
    if not sign:
        raise InvalidArgument(f"{item!r} is not of the form NAME=VALUE")
    return name, value


def _flag(model: type[BaseModel], name: str) -> str:
    field = model.model_fields.get(name)
    declared = declaration(field) if field else None
    return declared["flag"] if declared else name


def _validated(model: type[BaseModel], values: Mapping[str, Any], place: Any) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(
            f"{place(str(problem['loc'][0])) if problem['loc'] else model.__name__}: {problem['msg']}"
            f" (got {problem['input']!r})"
            for problem in error.errors()
        )
        raise InvalidArgument(problems) from error
