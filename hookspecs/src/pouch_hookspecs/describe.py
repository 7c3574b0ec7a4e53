"""A description of the whole contract as JSON, so that a change of it is seen and meant.

`python -m pouch_hookspecs.describe` prints it; `--check FILE` compares it with the checked-in
`contract.json` and exits with 1 and the difference when they differ; `--write FILE` renews the file.
"""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Any

import pouch_hookspecs
from pouch_hookspecs import API, ROLES, CommonHooks, Model, errors


def describe() -> dict[str, Any]:
    """The contract as plain data: API version, hooks by role, models with their schema, errors, enums."""
    public = [getattr(pouch_hookspecs, name) for name in pouch_hookspecs.__all__]
    classes = [item for item in public if isinstance(item, type)]
    return {
        "api": API,
        "hooks": {"common": _hooks(CommonHooks)} | {role: _hooks(cls) for role, cls in ROLES.items()},
        "engine": _methods(pouch_hookspecs.EngineApi),
        "models": {cls.__name__: _fields(cls) for cls in classes if issubclass(cls, Model) and cls is not Model},
        "enums": {cls.__name__: [item.value for item in cls] for cls in classes if issubclass(cls, StrEnum)},
        "errors": _errors(errors.PouchError),
    }


def _hooks(role: type) -> dict[str, Any]:
    return {
        name: {
            "signature": _signature(function),
            "deadline_seconds": function.deadline_seconds,
            "required": function.required,
            "says": _first_sentence(function),
        }
        for name, function in vars(role).items()
        if hasattr(function, "deadline_seconds")
    }


def _methods(protocol: type) -> dict[str, str]:
    return {
        name: _signature(function)
        for name, function in vars(protocol).items()
        if inspect.isfunction(function) and not name.startswith("_")
    }


def _signature(function: Any) -> str:
    parameters = inspect.signature(function).replace(
        parameters=list(inspect.signature(function).parameters.values())[1:]
    )
    return str(parameters).replace("'", "")


def _first_sentence(function: Any) -> str:
    return (inspect.getdoc(function) or "").split("\n\n")[0].replace("\n", " ")


def _fields(model: type[Model]) -> dict[str, str]:
    return {
        name: f"{_type_name(field.annotation)}{'' if field.is_required() else ' = ' + _default(field)}"
        for name, field in model.model_fields.items()
    }


def _type_name(annotation: Any) -> str:
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    return str(annotation).replace("pouch_hookspecs.", "").replace("typing.", "").replace("collections.abc.", "")


def _default(field: Any) -> str:
    return "{}" if field.default_factory is not None else repr(field.default)


def _errors(root: type[Exception]) -> dict[str, Any]:
    return {cls.__name__: _errors(cls) for cls in root.__subclasses__()}


def render() -> str:
    """The description as the text of `contract.json`."""
    return json.dumps(describe(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Print, check or write the description; the exit code says whether the check passed."""
    parser = argparse.ArgumentParser(prog="python -m pouch_hookspecs.describe", description=__doc__.split("\n")[0])
    parser.add_argument("--check", type=Path, metavar="FILE", help="compare with this file")
    parser.add_argument("--write", type=Path, metavar="FILE", help="renew this file")
    options = parser.parse_args(arguments)
    text = render()
    if options.write:
        options.write.write_text(text)
        return 0
    if options.check is None:
        sys.stdout.write(text)
        return 0
    known = options.check.read_text()
    difference = difflib.unified_diff(
        known.splitlines(keepends=True), text.splitlines(keepends=True), str(options.check), "the code"
    )
    sys.stdout.writelines(difference)
    if known != text:
        sys.stdout.write(
            "\nThe contract has changed. If that is meant: raise API in version.py as its rule says, note the\n"
            "reason in docs/decisions/, and renew the file with --write.\n"
        )
    return int(known != text)


if __name__ == "__main__":
    sys.exit(main())
