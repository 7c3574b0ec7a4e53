"""Who a process is: names and numbers, resolved by files that are hostile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pouch_engine.spec.users import FILE_LIMIT, resolve_user, user_by_number
from pouch_hookspecs import User
from pouch_hookspecs.errors import DataDamaged, InvalidArgument
from pouch_linux.paths import Root

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1::/:/bin/false
web:x:1000:1001:web:/home/web:/bin/sh
twin:x:1000:7::/:/bin/sh
4242:x:4243:4243::/:/bin/sh
# comment:x:5:5::/:/bin/sh
short:x:6
over:x:4294967295:0::/:
minus:x:-1:0::/:
hex:x:0x0:0::/:
score:x:1_0:0::/:
arabic:x:٣:0::/:
plus:x:+1:0::/:
"""
GROUP = """\
root:x:0:
web:x:1001:
logs:x:50:web,other
media:x:60:web
own:x:1001:web
4242:x:77:
broken:x:many:web
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A root file system with a passwd and a group file."""
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_text(PASSWD)
    (tmp_path / "root/etc/group").write_text(GROUP)
    return tmp_path / "root"


Resolve = Callable[..., User]


@pytest.fixture
def resolve(directory: Path) -> Iterator[Resolve]:
    """Resolve a text in it."""
    with Root(directory) as root:
        yield lambda text, *groups: resolve_user(root, text, groups)


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("", User(uid=0, gid=0)),
        ("root", User(uid=0, gid=0)),
        ("0", User(uid=0, gid=0)),
        ("web", User(uid=1000, gid=1001, additional_gids=(50, 60))),
        ("1000", User(uid=1000, gid=1001, additional_gids=(50, 60))),
        ("web:logs", User(uid=1000, gid=50)),
        ("web:60", User(uid=1000, gid=60)),
        ("web:9999", User(uid=1000, gid=9999)),
        (":logs", User(uid=0, gid=50)),
        ("5555", User(uid=5555, gid=0)),
        ("5555:66", User(uid=5555, gid=66)),
        ("twin", User(uid=1000, gid=7)),
        ("4242", User(uid=4243, gid=4243)),
        ("5555:4242", User(uid=5555, gid=77)),
        ("4294967294", User(uid=2**32 - 2, gid=0)),
        ("0000", User(uid=0, gid=0)),
    ],
)
def test_user_is_resolved_as_docker_does(resolve: Resolve, text: str, user: User) -> None:
    """Names first where passwd has them, then numbers; a named group replaces the user's own."""
    assert resolve(text) == user


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("4294967295", "user id 4294967295 is out of range: 0 to 4294967294"),
        ("4294967296", "out of range"),
        ("18446744073709551616", "out of range"),
        ("9" * 5000, "out of range"),
        ("-1", "'-1' is neither a name nor a plain decimal number"),
        ("+0", "neither a name nor a plain decimal number"),
        ("0x0", "unable to find user 0x0: no matching entries in passwd file"),
        ("1_0", "unable to find user 1_0"),
        ("٣", "neither a name nor a plain decimal number"),
        ("²", "unable to find user ²"),
        ("1e3", "unable to find user 1e3"),
        ("nosuch", "unable to find user nosuch"),
        ("Web", "unable to find user Web"),
        ("web ", "unable to find user web "),
        ("web\n", "unable to find user"),
        ("web\0", "unable to find user"),
        ("# comment", "unable to find user"),
        ("short", "unable to find user short"),
        ("over", "unable to find user over"),
        ("minus", "unable to find user minus"),
        ("hex", "unable to find user hex"),
        ("score", "unable to find user score"),
        ("arabic", "unable to find user arabic"),
        ("plus", "unable to find user plus"),
        ("web:", "the group after ':' is missing"),
        (":", "the group after ':' is missing"),
        ("web:nosuch", "unable to find group nosuch: no matching entries in group file"),
        ("web:broken", "unable to find group broken"),
        ("web:-1", "group '-1' is neither a name nor a plain decimal number"),
        ("web:4294967295", "group id 4294967295 is out of range"),
        ("web:1:2", "unable to find group 1:2"),
    ],
)
def test_user_that_can_not_be(resolve: Resolve, text: str, words: str) -> None:
    """Overflow, sign, hexadecimal, separators, Unicode's digits: none of it is a number, and none becomes root."""
    with pytest.raises(InvalidArgument) as caught:
        resolve(text)
    assert words in caught.value.message


def test_further_groups(resolve: Resolve) -> None:
    """By name or number, each once, after those of the group file."""
    assert resolve("web", "70", "logs", "root", "70").additional_gids == (50, 60, 70, 0)


