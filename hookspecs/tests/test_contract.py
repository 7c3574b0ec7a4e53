"""The contract itself: that a change of it is seen and meant, and that all of it is explained."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import typing
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import pluggy
import pytest
from pydantic import BaseModel, ValidationError

import pouch_hookspecs
from pouch_hookspecs import ROLES, CommonHooks, ContainerConfig, Model, Resources, errors
from pouch_hookspecs.describe import main, render

CONTRACT = Path(__file__).parents[1] / "contract.json"
HOOKS = [
    (role, name, function)
    for role in (CommonHooks, *ROLES.values())
    for name, function in vars(role).items()
    if inspect.isfunction(function) and not name.startswith("_")
]
MODELS = [
    item
    for name in pouch_hookspecs.__all__
    if inspect.isclass(item := getattr(pouch_hookspecs, name)) and issubclass(item, Model) and item is not Model
]


def all_errors(root: type[Exception] = errors.PouchError) -> list[type[Exception]]:
    """The whole tree."""
    return [
        root,
        *(
            found
            for child in root.__subclasses__()
            if child.__module__ == root.__module__
            for found in all_errors(child)
        ),
    ]


def test_checked_in_description_equals_the_code() -> None:
    """Whoever changes the contract renews contract.json, and says why."""
    result = subprocess.run(
        [sys.executable, "-m", "pouch_hookspecs.describe", "--check", str(CONTRACT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "")


def test_difference_is_shown_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The check fails, shows the line, and names the rule."""
    changed = tmp_path / "contract.json"
    changed.write_text(render().replace('"deadline_seconds": 3600', '"deadline_seconds": 3601'))
    assert main(["--check", str(changed)]) == 1
    shown = capsys.readouterr().out
    assert '+        "deadline_seconds": 3600' in shown
    assert "raise API in version.py" in shown


def test_written_description_passes_the_check(tmp_path: Path) -> None:
    """--write and --check belong together."""
    fresh = tmp_path / "contract.json"
    assert main(["--write", str(fresh)]) == 0
    assert main(["--check", str(fresh)]) == 0


def test_description_has_every_role_hook_and_model() -> None:
    """Nothing of the contract can change unseen."""
    described = json.loads(render())
    assert {name for hooks in described["hooks"].values() for name in hooks} == {name for _, name, _ in HOOKS}
    assert set(described["models"]) == {model.__name__ for model in MODELS}
    enums = [
        item
        for name in pouch_hookspecs.__all__
        if inspect.isclass(item := getattr(pouch_hookspecs, name)) and issubclass(item, StrEnum)
    ]
    assert set(described["enums"]) == {item.__name__ for item in enums}


def test_description_is_the_same_under_every_hash_seed() -> None:
    """Sets and dictionaries of the code must not shuffle it."""
    texts = {
        subprocess.run(
            [sys.executable, "-m", "pouch_hookspecs.describe"],
            capture_output=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


@pytest.mark.parametrize(("role", "name", "function"), HOOKS, ids=[name for _, name, _ in HOOKS])
def test_hook_has_a_deadline_and_an_explanation(role: type, name: str, function: Any) -> None:
    """Each one; the first line is a sentence that `plugin inspect` and the docs can show."""
    assert function.deadline_seconds > 0
    assert isinstance(function.required, bool)
    assert (inspect.getdoc(function) or "").splitlines()[0].endswith((".", ";", ":", ")"))


@pytest.mark.parametrize(("role", "name", "function"), HOOKS, ids=[name for _, name, _ in HOOKS])
def test_hook_is_fully_typed(role: type, name: str, function: Any) -> None:
    """Every argument and the result, with names that can be resolved by whoever reads the contract."""
    known = {**vars(pouch_hookspecs), "BaseModel": BaseModel, "Path": Path}
    hints = typing.get_type_hints(function, globalns=known)
    assert set(hints) == {*inspect.signature(function).parameters, "return"} - {"self"}


@pytest.mark.parametrize(("role", "hooks"), ROLES.items(), ids=list(ROLES))
def test_hooks_of_a_role_bear_its_name(role: str, hooks: type) -> None:
    """The prefix names the role."""
    assert [name for name in vars(hooks) if not name.startswith((f"{role}_", "_"))] == []


@pytest.mark.parametrize("hooks", [CommonHooks, *ROLES.values()], ids=lambda hooks: hooks.__name__)
def test_pluggy_takes_the_specifications(hooks: type) -> None:
    """Every hook of the class, and only the first result of it."""
    manager = pluggy.PluginManager(pouch_hookspecs.PROJECT)
    manager.add_hookspecs(hooks)
    for name in vars(hooks):
        if not name.startswith("_"):
            assert getattr(manager.hook, name).spec.opts["firstresult"]


def test_hooks_can_be_read_in_one_sitting() -> None:
    """All roles on one page."""
    lines = (Path(pouch_hookspecs.__file__).parent / "hooks.py").read_text().splitlines()
    assert len(lines) <= 450
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_model_is_frozen_and_closed(model: type[Model]) -> None:
    """Nobody edits another's record, and a misspelt field is an error."""
    assert model.model_config["frozen"] is True
    assert model.model_config["extra"] == "forbid"
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"no_such_field_at_all": 1})


def test_field_can_not_be_assigned() -> None:
    """The freezing works."""
    with pytest.raises(ValidationError, match="frozen"):
        Resources().pids_limit = 5  # type: ignore[misc]


def test_models_take_a_changed_copy() -> None:
    """The way to change one."""
    config = ContainerConfig(image="busybox")
    assert config.model_copy(update={"name": "web"}) == ContainerConfig(image="busybox", name="web")


def test_largest_model_survives_json() -> None:
    """Records are kept as JSON."""
    config = ContainerConfig(image="busybox", resources=Resources(pids_limit=5), options={"a": {"b": [1, "x", None]}})
    assert ContainerConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_documented_fields_are_the_fields(model: type[Model]) -> None:
    """Where a docstring lists attributes, it lists all of them and no others."""
    text = inspect.getdoc(model) or ""
    if "Attributes:" not in text:
        return
    listed = [
        line.partition(":")[0].strip()
        for line in text.split("Attributes:")[1].splitlines()
        if line.startswith("    ") and not line.startswith("     ")
    ]
    assert listed == list(model.model_fields)


@pytest.mark.parametrize("name", pouch_hookspecs.__all__)
def test_public_name_is_explained(name: str) -> None:
    """Classes and functions by a docstring of their own, constants in their module."""
    item = getattr(pouch_hookspecs, name)
    if inspect.isclass(item) or inspect.isfunction(item) or inspect.ismodule(item):
        assert item.__doc__
        assert not (inspect.isclass(item) and item.__doc__ == BaseModel.__doc__)


def test_public_names_are_sorted_and_unique() -> None:
    """One place for each."""
    names = pouch_hookspecs.__all__
    assert sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name)) == names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: error.__name__)
def test_error_says_what_and_what_to_do(error: Callable[..., errors.PouchError]) -> None:
    """Each has a message, may have a hint, and is explained."""
    plain, hinted = error("the disk is full"), error("the disk is full", hint="free some")
    assert (str(plain), plain.hint) == ("the disk is full", "")
    assert str(hinted) == "the disk is full (free some)"
    assert error.__doc__


def test_contract_imports_nothing_of_ours() -> None:
    """All that a plugin depends on: pluggy and pydantic."""
    program = "import sys, pouch_hookspecs; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    roots = {name.partition(".")[0] for name in loaded if name.startswith("pouch_")}
    assert roots == {"pouch_hookspecs"}
