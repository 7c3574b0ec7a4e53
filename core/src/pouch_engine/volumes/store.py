"""The volumes that the engine knows, and which driver keeps each."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from weakref import WeakValueDictionary

from pydantic import Field, ValidationError

from pouch_engine.events.bus import Events
from pouch_engine.plugins.registry import Registry
from pouch_engine.state.database import Database
from pouch_hookspecs import Model, PreparedVolume, VolumeConfig, VolumeInfo
from pouch_hookspecs.errors import Conflict, DataDamaged, InvalidArgument, NotFound

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}", re.ASCII)
_TABLES = "CREATE TABLE IF NOT EXISTS volumes (name TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID;"


class Volume(Model):
    """The record of a volume.

    Attributes:
        name: unique.
        driver: the handler's name.
        options: the driver's own.
        labels: for people.
        created_at: UTC.
        anonymous: made for one container that did not name it.
        fresh: nothing was ever put into it: image data is copied up on its first use.
    """

    name: str
    driver: str
    options: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    anonymous: bool = False
    fresh: bool = True


class Volumes:
    """The table of volumes and the way to their drivers.

    A driver is called with the lock of its volume only: one that hangs keeps nobody from other volumes.
    """

    def __init__(self, database: Database, registry: Registry, events: Events) -> None:
        self._database = database
        self._registry = registry
        self._events = events
        self._lock = threading.Lock()
        self._changing: WeakValueDictionary[str, threading.RLock] = WeakValueDictionary()
        database.define(_TABLES)
        rows = database.query("SELECT name, record FROM volumes")
        self._volumes = {str(name): _stored(str(name), str(text)) for name, text in rows}

    def create(
        self,
        name: str = "",
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        *,
        anonymous: bool = False,
    ) -> Volume:
        """Make a volume; one of this name with the same driver is given back as it is.

        Args:
            name: empty: an anonymous one.
            driver: a volume handler; empty for `local`.
            options: the driver's own.
            labels: for people.
            anonymous: it belongs to one container that did not name it; always so without a name.

        Raises:
            InvalidArgument: a name that is none, or options that the driver refuses.
            Conflict: the name is another driver's.
        """
        volume = Volume(
            name=name or secrets.token_hex(32),
            driver=driver or "local",
            options=options or {},
            labels=labels or {},
            anonymous=anonymous or not name,
        )
        if not _NAME.fullmatch(volume.name):
            raise InvalidArgument(f"volume name {name!r} is not valid: only [a-zA-Z0-9][a-zA-Z0-9_.-]* is allowed")
        with self._lock_of(volume.name):
            if self.exists(volume.name):
                known = self.get(volume.name)
                if driver and known.driver != driver:
                    raise Conflict(f"volume {name} exists with driver {known.driver}, not {driver}")
                return known
            config = VolumeConfig(name=volume.name, options=volume.options, labels=volume.labels)
            self._registry.volume(volume.driver).volume_create(config=config)
            self._store(volume)
        self._events.emit("volume", "create", volume.name, {"driver": volume.driver})
        return volume

    def get(self, name: str) -> Volume:
        """Find by name.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            found = self._volumes.get(name)
        if found is None:
            raise NotFound(f"no such volume: {name}", hint="see `pouch volume ls`")
        return found

    def exists(self, name: str) -> bool:
        """Tell whether there is one of this name."""
        with self._lock:
            return name in self._volumes

    def all(self) -> list[Volume]:
        """All volumes by name."""
        with self._lock:
            return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def inspect(self, name: str) -> VolumeInfo:
        """What its driver says of it.

        Raises:
            NotFound: there is none, or its driver has lost it.
        """
        volume = self.get(name)
        info = self._registry.volume(volume.driver).volume_inspect(name=name)
        if info is None:
            raise NotFound(f"volume {name} is known, but its driver {volume.driver} no longer has it")
        return info

    def prepare(self, name: str) -> PreparedVolume:
        """The directory above all data of a fresh volume, for quota."""
        prepared = self._registry.volume(self.get(name).driver).volume_prepare(name=name)
        return prepared or PreparedVolume(quota_reason="its driver has no such directory")

    def mount(self, name: str, container_id: str) -> Path:
        """Make the data available for a container, and say where."""
        return self._registry.volume(self.get(name).driver).volume_mount(name=name, container=container_id)

    def unmount(self, name: str, container_id: str) -> None:
        """The container no longer uses it; one that is gone is fine."""
        if self.exists(name):
            self._registry.volume(self.get(name).driver).volume_unmount(name=name, container=container_id)

    def used(self, name: str) -> None:
        """It holds data from now on: nothing is copied up into it any more."""
        with self._lock_of(name):
            volume = self.get(name)
            if volume.fresh:
                self._store(volume.model_copy(update={"fresh": False}))

    def remove(self, name: str, users: Callable[[str], list[str]], *, force: bool = False) -> None:
        """Remove a volume with its data.

        Args:
            name: which one.
            users: names of the containers that use a volume.
            force: one that is not there is fine.

        Raises:
            NotFound: there is none.
            Conflict: containers use it.
        """
        with self._lock_of(name):
            if force and not self.exists(name):
                return
            volume = self.get(name)
            in_use = users(name)
            if in_use:
                raise Conflict(f"volume {name} is in use by {', '.join(in_use)}", hint="remove these containers first")
            self._registry.volume(volume.driver).volume_remove(name=name)
            with self._database.transaction(durable=True) as connection:
                connection.execute("DELETE FROM volumes WHERE name = ?", (name,))
            with self._lock:
                del self._volumes[name]
        self._events.emit("volume", "destroy", name, {"driver": volume.driver})

    def _store(self, volume: Volume) -> None:
        with self._database.transaction(durable=True) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO volumes (name, record) VALUES (?, ?)", (volume.name, volume.model_dump_json())
            )
        with self._lock:
            self._volumes[volume.name] = volume

    def _lock_of(self, name: str) -> threading.RLock:
        """Whoever changes this volume holds it; it is there as long as somebody does."""
        with self._lock:
            return self._changing.setdefault(name, threading.RLock())


def _stored(name: str, text: str) -> Volume:
    try:
        return Volume.model_validate_json(text)
    except ValidationError as error:
        raise DataDamaged(f"the record of volume {name} can not be read: {error.errors()[0]['msg']}") from error
