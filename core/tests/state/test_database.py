"""The database: all or nothing, whatever happens to the disk or the daemon."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pouch_engine.state.database import Database
from pouch_hookspecs.errors import DataDamaged, ResourceExhausted, Unavailable
from pouch_linux import mounts

TABLE = "CREATE TABLE IF NOT EXISTS things (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An open database with one table."""
    opened = Database(tmp_path / "state.db")
    opened.define(TABLE)
    yield opened
    opened.close()


def put(database: Database, name: str, value: str = "x", *, durable: bool = False) -> None:
    """One transaction that inserts one row."""
    with database.transaction(durable=durable) as connection:
        connection.execute("INSERT INTO things VALUES (?, ?)", (name, value))


def put_and_raise(database: Database, error: type[BaseException]) -> None:
    """A transaction that inserts one row and fails then."""
    with database.transaction() as connection:
        connection.execute("INSERT INTO things VALUES ('a', 'x')")
        raise error


def put_both(database: Database, one: str, other: str, *, value: str = "x", durable: bool = False) -> None:
    """One transaction that inserts two rows, the second with a value."""
    with database.transaction(durable=durable) as connection:
        connection.execute("INSERT INTO things VALUES (?, 'x')", (one,))
        connection.execute("INSERT INTO things VALUES (?, ?)", (other, value))


def names(database: Database) -> list[str]:
    """What is in the table."""
    return [str(name) for (name,) in database.query("SELECT name FROM things ORDER BY name")]


def test_transaction_takes_effect(database: Database) -> None:
    """Rows are there afterwards."""
    put(database, "a")
    assert names(database) == ["a"]


def test_transaction_that_fails_changes_nothing(database: Database) -> None:
    """Also what came before the failure; the error is the one that was raised."""
    with pytest.raises(ZeroDivisionError):
        put_and_raise(database, ZeroDivisionError)
    assert names(database) == []


def test_transaction_that_is_broken_off_changes_nothing(database: Database) -> None:
    """SystemExit and the like, too."""
    with pytest.raises(SystemExit):
        put_and_raise(database, SystemExit)
    put(database, "b")
    assert names(database) == ["b"]


def test_statement_that_fails_takes_the_others_with_it(database: Database) -> None:
    """A constraint stays sqlite3's own error: the caller knows what it means."""
    put(database, "a")
    with pytest.raises(sqlite3.IntegrityError):
        put_both(database, "b", "a")
    assert names(database) == ["a"]


def test_mistake_in_a_statement_is_no_damage(database: Database) -> None:
    """Our own mistake must not tell an operator to restore a copy."""
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.query("SELECT * FROM nosuch")


def test_use_after_close_is_no_damage(tmp_path: Path) -> None:
    """The same for a daemon that ends."""
    closed = Database(tmp_path / "state.db")
    closed.close()
    with pytest.raises(sqlite3.ProgrammingError):
        closed.query("SELECT 1")


def test_tables_may_be_defined_again(database: Database) -> None:
    """Each start does it; data stays."""
    put(database, "a")
    database.define(TABLE)
    assert names(database) == ["a"]


