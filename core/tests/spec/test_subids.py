"""Sub-ids from files as subuid(5) has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pouch_engine.spec.subids import sub_ids
from pouch_hookspecs.errors import InvalidArgument


def files(tmp_path: Path, text: str) -> tuple[Path, Path]:
    """Both files with one text."""
    paths = tmp_path / "subuid", tmp_path / "subgid"
    for path in paths:
        path.write_text(text)
    return paths


def test_default(tmp_path: Path) -> None:
    """`default` means the lines of pouch."""
    mappings = sub_ids("default", *files(tmp_path, "other:1:1\npouch:100000:65536\n"))
    assert [(e.container_id, e.host_id, e.size) for e in mappings.uids] == [(0, 100000, 65536)]
    assert mappings.gids == mappings.uids


def test_ranges_follow_each_other(tmp_path: Path) -> None:
    """Several lines are one row of ids, from 0 on."""
    mappings = sub_ids("pouch", *files(tmp_path, "pouch:5000:10\npouch:9000:20\n"))
    assert [(e.container_id, e.host_id, e.size) for e in mappings.uids] == [(0, 5000, 10), (10, 9000, 20)]


def test_user_and_group(tmp_path: Path) -> None:
    """A group of its own."""
    mappings = sub_ids("a:b", *files(tmp_path, "a:1000:5\nb:2000:5\n"))
    assert (mappings.uids[0].host_id, mappings.gids[0].host_id) == (1000, 2000)


def test_by_number(tmp_path: Path) -> None:
    """A line may have the user's number for its name; root is 0 everywhere."""
    assert sub_ids("root", *files(tmp_path, "0:3000:7\n")).uids[0].host_id == 3000


@pytest.mark.parametrize(
    ("remap", "text", "words"),
    [
        ("pouch", "", "'pouch' has no sub-ids in"),
        ("pouch", "pouch:x:1\n", "is not of the form NAME:FIRST:COUNT"),
        ("pouch", "pouch:1:0\n", "is not of the form NAME:FIRST:COUNT"),
        ("pouch", "pouch:4294967290:100\n", "is not of the form NAME:FIRST:COUNT"),
        ("pouch", "pouch:-5:100\n", "is not of the form NAME:FIRST:COUNT"),
        (":x", "", "is not of the form default, USER or USER:GROUP"),
        ("x:", "", "is not of the form default, USER or USER:GROUP"),
    ],
)
def test_refused(tmp_path: Path, remap: str, text: str, words: str) -> None:
    """What can't be used is named."""
    with pytest.raises(InvalidArgument, match=words):
        sub_ids(remap, *files(tmp_path, text))


def test_without_the_files(tmp_path: Path) -> None:
    """A host without them has no sub-ids."""
    with pytest.raises(InvalidArgument, match="has no sub-ids"):
        sub_ids("pouch", tmp_path / "a", tmp_path / "b")
