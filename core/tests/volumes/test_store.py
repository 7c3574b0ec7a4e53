"""The volumes that the engine knows, on the real driver `local`."""

from __future__ import annotations

import shutil
import textwrap
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pouch_engine.config import parse_config
from pouch_engine.events.bus import Events
from pouch_engine.plugins.registry import Registry
from pouch_engine.state.database import Database
from pouch_engine.volumes.store import Volumes
from pouch_hookspecs.errors import Conflict, DataDamaged, InvalidArgument, NotFound, Unavailable

CONFIG = """
[volumes.second]
driver = "local"
"""


class Store:
    """A store that can be opened again, as after a daemon restart."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[tuple[str, str]] = []
        self.database = Database(root / "state.db")
        self.volumes = self.open()

    def open(self) -> Volumes:
        """Open it anew on the same database."""
        registry = Registry(parse_config(CONFIG, "test.toml"), self.root / "root", self.root / "run")
        events = Events()
        events.subscribe(lambda event: self.told.append((event.action, event.id)))
        return Volumes(self.database, registry, events)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    made = Store(tmp_path)
    yield made
    made.database.close()


def nobody(_name: str) -> list[str]:
    """No container uses it."""
    return []


def test_named_volume_exists_on_disk(store: Store) -> None:
    """It is the default driver's, fresh and not anonymous."""
    volume = store.volumes.create("data")
    assert (volume.name, volume.driver, volume.fresh, volume.anonymous) == ("data", "local", True, False)
    assert store.volumes.inspect("data").mountpoint.is_dir()
    assert store.told == [("create", "data")]


def test_volume_without_a_name_is_anonymous(store: Store) -> None:
    """It gets a name of 64 digits that nobody else has."""
    one, two = store.volumes.create(), store.volumes.create()
    assert one.anonymous
    assert len(one.name) == 64
    assert one.name != two.name


def test_creating_again_gives_the_same(store: Store) -> None:
    """Without an event, and whatever labels come with it."""
    first = store.volumes.create("data", labels={"a": "1"})
    assert store.volumes.create("data", labels={"b": "2"}) == first
    assert store.told == [("create", "data")]


def test_creating_again_with_the_same_driver(store: Store) -> None:
    """Naming the driver that it has is no conflict."""
    assert store.volumes.create("data", "second") == store.volumes.create("data", "second")


def test_name_of_another_driver(store: Store) -> None:
    """The conflict names both."""
    store.volumes.create("data", "second")
    with pytest.raises(Conflict, match="volume data exists with driver second, not local"):
        store.volumes.create("data", "local")


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "-x", "a b", "ünï", "a\n", "x" * 256])
def test_name_that_is_none(store: Store, name: str) -> None:
    """Nothing is made."""
    with pytest.raises(InvalidArgument, match="volume name"):
        store.volumes.create(name)
    assert store.volumes.all() == []


def test_unknown_driver(store: Store) -> None:
    """The error lists those that are; nothing is remembered."""
    with pytest.raises(InvalidArgument, match="unknown volume 'nosuch'; there are: local, second"):
        store.volumes.create("data", "nosuch")
    assert not store.volumes.exists("data")


def test_options_that_the_driver_refuses(store: Store) -> None:
    """Its words are the answer; nothing is remembered."""
    with pytest.raises(InvalidArgument, match="takes no options, but was given size"):
        store.volumes.create("data", options={"size": "1g"})
    assert not store.volumes.exists("data")


def test_volumes_survive_a_restart(store: Store) -> None:
    """With all that was recorded."""
    store.volumes.create("data", labels={"a": "1"})
    store.volumes.used("data")
    assert store.open().all() == store.volumes.all()
    assert not store.open().get("data").fresh


def test_all_are_sorted_by_name(store: Store) -> None:
    """Whatever the order of their making."""
    for name in "cab":
        store.volumes.create(name)
    assert [volume.name for volume in store.volumes.all()] == ["a", "b", "c"]


def test_removed_volume_is_gone_with_its_data(store: Store) -> None:
    """From memory, database and disk."""
    store.volumes.create("data")
    where = store.volumes.inspect("data").mountpoint
    store.volumes.remove("data", nobody)
    assert not store.volumes.exists("data")
    assert not store.open().exists("data")
    assert not where.exists()
    assert store.told == [("create", "data"), ("destroy", "data")]


def test_volume_in_use_stays(store: Store) -> None:
    """The containers are named."""
    store.volumes.create("data")
    with pytest.raises(Conflict, match="volume data is in use by web, db"):
        store.volumes.remove("data", lambda _name: ["web", "db"], force=True)
    assert store.volumes.inspect("data").mountpoint.is_dir()


