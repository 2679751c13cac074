"""The tables, their versions, and how the file is made and opened: for its owner alone."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deltastream.errors import DataDirectoryError, StoreError
from deltastream.messages import Revocation
from deltastream.storage.sqlite import transaction

__all__ = ["MIGRATIONS", "Step", "connect"]

_APPLICATION_ID: Final = 0x44534143  # "DSAC"
_BUSY_S: Final = 5.0
_WAL_TRIES: Final = 100
_WAL_PAUSE_S: Final = 0.01

_V1: Final = (
    """CREATE TABLE users (
        id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('user', 'admin')), created INTEGER NOT NULL,
        password_hash TEXT, disabled INTEGER NOT NULL CHECK (disabled IN (0, 1)),
        session_version INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE sessions (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        version INTEGER NOT NULL, origin TEXT NOT NULL CHECK (origin IN ('password', 'link')),
        created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX sessions_by_user ON sessions (user_id, created)",
    # successor: the text of the next one, sealed so that only who has this one can read it
    """CREATE TABLE refresh_tokens (
        hash BLOB PRIMARY KEY, session TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
        issued INTEGER NOT NULL, expires INTEGER NOT NULL, used INTEGER, successor BLOB
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session)",
    """CREATE TABLE api_keys (
        id TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        name TEXT NOT NULL, prefix TEXT NOT NULL UNIQUE, hash BLOB NOT NULL, scopes TEXT NOT NULL,
        created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER, last_used INTEGER
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX api_keys_by_user ON api_keys (user_id, created)",
    """CREATE TABLE links (
        hash BLOB PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
        expires INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX links_by_user ON links (user_id)",
    # waiting to be put on the bus; outlives the user whom it concerns
    """CREATE TABLE revocations (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ts INTEGER NOT NULL, user_id TEXT NOT NULL,
        reason TEXT NOT NULL, session TEXT, key TEXT
    ) STRICT""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1,)
"""Statements that lead from version i to i + 1. Only ever append."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction under way.

    Attributes:
        db: the connection; inside the transaction.
        now: nanoseconds UTC, one instant for the whole step.
        new_id: for revocations.
        revocations: those of this step.
    """

    db: sqlite3.Connection
    now: int
    new_id: Callable[[], str]
    revocations: list[Revocation] = field(default_factory=list)

    def revoke(
        self, user_id: str, reason: str, *, session: str | None = None, key: str | None = None
    ) -> None:
        """Leave word that rights are void."""
        made = Revocation(
            id=self.new_id(), ts=self.now, user_id=user_id, reason=reason, session=session, key=key
        )
        self.db.execute(
            "INSERT INTO revocations (id, ts, user_id, reason, session, key) VALUES (?, ?, ?, ?, ?, ?)",
            (made.id, made.ts, user_id, reason, session, key),
        )
        self.revocations.append(made)


def connect(path: Path) -> sqlite3.Connection:
    """Open the store; create or migrate it where needed.

    Raises:
        DataDirectoryError: written by a newer version, or others than its owner may use it.
        StoreError: the file is something else, or this SQLite is too old.
        sqlite3.Error: anything else; see `translated`.
    """
    if sqlite3.sqlite_version_info < (3, 37):
        raise StoreError(f"SQLite 3.37 or newer is needed, this is {sqlite3.sqlite_version}")
    _make_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        if _version(connection, path) < len(MIGRATIONS):
            _write_ahead(connection)
            _migrate(connection, path)
        connection.execute("PRAGMA synchronous = FULL")  # a revocation outlives the plug
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; SQLite does not wait for another connection that does the same."""
    for left in reversed(range(_WAL_TRIES)):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return


def _make_private(path: Path) -> None:
    """Make the file so that SQLite gives what lies beside it the same mode, or refuse one that is open."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise DataDirectoryError(f"The accounts {path} cannot be made: {error.strerror}.") from error
    try:
        others = path.stat().st_mode & 0o077
    except OSError as error:
        raise DataDirectoryError(f"The accounts {path} cannot be opened: {error.strerror}.") from error
    if others:
        raise DataDirectoryError(
            f"{path} holds accounts, and others than its owner may use it; chmod 600 it."
        )


def _version(connection: sqlite3.Connection, path: Path) -> int:
    # In this order: another process that commits the first schema meanwhile makes no stranger of the file.
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if tables and application != _APPLICATION_ID:
        raise StoreError(f"{path} is a database, but not one of DeltaStream's accounts")
    if version > len(MIGRATIONS):
        raise DataDirectoryError(
            f"{path} has schema {version}; this version of DeltaStream knows up to {len(MIGRATIONS)}"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Lead the schema to the newest version; two processes that do it at once do it once."""
    done = False
    while not done:
        with transaction(connection):
            version = _version(connection, path)
            done = version >= len(MIGRATIONS)
            if not done:
                for statement in MIGRATIONS[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