@pytest.mark.parametrize("group", ["nosuch", "-1", "٣", "4294967295", ""])
def test_further_group_that_can_not_be(resolve: Resolve, group: str) -> None:
    """As strict as the user's own."""
    with pytest.raises(InvalidArgument):
        resolve("web", group)


@pytest.mark.parametrize("name", ["passwd", "group"])
def test_giant_file_is_refused(directory: Path, resolve: Resolve, name: str) -> None:
    """It is damage, not emptiness: an image must not hide users by the size of a file (CVE-2026-47262)."""
    with (directory / "etc" / name).open("a") as file:
        file.write("x" * (FILE_LIMIT + 1))
    with pytest.raises(DataDamaged, match=f"/etc/{name} in the image is longer than {FILE_LIMIT} bytes"):
        resolve("web")


def test_largest_file_is_read_to_its_end(directory: Path, resolve: Resolve) -> None:
    """The last line counts."""
    last = "\nlast:x:8:9::/:\n"
    (directory / "etc/passwd").write_text("#" * (FILE_LIMIT - len(last)) + last)
    assert resolve("last") == User(uid=8, gid=9)


def _nothing(path: Path) -> None:
    path.unlink()


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _device(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o20666, os.makedev(1, 5))  # /dev/zero: endless


@pytest.mark.parametrize("spoil", [_nothing, _directory, _fifo, _loop, _device])
def test_passwd_that_is_no_file(directory: Path, resolve: Resolve, spoil: Callable[[Path], None]) -> None:
    """As good as empty: numbers work, names are not found, and nothing hangs."""
    spoil(directory / "etc/passwd")
    assert resolve("1000") == User(uid=1000, gid=0)
    with pytest.raises(InvalidArgument, match="unable to find user web"):
        resolve("web")


@pytest.mark.parametrize("target", ["{outside}", "../../outside", "/../../outside", "/proc/self/root{outside}"])
def test_passwd_that_leads_outside(directory: Path, resolve: Resolve, target: str) -> None:
    """A link is followed inside the root only: the host's users are not the image's."""
    outside = directory.parent / "outside"
    outside.write_text("intruder:x:0:0::/:\n")
    (directory / "etc/passwd").unlink()
    (directory / "etc/passwd").symlink_to(target.format(outside=outside))
    with pytest.raises(InvalidArgument, match="unable to find user intruder"):
        resolve("intruder")


def test_passwd_that_is_a_link_inside(directory: Path, resolve: Resolve) -> None:
    """Absolute links mean the image's own root."""
    (directory / "etc/passwd").rename(directory / "users")
    (directory / "etc/passwd").symlink_to("/users")
    assert resolve("web").uid == 1000


def test_only_newlines_end_a_line(directory: Path, resolve: Resolve) -> None:
    """Unicode's line separators are part of a name, as for libc."""
    (directory / "etc/passwd").write_text("a\u2028root2:x:0:0::/:\nb:x:5:5::/:\x85evil:x:0:0::/:\n")
    for name in ("root2", "evil"):
        with pytest.raises(InvalidArgument):
            resolve(name)
    assert resolve("b").uid == 5


def test_file_that_is_no_text(directory: Path, resolve: Resolve) -> None:
    """Other lines still count."""
    (directory / "etc/passwd").write_bytes(b"\xff\xfe:x:0:0::/:\nweb:x:1000:1001::/:\n")
    assert resolve("web").uid == 1000


@given(st.text())
def test_any_text_is_a_user_of_the_image_a_number_or_refused(text: str) -> None:
    """Nothing else ever becomes a user."""
    with Root("/proc/self/fdinfo") as root, contextlib.suppress(InvalidArgument):  # no etc there
        user = resolve_user(root, text)
        assert text == "" or set(text) <= set("0123456789:")
        assert 0 <= user.uid <= 2**32 - 2


@pytest.mark.parametrize(
    ("text", "user"),
    [("", User()), ("5", User(uid=5)), ("5:6", User(uid=5, gid=6)), ("4294967294", User(uid=2**32 - 2))],
)
def test_numbers_without_a_root_file_system(text: str, user: User) -> None:
    """Where it can't be looked at."""
    assert user_by_number(text) == user


@pytest.mark.parametrize("text", ["root", "5:", "5:x", ":x", "4294967295", "-1", "1_0", "٣", "5:6:7"])
def test_what_needs_a_root_file_system(text: str) -> None:
    """As strict as with one."""
    with pytest.raises(InvalidArgument):
        user_by_number(text)
