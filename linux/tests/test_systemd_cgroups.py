"""Names of slices and scopes, as systemd and the OCI runtimes understand them."""

from __future__ import annotations

import pytest

from pouch_linux.cgroups import is_slice, is_systemd_form, scope_path, systemd_form


@pytest.mark.parametrize(
    ("slice_", "path"),
    [
        ("pouch.slice", "/pouch.slice"),
        ("a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"),
        ("-.slice", ""),
    ],
)
def test_a_scope_is_in_its_slices(slice_: str, path: str) -> None:
    """A dash in a slice's name is a step down (systemd.slice(5))."""
    assert scope_path(systemd_form(slice_, "pouch", "0123")) == f"{path}/pouch-0123.scope"


@pytest.mark.parametrize(
    "name",
    ["", "pouch", ".slice", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice", "a b.slice", "a" * 250 + ".slice"],
)
def test_what_is_no_slice(name: str) -> None:
    """Is refused before a runtime or systemd sees it."""
    assert not is_slice(name)
    with pytest.raises(ValueError, match="is not the name of a slice"):
        systemd_form(name, "pouch", "0123")


@pytest.mark.parametrize(
    ("cgroup", "expected"), [("pouch.slice:pouch:0123", True), ("/pouch/0123", False), ("/a:b:c", False), ("", False)]
)
def test_the_two_forms_are_told_apart(cgroup: str, expected: bool) -> None:
    """A path is absolute, whatever is in it."""
    assert is_systemd_form(cgroup) is expected
