"""The tables, their versions, and how a connection is opened.

Every series is keyed (owner, ts_event, ordinal). The owner is the row of a product or of a chain
series; the ordinal is the message's place in the order of arrival, `ordinal_of(stream, seq)`, where
a stream is one epoch of one topic. Within a topic and epoch that is the order of seq; a later epoch
comes after an earlier one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deltastream.errors import DataDirectoryError, StoreError
from deltastream.storage.protocol import METRICS
from deltastream.storage.settings import StoreSettings

__all__ = ["SEQ_BITS", "connect_reader", "connect_writer", "ordinal_of", "secret_of", "transaction"]

SEQ_BITS: Final = 40
_APPLICATION_ID: Final = 0x44535354  # "DSST"
_PAGE_SIZE: Final = 4096

_V1: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE streams (
        id INTEGER PRIMARY KEY, topic TEXT NOT NULL, epoch TEXT NOT NULL, UNIQUE (topic, epoch)
    ) STRICT""",
    # which messages have taken effect: ranges of seq, inclusive, that neither touch nor overlap
    """CREATE TABLE applied (
        stream INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
        PRIMARY KEY (stream, first)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE positions (
        consumer TEXT NOT NULL, topic TEXT NOT NULL, stream INTEGER NOT NULL, seq INTEGER NOT NULL,
        PRIMARY KEY (consumer, topic)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE products (
        id INTEGER PRIMARY KEY, symbol TEXT NOT NULL UNIQUE, first_ts INTEGER, last_ts INTEGER
    ) STRICT""",
    """CREATE TABLE series (
        id INTEGER PRIMARY KEY, product INTEGER NOT NULL, root TEXT NOT NULL, expiry TEXT NOT NULL,
        expiry_ts INTEGER NOT NULL, first_ts INTEGER NOT NULL, last_ts INTEGER NOT NULL,
        UNIQUE (product, expiry, root)
    ) STRICT""",
    "CREATE INDEX series_by_contract ON series (root, expiry)",
    """CREATE TABLE ticks (
        product INTEGER NOT NULL, ts_event INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        ts_recv INTEGER NOT NULL, price REAL NOT NULL, volume REAL,
        PRIMARY KEY (product, ts_event, ordinal)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE bars (
        product INTEGER NOT NULL, interval_s INTEGER NOT NULL, start INTEGER NOT NULL,
        open REAL NOT NULL, high REAL NOT NULL, low REAL NOT NULL, close REAL NOT NULL,
        ticks INTEGER NOT NULL, volume REAL,
        open_ts INTEGER NOT NULL, open_ordinal INTEGER NOT NULL,
        close_ts INTEGER NOT NULL, close_ordinal INTEGER NOT NULL,
        PRIMARY KEY (product, interval_s, start)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE chains (
        id INTEGER PRIMARY KEY, series INTEGER NOT NULL, ts_event INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (series, ts_event, ordinal)
    ) STRICT""",
    f"""CREATE TABLE metrics (
        series INTEGER NOT NULL, ts_event INTEGER NOT NULL, ordinal INTEGER NOT NULL,
        {", ".join(f"{name} REAL" for name in METRICS)},
        PRIMARY KEY (series, ts_event, ordinal)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE surfaces (
        id INTEGER PRIMARY KEY, product INTEGER NOT NULL, ts_event INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (product, ts_event, ordinal)
    ) STRICT""",
    """CREATE TABLE statuses (
        id INTEGER PRIMARY KEY, product INTEGER NOT NULL, ts_event INTEGER NOT NULL,
        ordinal INTEGER NOT NULL, body BLOB NOT NULL, UNIQUE (product, ts_event, ordinal)
    ) STRICT""",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_V1,)
"""Statements that lead from version i to i + 1. Only ever append."""


def ordinal_of(stream: int, seq: int) -> int:
    """A message's place in the order of arrival."""
    return stream << SEQ_BITS | seq


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """All or nothing; a transaction that an earlier failure left open is rolled back first."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def connect_writer(path: Path, settings: StoreSettings, secret: str) -> sqlite3.Connection:
    """Open the store for writing; create or migrate it where needed.

    Args:
        path: of the database; its directory exists.
        settings: of the store.
        secret: signs the cursors of a store that is created now.

    Raises:
        DataDirectoryError: written by a newer version.
        StoreError: the file is something else, or this SQLite is too old.
        sqlite3.Error: anything else; see `translated`.
    """
    if sqlite3.sqlite_version_info < (3, 37):
        raise StoreError(f"SQLite 3.37 or newer is needed, this is {sqlite3.sqlite_version}")
    connection = _connect(path, settings, settings.cache_bytes)
    try:
        version = _version(connection, path)
        if version == 0:
            connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        wal_pages = min(2048, settings.max_bytes // 64 // _PAGE_SIZE)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {wal_pages}")
        connection.execute(f"PRAGMA journal_size_limit = {2 * wal_pages * _PAGE_SIZE}")
        connection.execute(f"PRAGMA synchronous = {'FULL' if settings.durability == 'power' else 'NORMAL'}")
        connection.execute("PRAGMA secure_delete = OFF")
        _migrate(connection, version, secret)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, settings: StoreSettings) -> sqlite3.Connection:
    """Open a store that `connect_writer` has opened, for reading only."""
    connection = _connect(path, settings, settings.cache_bytes // 4)
    try:
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def secret_of(connection: sqlite3.Connection) -> bytes:
    """The secret that signs this store's cursors."""
    (secret,) = connection.execute("SELECT value FROM meta WHERE name = 'cursor_secret'").fetchone()
    return str(secret).encode()


def _connect(path: Path, settings: StoreSettings, cache_bytes: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=settings.busy_s, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = {-(cache_bytes // 1024)}")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != _APPLICATION_ID:
        raise StoreError(f"{path} is a database, but not a DeltaStream store")
    if version > len(MIGRATIONS):
        raise DataDirectoryError(
            f"store {path} has schema {version}; this version of DeltaStream knows up to {len(MIGRATIONS)}"
        )
    return int(version)


def _migrate(connection: sqlite3.Connection, version: int, secret: str) -> None:
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        with transaction(connection):
            for statement in statements:
                connection.execute(statement)
            if number == 1:
                connection.execute("INSERT INTO meta VALUES ('cursor_secret', ?)", (secret,))
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {number}")
