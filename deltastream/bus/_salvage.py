"""A damaged journal: take out what is intact, set the rest aside, never silently.

The new journal is complete before anything is renamed, so that a death at any instant leaves either
the damaged file in its place or a whole salvaged one beside it. It keeps the sequence numbers but
begins a new epoch; `lineage` tells how far positions of the old one still mean the same messages.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Final

from deltastream.bus._epochs import FORGOTTEN, sync_directory, unmark_place
from deltastream.bus._schema import SEQ_BITS, connect, connect_reader, create
from deltastream.bus._seal import holds, seal

__all__ = ["SalvageReport", "finish", "salvage"]

_COMMIT_ROWS: Final = 500
_FAILURE: Final = (int, str, str, int, str, int, int, int, int | None, str, str, bytes)
_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)


@dataclass(slots=True)
class SalvageReport:
    """What became of a damaged journal.

    Attributes:
        set_aside: where the damaged file now is; None where it is still in use, because only its
            last commits are, or may be, missing.
        reason: what was wrong with it.
        epoch: the new one, of the journal that is now in use.
        salvaged: intact messages taken over, by topic.
        lost: messages known to be missing between intact ones, by topic. Messages after the last
            intact one of a topic cannot be counted.
        unreadable: parts that could not be read to their end, by table.
    """

    set_aside: Path | None
    reason: str
    epoch: str
    salvaged: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        if self.set_aside is None:
            return f"The last messages of the journal may be lost: {self.reason}. A new epoch has begun."
        kept, gone = sum(self.salvaged.values()), sum(self.lost.values())
        return (
            f"The journal was damaged ({self.reason}): {kept} messages were salvaged,"
            f" {gone} are known to be lost; the damaged file is kept as {self.set_aside}."
            " A new epoch has begun."
        )


def finish(path: Path) -> None:
    """Complete a salvage that died between its renames; remove one that died before."""
    fresh = _fresh(path)
    if not fresh.exists():
        return
    if path.exists():
        _remove(fresh)
    else:
        for suffix in ("-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        fresh.rename(path)


def salvage(path: Path, reason: str, epoch: str, mark: str) -> SalvageReport:
    """Put a new journal in the place of a damaged one, with all that is intact.

    Args:
        path: the damaged journal; nobody has it open.
        reason: what is wrong with it.
        epoch: of the new journal.
        mark: makes the name under which the damaged file is kept.
    """
    set_aside = Path(f"{path}.corrupt-{mark}")
    report = SalvageReport(set_aside, reason, epoch)
    fresh = _fresh(path)
    _remove(fresh)
    with closing(connect(fresh, "process")) as new:
        new.execute("PRAGMA wal_autocheckpoint = 1000")
        create(new, epoch)
        try:
            with closing(connect_reader(path, damaged=True)) as old:
                _take_over(old, new, report)
        except _UNREADABLE as error:
            report.unreadable.append(f"everything ({error})")
        new.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    unmark_place(path)
    for suffix in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{set_aside}{suffix}")
    finish(path)
    sync_directory(path.parent)
    return report


def _take_over(old: sqlite3.Connection, new: sqlite3.Connection, report: SalvageReport) -> None:
    ends: dict[int, int] = {}
    new.execute("BEGIN")
    for number, name, trimmed in _rows(old, "topic", report, int, str, int):
        with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
            new.execute("INSERT INTO topic VALUES (?, ?, ?)", (number, name, trimmed))
            ends[number] = max(_messages(old, new, number, name, trimmed, report), trimmed)
    _inherit(old, new, ends, report)
    for row in _rows(old, "subscription", report, str, str):
        new.execute("INSERT OR IGNORE INTO subscription VALUES (?, ?)", row)
    for consumer, topic, acked, lost in _rows(old, "progress", report, str, int, int, int):
        if topic in ends:
            acked = min(acked, ends[topic])
            missing = _missing(new, topic, acked, ends[topic])
            new.execute(
                "INSERT OR IGNORE INTO progress VALUES (?, ?, ?, ?)", (consumer, topic, acked, lost + missing)
            )
    for row in _rows(old, "failure", report, *_FAILURE):
        new.execute(f"INSERT OR IGNORE INTO failure VALUES ({', '.join('?' * len(row))})", row)
    new.execute("COMMIT")


def _inherit(
    old: sqlite3.Connection, new: sqlite3.Connection, ends: dict[int, int], report: SalvageReport
) -> None:
    """What positions of the damaged journal's epoch, and of those before it, mean in the new one."""
    lineage = _rows(old, "lineage", report, str, int, int)
    names = [value for name, value in _rows(old, "meta", report, str, str) if name == "epoch"]
    names += [epoch for epoch, topic, _ in lineage if topic == 0]
    if not names:
        report.unreadable.append("the epoch's name (every group goes on where the journal says it stands)")
    rows = [(name, *end) for name in names or [FORGOTTEN] for end in ends.items()]
    new.executemany("INSERT OR IGNORE INTO lineage VALUES (?, ?, ?)", rows)
    for epoch, topic, last in lineage:
        if topic in ends:
            row = (epoch, topic, min(last, ends[topic]))
            new.execute("INSERT OR IGNORE INTO lineage VALUES (?, ?, ?)", row)


