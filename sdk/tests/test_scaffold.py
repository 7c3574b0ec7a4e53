"""Packages made by `python -m pouch_sdk new` install with pip and pass their own tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pouch_hookspecs.errors import Conflict, InvalidArgument
from pouch_sdk.scaffold import new_package


def _run(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "tests"),
    [("runtime", "test_exit_code or test_check_finds_what_it_needs or test_exec_input"), ("isolation", "test")],
)
def test_new_package_works(tmp_path: Path, kind: str, tests: str) -> None:
    """It is written, installed with pip, and its tests pass (of a runtime's conformance suite: a few)."""
    pytest.importorskip("hatchling", reason="pip needs the build backend, which is not to be downloaded here")
    _run("pouch_sdk", "new", kind, "made-here", "--directory", str(tmp_path))
    package, site = tmp_path / "pouch-made-here", tmp_path / "site"
    _run("pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target", str(site), str(package))
    output = _run("pytest", "-q", "-p", "no:cacheprovider", str(package / "tests"), "-k", tests, PYTHONPATH=str(site))
    assert " passed" in output
    assert "failed" not in output


def test_taken_folder_is_refused(tmp_path: Path) -> None:
    """It raises Conflict, and what is there stays."""
    new_package("runtime", "twice", tmp_path)
    with pytest.raises(Conflict, match="pouch-twice"):
        new_package("runtime", "twice", tmp_path)


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-x", "x-", "a/b", "..", "é"])
def test_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    """It raises InvalidArgument that says what a name looks like, and writes nothing."""
    with pytest.raises(InvalidArgument, match="expected lower case"):
        new_package("runtime", name, tmp_path)
    assert list(tmp_path.iterdir()) == []