def test_removing_what_is_not_there(store: Store) -> None:
    """An error, unless forced."""
    with pytest.raises(NotFound, match="no such volume: data"):
        store.volumes.remove("data", nobody)
    store.volumes.remove("data", nobody, force=True)


def test_volume_that_its_driver_has_lost(store: Store) -> None:
    """inspect says so; it can still be removed."""
    store.volumes.create("data")
    shutil.rmtree(store.volumes.inspect("data").mountpoint.parent)
    with pytest.raises(NotFound, match="its driver local no longer has it"):
        store.volumes.inspect("data")
    store.volumes.remove("data", nobody)
    assert not store.volumes.exists("data")


def test_mount_gives_the_data(store: Store) -> None:
    """Unmounting is fine twice, and for a volume that is gone."""
    store.volumes.create("data")
    assert store.volumes.mount("data", "c1") == store.volumes.inspect("data").mountpoint
    store.volumes.unmount("data", "c1")
    store.volumes.unmount("data", "c1")
    store.volumes.remove("data", nobody)
    store.volumes.unmount("data", "c1")


def test_fresh_volume_has_its_directory_for_quota(store: Store) -> None:
    """Or the reason why not; one with data has none."""
    store.volumes.create("data")
    prepared = store.volumes.prepare("data")
    assert prepared.quota_dir == store.volumes.inspect("data").mountpoint or prepared.quota_reason
    (store.volumes.inspect("data").mountpoint / "file").touch()
    assert store.volumes.prepare("data").quota_dir is None


def test_record_that_can_not_be_read(store: Store) -> None:
    """The volume is named."""
    store.volumes.create("data")
    with store.database.transaction() as connection:
        connection.execute("UPDATE volumes SET record = '{\"nonsense\": 1}'")
    with pytest.raises(DataDamaged, match="the record of volume data can not be read"):
        store.open()


def test_many_creators_of_one_name_make_one_volume(store: Store) -> None:
    """One event, one record."""
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: store.volumes.create("data"), range(16)))
    assert len({volume.created_at for volume in made}) == 1
    assert store.told == [("create", "data")]


def test_driver_of_the_configuration_that_is_not_usable(store: Store) -> None:
    """The reason is the answer."""
    registry = Registry(parse_config("[volumes.local]\nx = 1", "test.toml"), store.root / "root2", store.root / "run2")
    with pytest.raises(Unavailable, match="volume local is broken: handler local has no option x"):
        Volumes(store.database, registry, Events()).create("data")


HANGING = """
import threading
from pathlib import Path
from pydantic import BaseModel
from pouch_hookspecs import VolumeInfo, hookimpl

class Plugin:
    api = "0.1"
    class Options(BaseModel): pass
    def __init__(self, handler): pass
    @hookimpl
    def volume_create(self, config):
        threading.entered.set()
        threading.gate.wait(30)
        return VolumeInfo(name=config.name, mountpoint=Path("/"))
    @hookimpl
    def volume_mount(self, name): return Path("/")
    @hookimpl
    def volume_unmount(self, name): pass
    @hookimpl
    def volume_remove(self, name): pass
    @hookimpl
    def volume_list(self): return ()
    @hookimpl
    def volume_inspect(self, name): return None
"""


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """A volume driver `hanging` is installed; the first event tells that it hangs, the second lets it go."""
    site = tmp_path / "site"
    info = site / "example_hanging-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: example-hanging\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pouch.volume]\nhanging = site_hanging_volume:Plugin\n")
    (site / "site_hanging_volume.py").write_text(textwrap.dedent(HANGING))
    monkeypatch.syspath_prepend(str(site))
    entered, gate = threading.Event(), threading.Event()
    monkeypatch.setattr(threading, "entered", entered, raising=False)
    monkeypatch.setattr(threading, "gate", gate, raising=False)
    yield entered, gate
    gate.set()


def test_driver_that_hangs_keeps_nobody_from_other_volumes(
    gates: tuple[threading.Event, threading.Event], store: Store
) -> None:
    """Only its own volume waits."""
    entered, gate = gates
    volumes = store.open()
    create: Callable[..., object] = volumes.create
    with ThreadPoolExecutor(1) as threads:
        hanging = threads.submit(create, "slow", "hanging")
        assert entered.wait(10)
        assert volumes.create("fast").name == "fast"
        volumes.remove("fast", nobody)
        assert not volumes.exists("slow")
        gate.set()
        hanging.result(30)
    assert volumes.exists("slow")
