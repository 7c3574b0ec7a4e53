"""The listening socket's modes, and who else is there."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pouch_engine.api.unix_socket import Listener
from pouch_hookspecs.errors import Conflict, InvalidArgument, PermissionDenied


@pytest.fixture(params=[0o000, 0o077], ids=["umask-000", "umask-077"])
def any_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    """Under a umask."""
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("any_umask")
def test_modes(place: Path) -> None:
    """0660 root:root in a directory of 0711, whatever the umask."""
    listener = Listener(place / "new" / "p.sock")
    found = (place / "new" / "p.sock").stat()
    listener.close()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o660, 0, 0)
    assert stat.S_IMODE((place / "new").stat().st_mode) == 0o711


def test_a_group(place: Path) -> None:
    """The group that is named may connect."""
    listener = Listener(place / "p.sock", "daemon")
    group = (place / "p.sock").stat().st_gid
    listener.close()
    assert group == 1


def test_an_unknown_group(place: Path) -> None:
    """Is named, and nothing is made."""
    with pytest.raises(InvalidArgument, match="no group 'nosuchgroup'"):
        Listener(place / "p.sock", "nosuchgroup")
    assert not (place / "p.sock").exists()


def test_a_stale_socket_is_replaced(place: Path) -> None:
    """A daemon that was killed leaves its file."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "p.sock"))
    listener = Listener(place / "p.sock")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "p.sock"))
    listener.close()
    assert not (place / "p.sock").exists()


def test_a_living_one_is_not(place: Path) -> None:
    """Two daemons never share a socket."""
    first = Listener(place / "p.sock")
    with pytest.raises(Conflict, match="somebody listens"):
        Listener(place / "p.sock")
    first.close()


def test_another_file_is_never_removed(place: Path) -> None:
    """A mistaken --socket costs nobody's file."""
    (place / "file").write_text("precious")
    with pytest.raises(Conflict, match="is no socket"):
        Listener(place / "file")
    assert (place / "file").read_text() == "precious"


def test_a_successors_socket_stays(place: Path) -> None:
    """Closing removes only one's own file."""
    first = Listener(place / "p.sock")
    (place / "p.sock").unlink()
    second = Listener(place / "p.sock")
    first.close()
    assert (place / "p.sock").exists()
    second.close()


def test_a_directory_that_everybody_can_write(place: Path) -> None:
    """Somebody could put another socket in our place (CVE-2021-41103's kind)."""
    (place / "open").mkdir()
    (place / "open").chmod(0o777)
    with pytest.raises(PermissionDenied, match="can replace a socket"):
        Listener(place / "open" / "p.sock")


def test_a_path_too_long(place: Path) -> None:
    """unix(7): 108 bytes."""
    with pytest.raises(InvalidArgument, match="can not listen"):
        Listener(place / ("x" * 120))
