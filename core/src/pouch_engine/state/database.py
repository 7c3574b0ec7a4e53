"""One SQLite database (WAL), used from all threads through one connection and one lock.

Writes of status are cheap (synchronous=NORMAL: a crash of the daemon loses nothing, a power cut at most the
last commits); `durable` transactions also survive a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pouch_hookspecs.errors import DataDamaged, PouchError, ResourceExhausted, Unavailable

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_BUSY)


class Database:
    """The connection. Rooms of the engine create their own tables with `define`.

    Raises:
        DataDamaged: the file is there and is no database, or a damaged one.
        Unavailable: it can not be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        with self._translated():
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        with self._translated():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise self._damaged(verdict)

    def define(self, statements: str) -> None:
        """Create a room's tables: `CREATE TABLE IF NOT EXISTS …; …`."""
        with self._lock, self._translated():
            self._connection.executescript(statements)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Run statements that all take effect or none; other threads wait meanwhile: keep it short.

        Args:
            durable: survive a power cut, too.

        Raises:
            ResourceExhausted: the disk is full; nothing was changed.
        """
        with self._lock, self._translated():
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # SQLite itself has rolled back where the disk was full
                    self._connection.execute("ROLLBACK")
                raise

    def query(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Read rows."""
        with self._lock, self._translated():
            return self._connection.execute(statement, parameters).fetchall()

    def close(self) -> None:
        """Close the connection; the write-ahead log is folded in."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What the disk is to blame for becomes an error of the contract; a mistake of ours stays what it is."""
        try:
            yield
        except sqlite3.Error as error:
            translated = self._error_for(error)
            if translated is None:
                raise
            raise translated from error

    def _error_for(self, error: sqlite3.Error) -> PouchError | None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without the extended part
        if code in _FULL:
            return ResourceExhausted(f"database {self._path} can not be written: {error}", hint="is the disk full?")
        if code in _DAMAGED:
            return self._damaged(str(error))
        if code in _UNUSABLE:
            return Unavailable(f"database {self._path} can not be used: {error}")
        return None

    def _damaged(self, why: str) -> DataDamaged:
        return DataDamaged(f"database {self._path} is damaged: {why}", hint="restore it from a copy, or move it away")
