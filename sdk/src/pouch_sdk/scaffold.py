"""A new plugin package from a template: `python -m pouch_sdk new runtime NAME`."""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from pouch_hookspecs import API
from pouch_hookspecs.errors import Conflict, InvalidArgument

KINDS = ("runtime", "isolation")
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_SUFFIX = ".in"


def new_package(kind: str, name: str, directory: Path) -> Path:
    """Write the package `pouch-NAME` below a directory and return its folder.

    Args:
        kind: one of `KINDS`.
        name: the plugin's name: lower case letters, digits, and hyphens between them.
        directory: where the package's folder is made.

    Raises:
        InvalidArgument: an unknown kind, or a name of another form.
        Conflict: the folder is there already.
    """
    if kind not in KINDS:
        raise InvalidArgument(f"there is no template {kind!r}; there are: {', '.join(KINDS)}")
    if not _NAME.fullmatch(name):
        raise InvalidArgument(f"{name!r} is not a plugin's name; expected lower case letters, digits and hyphens")
    folder = directory / f"pouch-{name}"
    values = {
        "name": name,
        "api": API,
        "package": f"pouch-{name}",
        "module": f"pouch_{name.replace('-', '_')}",
        "title": "".join(part.capitalize() for part in name.split("-")),
    }
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise Conflict(f"{folder} is there already", hint="choose another name or --directory") from None
    _fill(files("pouch_sdk") / "templates" / kind, folder, values)
    return folder


def _fill(template: Traversable, target: Path, values: dict[str, str]) -> None:
    """Copy a folder of templates; `$module` and the like are replaced in names and contents."""
    target.mkdir(exist_ok=True)
    for each in template.iterdir():
        name = Template(each.name).substitute(values).removesuffix(_SUFFIX)
        if each.is_dir():
            _fill(each, target / name, values)
        elif each.name.endswith(_SUFFIX):
            (target / name).write_text(Template(each.read_text("utf-8")).substitute(values), encoding="utf-8")
