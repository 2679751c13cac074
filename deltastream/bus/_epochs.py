"""Epochs: the name under which sequence numbers are given, and what earlier names still mean.

A new epoch begins where numbers would be given again that somebody may have seen. `lineage` then
tells, by earlier epoch and topic, the last number that still means the same message. The present
epoch's name stands there, too, so that two pages of the journal hold it: as topic 0, which is none.

A journal put back from a backup would give numbers again. So each opening leaves a mark in the
journal and in a file beside it; a backup does not know the file's mark.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = [
    "FORGOTTEN",
    "epoch_of",
    "forget_beyond",
    "mark_journal",
    "mark_place",
    "name_epoch",
    "renew",
    "superseded",
    "sync_directory",
    "unmark_place",
]

FORGOTTEN: Final = ""
"""In `lineage`: an earlier epoch whose name is not known any more."""


def name_epoch(db: sqlite3.Connection, epoch: str) -> None:
    """Store the present epoch's name, in both places."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
    db.execute("DELETE FROM lineage WHERE topic = 0")
    db.execute("INSERT INTO lineage VALUES (?, 0, 0)", (epoch,))


def epoch_of(db: sqlite3.Connection) -> str:
    """The present epoch's name.

    Raises:
        sqlite3.DatabaseError: it is not there, with SQLite's code for damage.
    """
    found = _meta(db, "epoch")
    if found is None:
        error = sqlite3.DatabaseError("the epoch's name is missing")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
    return found


def renew(db: sqlite3.Connection, old: str, new: str, ends: Mapping[int, int]) -> bool:
    """Begin a new epoch, within a transaction; False, and nothing happens, where `old` is past already.

    Args:
        ends: by topic's number, the last seq that means in the new epoch what it meant in the old.
    """
    if epoch_of(db) != old:
        return False
    rows = [(old, topic, last) for topic, last in ends.items()]
    db.executemany("INSERT OR REPLACE INTO lineage VALUES (?, ?, ?)", rows)
    name_epoch(db, new)
    return True


def forget_beyond(db: sqlite3.Connection, ends: Mapping[int, int]) -> None:
    """Let no earlier epoch know, and no group have done with, what comes after the ends; in a transaction.

    Pages of a damaged file may be of different times.
    """
    for table, who, place in (("lineage", "epoch", "last"), ("progress", "consumer", "acked")):
        beyond = [
            (ends[topic], name, topic)
            for name, topic, seq in db.execute(f"SELECT {who}, topic, {place} FROM {table}").fetchall()
            if topic in ends and isinstance(seq, int) and seq > ends[topic]
        ]
        db.executemany(f"UPDATE {table} SET {place} = ? WHERE {who} = ? AND topic = ?", beyond)


def superseded(db: sqlite3.Connection, path: Path) -> bool:
    """Whether another journal, or a later state of this one, was used in this place last."""
    mark = _mark(path)
    return mark is not None and mark not in (_meta(db, "marks") or "").split(" ")


def mark_journal(db: sqlite3.Connection, path: Path, mark: str) -> None:
    """Leave a mark in the journal; that of its place still counts, until `mark_place`."""
    db.execute("INSERT OR REPLACE INTO meta VALUES ('marks', ?)", (f"{mark} {_mark(path) or ''}",))


def mark_place(path: Path, mark: str) -> None:
    """Leave the same mark beside the journal, once it is committed there."""
    fresh = Path(f"{path}.mark-new")
    with fresh.open("w") as file:
        file.write(mark)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(_mark_file(path))
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Have the names of its files on the disk."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unmark_place(path: Path) -> None:
    """Have any journal count that is put in this place next."""
    _mark_file(path).unlink(missing_ok=True)


def _mark_file(path: Path) -> Path:
    return Path(f"{path}.mark")


def _mark(path: Path) -> str | None:
    try:
        return _mark_file(path).read_bytes().decode("ascii", "replace")
    except FileNotFoundError:
        return None


def _meta(db: sqlite3.Connection, name: str) -> str | None:
    found = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found[0])
