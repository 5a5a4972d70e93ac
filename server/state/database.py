"""The embedded store's tables: keys, their history and leases, in one SQLite file."""

import sqlite3
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from server.errors import Compacted, LeaseLost, SetupMistake
from server.ports import Change, Conflict, Record, Snapshot

SCHEMA_VERSION: Final = 1
HISTORY: Final = 10_000  # revisions a watch may lag behind; at one write a second almost 3 h
PAGE: Final = 500  # changes read at once, so that a far-behind watch does not hold the thread

_SCHEMA: Final = """
BEGIN IMMEDIATE;
CREATE TABLE record (
    key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, lease INTEGER
) WITHOUT ROWID;
CREATE INDEX record_lease ON record (lease) WHERE lease IS NOT NULL;
CREATE TABLE change (
    revision INTEGER NOT NULL, key TEXT NOT NULL, value BLOB, PRIMARY KEY (revision, key)
) WITHOUT ROWID;
CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, ttl_s REAL NOT NULL);
CREATE TABLE counter (revision INTEGER NOT NULL, horizon INTEGER NOT NULL);
INSERT INTO counter VALUES (0, 0);
PRAGMA user_version = 1;
COMMIT;
"""


class Database:
    """Synchronous and for one thread. Raises sqlite3.Error when the file does not do its part.

    Leases are kept on `clock` (monotonic seconds); after a reopen each has its whole time again,
    for nobody knows how long the file was closed.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        clock: Callable[[], float],
        history: int = HISTORY,
    ) -> None:
        self._sql = connection
        self._clock = clock
        self._history = history
        counters: tuple[int, int] = self._row("SELECT revision, horizon FROM counter")
        self.revision, self._horizon = counters
        now = clock()
        self._deadlines: dict[int, float] = {
            lease: now + ttl_s for lease, ttl_s in self._sql.execute("SELECT id, ttl_s FROM lease")
        }

    def get(self, key: str) -> Record | None:
        """Return the record at `key`."""
        found = self._sql.execute("SELECT value, version FROM record WHERE key = ?", (key,))
        row = found.fetchone()
        return None if row is None else Record(key, row[0], row[1])

    def scan(self, prefix: str) -> Snapshot:
        """Return the records below `prefix`, ordered by key."""
        records = []
        rows = self._sql.execute(
            "SELECT key, value, version FROM record WHERE key >= ? ORDER BY key", (prefix,)
        )
        for row in rows:
            if not row[0].startswith(prefix):
                break
            records.append(Record(*row))
        rows.close()
        return Snapshot(tuple(records), self.revision)

    def changes(self, first: tuple[int, str]) -> list[Change]:
        """Return up to PAGE changes from (revision, key) on. Raises Compacted."""
        if first[0] <= self._horizon:
            raise Compacted(first[0] - 1, self._horizon)
        rows = self._sql.execute(
            "SELECT key, value, revision FROM change WHERE (revision, key) >= (?, ?)"
            " ORDER BY revision, key LIMIT ?",
            (*first, PAGE),
        )
        return [Change(*row) for row in rows]

    def commit(
        self,
        require: Mapping[str, int],
        put: Mapping[str, bytes],
        delete: Collection[str],
        lease: int | None,
    ) -> int | Conflict:
        """Write all or nothing; durable when it returns. Raises LeaseLost."""
        if lease is not None and lease not in self._deadlines:
            raise LeaseLost(lease)
        for key, version in require.items():
            record = self.get(key)
            actual = 0 if record is None else record.version
            if actual != version:
                return Conflict(key, actual)
        gone = [key for key in set(delete) - put.keys() if self.get(key) is not None]
        if not put and not gone:
            return self.revision
        self._write(put, gone, lease)
        return self.revision

    def grant(self, ttl_s: float) -> int:
        """Begin a lease and return its id."""
        lease = self._sql.execute("INSERT INTO lease (ttl_s) VALUES (?)", (ttl_s,)).lastrowid
        assert lease is not None  # an INSERT into a table with a row id has one
        self._deadlines[lease] = self._clock() + ttl_s
        return lease

    def renew(self, lease: int) -> None:
        """Give a lease its whole time again. Raises LeaseLost."""
        if lease not in self._deadlines:
            raise LeaseLost(lease)
        (ttl_s,) = self._row("SELECT ttl_s FROM lease WHERE id = ?", lease)
        self._deadlines[lease] = self._clock() + ttl_s

    def revoke(self, lease: int) -> None:
        """End a lease and delete its keys; nothing happens if it is over already."""
        if lease not in self._deadlines:
            return
        rows = self._sql.execute("SELECT key FROM record WHERE lease = ?", (lease,))
        self._write({}, [key for (key,) in rows], None, ended=lease)
        del self._deadlines[lease]

    def expire(self) -> None:
        """End every lease whose time is over."""
        now = self._clock()
        for lease in [one for one, deadline in self._deadlines.items() if deadline <= now]:
            self.revoke(lease)

    def next_expiry(self) -> float | None:
        """Return when `expire` will have something to do (on the clock), None if never."""
        return min(self._deadlines.values(), default=None)

    def close(self) -> None:
        """Close the file."""
        self._sql.close()

    def _write(
        self,
        put: Mapping[str, bytes],
        delete: Collection[str],
        lease: int | None,
        ended: int | None = None,
    ) -> None:
        revision = self.revision + 1 if put or delete else self.revision
        horizon = max(self._horizon, revision - self._history)
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            self._sql.executemany(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)",
                [(key, value, revision, lease) for key, value in put.items()],
            )
            self._sql.executemany("DELETE FROM record WHERE key = ?", [(key,) for key in delete])
            self._sql.executemany(
                "INSERT INTO change VALUES (?, ?, ?)",
                [(revision, key, put.get(key)) for key in (*put, *delete)],
            )
            self._sql.execute("DELETE FROM lease WHERE id = ?", (ended,))
            self._sql.execute("DELETE FROM change WHERE revision <= ?", (horizon,))
            self._sql.execute("UPDATE counter SET revision = ?, horizon = ?", (revision, horizon))
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise
        self.revision, self._horizon = revision, horizon

    def _row(self, statement: str, *arguments: object) -> Any:
        return self._sql.execute(statement, arguments).fetchone()


def open_database(path: Path, clock: Callable[[], float], history: int = HISTORY) -> Database:
    """Open the file, making it if there is none. Raises SetupMistake if it cannot be used."""
    try:
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise SetupMistake(f"The state file {path} cannot be opened: {error}") from None
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # an acknowledged write survives power loss
        _check(connection, path)
        _migrate(connection, path)
        return Database(connection, clock, history)
    except sqlite3.Error as error:
        connection.close()
        raise SetupMistake(_damaged(path, str(error))) from None
    except BaseException:
        connection.close()
        raise


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise SetupMistake(_damaged(path, verdict))


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise SetupMistake(
            f"The state file {path} was written by a newer Roomtone (schema {version}, this one"
            f" knows {SCHEMA_VERSION}). Start the newer one, or give this one another --state-dir"
        )
    if version == 0:
        connection.executescript(_SCHEMA)


def _damaged(path: Path, reason: str) -> str:
    return (
        f"The state file {path} is damaged ({reason}). Restore it from a backup, or move it away"
        " and start again: the rooms in it are then gone"
    )