@pytest.mark.parametrize("durable", [False, True])
def test_killed_daemon_loses_nothing_that_was_committed(tmp_path: Path, durable: bool) -> None:
    """SIGKILL right after a commit and in the middle of the next transaction."""
    program = f"""
import os, sys
sys.path[:] = {sys.path!r}
from pathlib import Path
from pouch_engine.state.database import Database
database = Database(Path({str(tmp_path / "state.db")!r}))
database.define({TABLE!r})
with database.transaction(durable={durable}) as connection:
    connection.execute("INSERT INTO things VALUES ('whole', 'x')")
with database.transaction() as connection:
    connection.execute("INSERT INTO things VALUES ('half', 'x')")
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    reopened = Database(tmp_path / "state.db")
    assert names(reopened) == ["whole"]
    reopened.close()


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """The path is named, and what to do."""
    path = tmp_path / "state.db"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(DataDamaged, match=f"{path} is damaged.*move it away"):
        Database(path)


def test_database_with_a_damaged_page(tmp_path: Path) -> None:
    """It is found at the start, not by the container that reads that page."""
    path = tmp_path / "state.db"
    made = Database(path)
    made.define(TABLE)
    for number in range(200):
        put(made, f"name{number}", "value" * 50)
    made.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 4096)
    with pytest.raises(DataDamaged, match=str(path)):
        Database(path)


def test_damaged_database_is_left_as_it_is(tmp_path: Path) -> None:
    """Nothing else is touched: whoever mends it needs the evidence."""
    path = tmp_path / "state.db"
    content = b"this is no database at all" * 100
    path.write_bytes(content)
    with pytest.raises(DataDamaged):
        Database(path)
    assert path.read_bytes() == content


def test_directory_that_is_not_there(tmp_path: Path) -> None:
    """The path is named."""
    with pytest.raises(Unavailable, match=str(tmp_path)):
        Database(tmp_path / "nosuch" / "state.db")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounts.mount("tmpfs", where, "tmpfs", data="size=512k")
    yield where
    mounts.unmount_tree(where)


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(b"\0" * 4096)
            except OSError:
                return path


@pytest.mark.parametrize("durable", [False, True])
def test_full_disk_loses_nothing(small_disk: Path, durable: bool) -> None:
    """The change is refused as a whole; what was there stays, and when there is room again it goes on."""
    database = Database(small_disk / "state.db")
    database.define(TABLE)
    put(database, "before", durable=durable)
    filler = fill(small_disk)
    with pytest.raises(ResourceExhausted, match=str(small_disk)):
        put_both(database, "small", "large", value="x" * 300_000, durable=durable)
    assert names(database) == ["before"]
    filler.unlink()
    put(database, "after", durable=durable)
    assert names(database) == ["after", "before"]
    database.close()


def test_nearly_full_disk_is_enough_to_start(small_disk: Path) -> None:
    """What was written can be read again, which is what stopping and removing containers needs."""
    database = Database(small_disk / "state.db")
    database.define(TABLE)
    put(database, "before")
    database.close()
    filler = fill(small_disk)
    os.truncate(filler, filler.stat().st_size - 2**16)  # SQLite's index of the log takes 32 KiB
    reopened = Database(small_disk / "state.db")
    assert names(reopened) == ["before"]
    reopened.close()


def test_start_on_a_full_disk_is_refused_in_words(small_disk: Path) -> None:
    """The path and the cause; the content is as it was when there is room again."""
    database = Database(small_disk / "state.db")
    database.define(TABLE)
    put(database, "before")
    database.close()
    filler = fill(small_disk)
    with pytest.raises(ResourceExhausted, match=str(small_disk)):
        Database(small_disk / "state.db")
    filler.unlink()
    reopened = Database(small_disk / "state.db")
    assert names(reopened) == ["before"]
    reopened.close()


def test_threads_see_whole_transactions_only(database: Database) -> None:
    """Two rows that always change together are always equal, whoever reads."""
    put(database, "a", "0")
    put(database, "b", "0")
    done = threading.Event()

    def write(number: int) -> None:
        with database.transaction() as connection:
            connection.execute("UPDATE things SET value = ? WHERE name = 'a'", (str(number),))
            connection.execute("UPDATE things SET value = ? WHERE name = 'b'", (str(number),))

    def read() -> set[int]:
        seen = set()
        while not done.is_set():
            seen.add(len({value for (value,) in database.query("SELECT value FROM things")}))
        return seen

    with ThreadPoolExecutor(6) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        list(threads.map(write, range(200)))
        done.set()
        assert set().union(*(reader.result() for reader in readers)) <= {1}


def test_threads_lose_no_row(database: Database) -> None:
    """Many writers at once."""
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: put(database, f"{number:03}"), range(100)))
    assert len(names(database)) == 100


def test_descriptors_do_not_leak_when_opening_fails(tmp_path: Path) -> None:
    """A daemon that is started again and again over a damaged file."""
    path = tmp_path / "state.db"
    path.write_bytes(b"no database" * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(DataDamaged):
            Database(path)
    assert len(os.listdir("/proc/self/fd")) == before
