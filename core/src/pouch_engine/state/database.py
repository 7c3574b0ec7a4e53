"""One SQLite database (WAL), used from all threads through one connection and one lock.

Writes of status are cheap (synchronous=NORMAL: a crash of the daemon loses nothing, a power cut at most the
last commits); `durable()` transactions also survive a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pouch_hookspecs.errors import DataDamaged, ResourceExhausted


class Database:
    """The connection. Rooms of the engine create their own tables with `define`.

    Raises:
        DataDamaged: the file is there and is no database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with self._translated():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise DataDamaged(f"database {path} is damaged: {verdict}")

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
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error:
                if self._connection.in_transaction:
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
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error) or "disk I/O" in str(error):
                raise ResourceExhausted(
                    f"database {self._path} can not be written: {error}", hint="free some disk space"
                ) from error
            raise
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise DataDamaged(
                f"database {self._path} can not be read: {error}", hint="restore it or move it away"
            ) from error
