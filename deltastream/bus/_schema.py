"""The journal's tables, its version, and how connections to it are made.

Measured with 11 KB and 22 KB frames in groups of six, one core, SQLite 3.40 (`benches/bus.py`
repeats the choice): pages of 4 KiB write 3.4 ms of processor time per MB and waste 5 % of the file;
8 KiB: 3.7 ms and 11 %, 16 KiB: 4.0 ms and 24 %, 32 KiB: 4.9 ms and 48 %. Incremental vacuum costs
nothing measurable beside that. `secure_delete`, which distributions switch on, would overwrite
every trimmed message with zeros.

A checkpoint inside a commit stalls it for as long as two disk syncs and the copy take: 22 ms for
16 MB here, 130 ms for 64 MB. So the copy runs beside the writer, and what comes meanwhile again,
until only a moment's worth is left for the writer itself: that is two syncs and the one with which
SQLite begins the log anew, 20 ms here. At 20 MB/s a log of 48 MiB makes that 0.8 % of the time; one
of 8 MiB put it into the 99th percentile of latency.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

from deltastream.bus._epochs import name_epoch
from deltastream.errors import JournalError

__all__ = ["SEQ_BITS", "VERSION", "WAL_BYTES", "connect", "connect_reader", "create", "migrate", "wal_bytes"]

VERSION: Final = 2
APPLICATION_ID: Final = 0x44534A31  # "DSJ1"
SEQ_BITS: Final = 40
"""A message's rowid is ``topic << SEQ_BITS | seq``: a topic is one range of the table, without an index."""

WAL_BYTES: Final = 48 << 20
"""How far the write-ahead log grows before it is written back, in a journal of 768 MiB or more."""

_TABLES: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- No seq up to `trimmed` is issued again, though its message may be gone.
CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL);

-- `total` counts the bytes of the topic's frames up to and with this one.
CREATE TABLE message (
    id INTEGER PRIMARY KEY, key TEXT, ts INTEGER NOT NULL, total INTEGER NOT NULL,
    crc INTEGER NOT NULL, frame BLOB NOT NULL
);
CREATE UNIQUE INDEX message_key ON message (id >> 40, key) WHERE key IS NOT NULL;

CREATE TABLE subscription (
    consumer TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (consumer, pattern)
) WITHOUT ROWID;

CREATE TABLE progress (
    consumer TEXT NOT NULL, topic INTEGER NOT NULL, acked INTEGER NOT NULL, lost INTEGER NOT NULL,
    PRIMARY KEY (consumer, topic)
) WITHOUT ROWID;

-- Out of line: to be retried at `due` (nanoseconds UTC), or a dead letter where `due` is null.
CREATE TABLE failure (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, consumer TEXT NOT NULL, topic INTEGER NOT NULL,
    epoch TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL, attempts INTEGER NOT NULL, due INTEGER,
    error TEXT NOT NULL, trace TEXT NOT NULL, frame BLOB NOT NULL,
    UNIQUE (consumer, topic, epoch, seq)
);

-- Positions of an earlier epoch still mean the same messages, up to `last`; see `_epochs`.
CREATE TABLE lineage (
    epoch TEXT NOT NULL, topic INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (epoch, topic)
) WITHOUT ROWID;
"""

MIGRATIONS: Final[Mapping[int, Callable[[sqlite3.Connection], None]]] = {1: lambda db: None}
"""By version: the step from it to the next. Version 2 seals a message with its place; see `_seal`."""

_SYNCHRONOUS: Final = {"process": "NORMAL", "power": "FULL"}


def wal_bytes(max_bytes: int) -> int:
    """How far the write-ahead log of a journal of that size grows before it is written back."""
    return min(WAL_BYTES, max_bytes // 16)


def connect(path: Path, durability: Literal["process", "power"]) -> sqlite3.Connection:
    """A writing connection; creates the file where there is none."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    try:
        if db.execute("PRAGMA schema_version").fetchone()[0] == 0:
            db.execute("PRAGMA page_size = 4096")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # in a file that has tables it writes a page
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        db.execute(f"PRAGMA journal_size_limit = {3 * WAL_BYTES}")
        db.execute("PRAGMA secure_delete = OFF")
        db.execute("PRAGMA cache_size = -4096")
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path, *, damaged: bool = False) -> sqlite3.Connection:
    """A reading connection to a file that exists, or to what is left of it."""
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        if damaged:
            db.execute("PRAGMA writable_schema = ON")  # SQLite then reads a file that was cut short, too
        else:
            db.execute("PRAGMA cache_size = -2048")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection, epoch: str) -> None:
    """The tables of this version, in an empty file, in one transaction."""
    db.executescript(f"BEGIN IMMEDIATE; {_TABLES}")
    name_epoch(db, epoch)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {VERSION}")
    db.execute("COMMIT")


def migrate(
    db: sqlite3.Connection,
    migrations: Mapping[int, Callable[[sqlite3.Connection], None]] = MIGRATIONS,
    target: int = VERSION,
) -> int:
    """Bring a journal to `target`, a transaction per step, and return the version it had.

    Raises:
        JournalError: of a newer version, or not a journal.
    """
    found: int = db.execute("PRAGMA user_version").fetchone()[0]
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise JournalError("The file is an SQLite database, but not a journal of DeltaStream.")
    if found > target:
        raise JournalError(
            f"The journal was written by a newer version (journal {found}, this one knows {target})."
        )
    for version in range(found, target):
        db.execute("BEGIN IMMEDIATE")
        try:
            migrations[version](db)
            db.execute(f"PRAGMA user_version = {version + 1}")
            db.execute("COMMIT")
        except BaseException:
            db.execute("ROLLBACK")
            raise
    return found