def _messages(
    old: sqlite3.Connection,
    new: sqlite3.Connection,
    topic: int,
    name: str,
    trimmed: int,
    report: SalvageReport,
) -> int:
    """Copy a topic's intact messages; the last seq."""
    base = topic << SEQ_BITS
    seq = last = trimmed
    total = copied = 0
    for rowid, key, ts, crc, frame in _scan(old, base + trimmed, base + (1 << SEQ_BITS)):
        seq = rowid - base
        if not isinstance(frame, bytes) or not isinstance(ts, int) or not isinstance(key, str | None):
            continue
        sealed = None if key is None else key.encode()
        if not holds(crc, rowid, ts, sealed, frame):
            continue
        try:
            new.execute(
                "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)",
                (rowid, key, ts, total + len(frame), seal(rowid, ts, sealed, frame), frame),
            )
        except sqlite3.Error:
            continue
        total += len(frame)
        last = seq
        copied += 1
        if copied % _COMMIT_ROWS == 0:
            new.execute("COMMIT")
            new.execute("BEGIN")
    report.salvaged[name] = copied
    if lost := last - trimmed - copied:
        report.lost[name] = lost
    return last


def _scan(db: sqlite3.Connection, after: int, end: int) -> Iterator[tuple[Any, ...]]:
    """Rows in order of id; what cannot be read is passed over in steps that double until something can."""
    step = 1
    while after < end:
        try:
            for row in db.execute(
                "SELECT id, key, ts, crc, frame FROM message WHERE id > ? AND id < ? ORDER BY id",
                (after, end),
            ):
                if row[0] <= after:
                    raise sqlite3.DatabaseError("rows out of order")
                after = row[0]
                step = 1
                yield row
        except _UNREADABLE:
            after += step
            step *= 2
        else:
            return


def _rows(
    db: sqlite3.Connection, table: str, report: SalvageReport, *types: type | UnionType
) -> list[tuple[Any, ...]]:
    """All rows of a small table that can be read and hold values of these types."""
    rows: list[tuple[Any, ...]] = []
    try:
        for row in db.execute(f"SELECT * FROM {table}"):
            if len(row) == len(types) and all(map(isinstance, row, types)):
                rows.append(row)
            else:
                report.unreadable.append(f"{table} (a row that makes no sense)")
    except _UNREADABLE as error:
        report.unreadable.append(f"{table} ({error})")
    return rows


def _missing(db: sqlite3.Connection, topic: int, after: int, last: int) -> int:
    base = topic << SEQ_BITS
    found: int = db.execute(
        "SELECT count(*) FROM message WHERE id > ? AND id <= ?", (base + after, base + last)
    ).fetchone()[0]
    return last - after - found


def _fresh(path: Path) -> Path:
    return Path(f"{path}.salvaging")


def _remove(path: Path) -> None:
    for suffix in ("-wal", "-shm", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
