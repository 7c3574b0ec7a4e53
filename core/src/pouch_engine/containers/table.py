"""All containers: in memory for reading, in SQLite for ever, one writer.

A name belongs to one container; it can be let go before the container itself is gone (`--rm`).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pouch_engine.state.database import Database
from pouch_hookspecs.errors import Conflict, InvalidArgument, NotFound

from .names import checked_name
from .record import Container, Intent, State, Status

_TABLES = """
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY,
    name TEXT UNIQUE,
    record TEXT NOT NULL
) WITHOUT ROWID;
"""


class Containers:
    """The table."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.define(_TABLES)
        self._guard = threading.RLock()
        self._records: dict[str, Container] = {}
        self._names: dict[str, str] = {}
        self._locks: dict[str, threading.Lock] = {}
        for id_, name, text in database.query("SELECT id, name, record FROM containers"):
            self._records[str(id_)] = Container.model_validate_json(str(text))
            if name is not None:
                self._names[str(name)] = str(id_)

    @contextmanager
    def changing(self, container_id: str) -> Iterator[None]:
        """Hold the container's lock: one changing operation at a time."""
        with self._guard:
            lock = self._locks.setdefault(container_id, threading.Lock())
        with lock:
            yield

    def settle(self, seconds: float) -> None:
        """Wait for the removals that go on behind an answer (--rm), each at most so long."""
        with self._guard:
            busy = [
                lock
                for id_, lock in self._locks.items()
                if id_ in self._records and self._records[id_].intent is Intent.REMOVING
            ]
        for lock in busy:
            if lock.acquire(timeout=seconds):
                lock.release()

    def insert(self, container: Container) -> None:
        """Add a new one.

        Raises:
            Conflict: name or id is in use.
        """
        with self._guard:
            holder = self._names.get(container.name)
            if holder is not None:
                raise Conflict(
                    f'the container name "/{container.name}" is already in use by container {holder[:12]}',
                    hint="remove or rename that container to use the name again",
                )
            if container.id in self._records:
                raise Conflict(f"the container id {container.id} is already in use")
            # Of a container that goes with its end (--rm), nothing needs to be known after a power cut.
            with self._database.transaction(durable=not container.config.auto_remove) as connection:
                self._store(connection, container, container.name)
            self._records[container.id] = container
            self._names[container.name] = container.id

    def get(self, container_id: str) -> Container:
        """The record of a full id.

        Raises:
            NotFound: there is none.
        """
        with self._guard:
            record = self._records.get(container_id)
        if record is None:
            raise NotFound(f"no such container: {container_id[:12]}")
        return record

    def find(self, text: str) -> Container:
        """Find by full id, name, or unique prefix of an id, in this order.

        Raises:
            NotFound: nothing fits.
            InvalidArgument: several ids begin so.
        """
        with self._guard:
            bare = text.removeprefix("/")
            found = self._records.get(bare) or self._records.get(self._names.get(bare, ""))
            if found is not None:
                return found
            begins = [record for id_, record in self._records.items() if bare and id_.startswith(bare)]
        if len(begins) > 1:
            candidates = ", ".join(f"{record.id[:12]} ({record.name})" for record in begins[:5])
            raise InvalidArgument(f"container id {text} is ambiguous: {candidates}", hint="write more digits")
        if not begins:
            raise NotFound(f"no such container: {text}", hint="see `pouch ps -a`")
        return begins[0]

    def all(self) -> list[Container]:
        """All records, newest first."""
        with self._guard:
            return sorted(self._records.values(), key=lambda record: record.created_at, reverse=True)

    def update(self, container_id: str, **changes: Any) -> Container:
        """Replace fields of a record, in memory and on disk."""
        with self._guard:
            record = self.get(container_id).model_copy(update=changes)
            name = record.name if self._names.get(record.name) == record.id else None
            with self._database.transaction() as connection:
                self._store(connection, record, name)
            self._records[record.id] = record
            return record

    def update_state(self, container_id: str, *, intent: Intent | None = None, **changes: Any) -> Container:
        """Replace fields of a record's state, and its intent."""
        with self._guard:
            state: State = self.get(container_id).state.model_copy(update=changes)
            return self.update(container_id, state=state, **({} if intent is None else {"intent": intent}))

    def replace_status(self, container_id: str, expected: Status, status: Status) -> bool:
        """Replace the status if it is the expected one, for who does not hold the lock; False if it is another."""
        with self._guard:
            if self.get(container_id).state.status is not expected:
                return False
            self.update_state(container_id, status=status)
            return True

    def rename(self, container_id: str, new_name: str) -> Container:
        """Give another name.

        Raises:
            Conflict: it is in use.
            InvalidArgument: it is no name.
        """
        new_name = checked_name(new_name)
        with self._guard:
            record = self.get(container_id)
            holder = self._names.get(new_name)
            if holder is not None:
                raise Conflict(f'the container name "/{new_name}" is already in use by container {holder[:12]}')
            renamed = record.model_copy(update={"name": new_name})
            with self._database.transaction(durable=True) as connection:
                self._store(connection, renamed, new_name)
            self._names.pop(record.name, None)
            self._names[new_name] = container_id
            self._records[container_id] = renamed
            return renamed

    def release_name(self, container_id: str, **changes: Any) -> Container:
        """Change the record and let its name go, in one transaction: somebody else may take it from now on."""
        with self._guard:
            record = self.get(container_id).model_copy(update=changes)
            with self._database.transaction() as connection:
                self._store(connection, record, None)
            if self._names.get(record.name) == container_id:
                del self._names[record.name]
            self._records[container_id] = record
            return record

    def delete(self, container_id: str) -> None:
        """Forget it; again is fine."""
        with self._guard:
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM containers WHERE id = ?", (container_id,))
            record = self._records.pop(container_id, None)
            if record is not None and self._names.get(record.name) == container_id:
                del self._names[record.name]
            self._locks.pop(container_id, None)

    @staticmethod
    def _store(connection: sqlite3.Connection, record: Container, name: str | None) -> None:
        connection.execute(
            "INSERT INTO containers (id, name, record) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, record = excluded.record",
            (record.id, name, record.model_dump_json()),
        )
