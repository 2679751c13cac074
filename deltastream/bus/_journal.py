"""The journal: every message and every group's position, in one SQLite file.

Blocking; called in a worker thread, by one caller at a time. The writer owns the ends of the
topics, so that sequence numbers are given inside the transaction that stores them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, NamedTuple

import msgspec

from deltastream.bus._epochs import epoch_of
from deltastream.bus._schema import SEQ_BITS, WAL_BYTES, connect, connect_reader, create, migrate
from deltastream.bus._seal import holds, seal
from deltastream.errors import JournalError

__all__ = [
    "ANSWER_BYTES",
    "Appended",
    "Batch",
    "Frame",
    "Journal",
    "Outcome",
    "Reader",
    "Standing",
    "StoredTopic",
    "sense",
    "topic_of",
]

_SEQ_MASK: Final = (1 << SEQ_BITS) - 1
_READ_BYTES: Final = 4 << 20
_OVERDUE: Final = 2
"""At so many times its limit the log is written back before anything is added to it."""
ANSWER_BYTES: Final = 64 << 20
"""Most bytes of frames that one call of the bus gathers, but for the last one."""

_INSERT: Final = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)"
_NUMBERS: Final = (
    "SELECT (SELECT max(id) FROM topic), (SELECT max(topic) FROM progress), (SELECT max(topic) FROM failure),"
    f" (SELECT max(topic) FROM lineage), (SELECT id >> {SEQ_BITS} FROM message ORDER BY id DESC LIMIT 1)"
)
"""The greatest number of a topic that anything names, which after damage the topics themselves may not."""
_MOST_TOPICS: Final = 1 << 22
"""A number beyond is damage: there would be no room for more."""
_ROW: Final = "id, ts, CAST(key AS BLOB), crc, frame"
_ACK: Final = (
    "INSERT INTO progress VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET acked = max(acked, excluded.acked)"
)
_KNOWN: Final = (
    "SELECT wanted.key, message.id FROM json_each(?) AS wanted JOIN message"
    " ON message.id >> 40 = json_extract(wanted.value, '$[0]')"
    " AND message.key = json_extract(wanted.value, '$[1]')"
)


def topic_of(topic: int) -> tuple[int, int]:
    """The range of rowids, first inclusive and last exclusive, of a topic's messages."""
    return topic << SEQ_BITS, (topic + 1) << SEQ_BITS


class Appended(NamedTuple):
    """Where an entry stands; `new` is false where its key was known already."""

    topic: int
    seq: int
    new: bool


class Frame(NamedTuple):
    """A message as the journal has it; `intact` is false where its bytes are not those written."""

    seq: int
    ts: int
    frame: bytes
    intact: bool


@dataclass(slots=True)
class Batch:
    """What goes into one transaction, in this order.

    Attributes:
        entries: (topic, key, frame) to append.
        progress: last seq done, by (group, topic's number).
        settled: ids of failures that are no more.
        operations: whatever else, each given the connection.
    """

    ts: int
    entries: list[tuple[str, str | None, bytes]] = field(default_factory=list)
    progress: dict[tuple[str, int], int] = field(default_factory=dict)
    settled: list[str] = field(default_factory=list)
    operations: list[Callable[[sqlite3.Connection], Any]] = field(default_factory=list)


class Outcome(NamedTuple):
    """What a committed batch came to, in the order of its entries and operations."""

    appended: list[Appended]
    results: list[Any]


@dataclass(slots=True)
class StoredTopic:
    """A topic's extent: messages `trimmed` + 1 to `last`, whose frames take `total` - `base` bytes."""

    number: int
    name: str
    trimmed: int
    last: int
    base: int
    total: int
    first_ts: int | None
    last_ts: int | None


class Standing(NamedTuple):
    """Where the groups stand, as the journal tells at opening.

    Attributes:
        subscriptions: (group, pattern).
        progress: (group, topic, acked, lost).
        failures: (id, group, topic, epoch, seq, attempts, due in nanoseconds UTC or None).
        lineage: last seq by earlier epoch and topic.
    """

    subscriptions: list[tuple[str, str]]
    progress: list[tuple[str, str, int, int]]
    failures: list[tuple[str, str, str, str, int, int, int | None]]
    lineage: dict[tuple[str, str], int]


class Journal:
    """The one writer.

    Args:
        path: the file; created with its tables where there is none.
        durability: see `BusSettings`.
        new_epoch: names the first epoch of a new journal.
        wal_limit: size of frames at which a commit writes the log back itself, because nobody else
            has kept up.

    Raises:
        JournalError: it cannot be opened; the text says why.
        sqlite3.DatabaseError: it is damaged.
    """

    def __init__(
        self,
        path: Path,
        durability: Literal["process", "power"],
        new_epoch: Callable[[], str],
        wal_limit: int = 2 * WAL_BYTES,
    ) -> None:
        self.path = path
        self._wal_limit = wal_limit
        self._unwritten = 0
        self.copying = Lock()  # seam: held while the log is copied beside the writer; starts no thread
        try:
            with sense():
                self.db = connect(path, durability)
        except sqlite3.OperationalError as error:
            raise JournalError(f"The journal {path} cannot be opened: {error}.") from error
        try:
            self._prepare(new_epoch)
            with sense(TypeError, OverflowError):
                self.epoch = epoch_of(self.db)
                self.topics = {topic.name: topic for topic in _stored_topics(self.db)}
                named = self.db.execute(_NUMBERS).fetchone()
                self._next_topic = 1 + max([0, *(n for n in named if n is not None and n < _MOST_TOPICS)])
            # Kept open as long as any connection: closing a file gives up the process's locks on it.
            self._file = os.open(path, os.O_RDONLY)
        except BaseException:
            self.db.close()
            raise

    def _prepare(self, new_epoch: Callable[[], str]) -> None:
        try:
            with sense():
                if self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
                    create(self.db, new_epoch())
                migrate(self.db)
                self.db.execute("BEGIN IMMEDIATE")
                self.db.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            raise JournalError(f"The journal {self.path} cannot be written: {error}.") from error

    def commit(self, batch: Batch) -> Outcome:
        """Store a batch, whole or not at all.

        Raises:
            sqlite3.OperationalError: not now (full disk, lock, input or output error).
            MemoryError: not now (what the module makes of SQLITE_NOMEM).
            sqlite3.DatabaseError: the file is damaged.
        """
        if self._unwritten > self._wal_limit:
            self.write_back(wait=self._unwritten > _OVERDUE * self._wal_limit)
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            appended, touched = self._append(batch)
            if batch.progress:
                db.executemany(_ACK, [(*where, seq) for where, seq in batch.progress.items()])
            if batch.settled:
                db.executemany("DELETE FROM failure WHERE id = ?", [(id_,) for id_ in batch.settled])
            results = [operation(db) for operation in batch.operations]
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._unwritten += sum(len(frame) for _, _, frame in batch.entries)
        for topic in touched.values():
            self.topics[topic.name] = topic
            self._next_topic = max(self._next_topic, topic.number + 1)
        return Outcome(appended, results)

    def _append(self, batch: Batch) -> tuple[list[Appended], dict[str, StoredTopic]]:
        known = self._known(batch.entries)
        touched: dict[str, StoredTopic] = {}
        appended: list[Appended] = []
        rows = []
        for name, key, frame in batch.entries:
            topic = touched.get(name)
            if topic is None:
                topic = touched[name] = self._end(name, touched)
            if key is not None:
                seq = known.get((topic.number, key))
                if seq is not None:
                    appended.append(Appended(topic.number, seq, False))
                    continue
                known[topic.number, key] = topic.last + 1
            topic.last += 1
            topic.total += len(frame)
            topic.last_ts = batch.ts
            rowid = topic.number << SEQ_BITS | topic.last
            crc = seal(rowid, batch.ts, None if key is None else key.encode(), frame)
            rows.append((rowid, key, batch.ts, topic.total, crc, frame))
            appended.append(Appended(topic.number, topic.last, True))
        if rows:
            self.db.executemany(_INSERT, rows)
        return appended, touched

    def _end(self, name: str, touched: dict[str, StoredTopic]) -> StoredTopic:
        """A copy of the topic's extent to advance; the topic is created where there is none."""
        topic = self.topics.get(name)
        if topic is not None:
            return StoredTopic(
                topic.number,
                name,
                topic.trimmed,
                topic.last,
                topic.base,
                topic.total,
                topic.first_ts,
                topic.last_ts,
            )
        number = max((t.number + 1 for t in touched.values()), default=0)
        number = max(number, self._next_topic)
        self.db.execute("INSERT INTO topic VALUES (?, ?, 0)", (number, name))
        return StoredTopic(number, name, 0, 0, 0, 0, None, None)

    def _known(self, entries: Sequence[tuple[str, str | None, bytes]]) -> dict[tuple[int, str], int]:
        wanted = [
            (topic.number, key)
            for name, key, _ in entries
            if key is not None and (topic := self.topics.get(name)) is not None
        ]
        if not wanted:
            return {}
        rows = self.db.execute(_KNOWN, (json.dumps(wanted),)).fetchall()
        return {wanted[place]: rowid & _SEQ_MASK for place, rowid in rows}

    def standing(self) -> Standing:
        """Where the groups stand.

        Raises:
            sqlite3.DatabaseError: the journal is damaged.
        """
        with sense(msgspec.ValidationError):
            return self._standing()

    def _standing(self) -> Standing:
        named = "JOIN topic ON topic.id = topic"
        lineage = f"SELECT epoch, name, last FROM lineage {named}"
        return Standing(
            self._all("SELECT consumer, pattern FROM subscription ORDER BY 1, 2", tuple[str, str]),
            self._all(f"SELECT consumer, name, acked, lost FROM progress {named}", tuple[str, str, int, int]),
            self._all(
                "SELECT failure.id, consumer, name, epoch, seq, attempts, due"
                f" FROM failure {named} ORDER BY number",
                tuple[str, str, str, str, int, int, int | None],
            ),
            {(epoch, name): last for epoch, name, last in self._all(lineage, tuple[str, str, int])},
        )

    def _all(self, query: str, row: Any) -> list[Any]:
        return msgspec.convert(self.db.execute(query).fetchall(), list[row])

    def ends(self) -> dict[int, int]:
        """The last seq of every topic, by number."""
        return {topic.number: topic.last for topic in self.topics.values()}

    def write_back(self, *, wait: bool = False, empty: bool = False) -> int:
        """Finish a checkpoint that ran beside: with nothing left to do the log begins anew.

        Args:
            wait: for one that still runs beside; else nothing is done where one does.
            empty: leave nothing in the log: what is left of it after damage would come before the file.

        Returns:
            The number of frames in the log.
        """
        with self.copying if wait else nullcontext():
            how = "TRUNCATE" if empty else "PASSIVE"
            row: tuple[int, int, int] = self.db.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
        busy, frames, written = row
        if not busy and frames == written:
            self._unwritten = 0
        return frames

    def sync(self) -> None:
        """Have the file, without its log, on the disk. May be called beside everything else."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the connection; the last one to close writes the log back into the file."""
        self.db.close()
        os.close(self._file)


class Reader:
    """Reads beside the writer, on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.db = connect_reader(path)

    def frames(self, topic: int, after: int, limit: int) -> list[Frame]:
        """Up to `limit` messages of a topic with seq > `after`, or fewer that exceed 4 MiB together."""
        first, end = topic_of(topic)
        rows = self.db.execute(
            f"SELECT {_ROW} FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT ?",
            (first + after, end, limit),
        )
        with _sense_of_rows():
            return [_frame(row) for row in _within(rows, _READ_BYTES)]

    def newest(self, topic: int, before: int, limit: int) -> list[Frame]:
        """The last `limit` messages of a topic with seq < `before`, oldest first; bound as `frames`."""
        first, _ = topic_of(topic)
        rows = self.db.execute(
            f"SELECT {_ROW} FROM message WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?",
            (first, first + before, limit),
        )
        with _sense_of_rows():
            return [_frame(row) for row in reversed(_within(rows, _READ_BYTES))]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a small query."""
        return self.db.execute(statement, values).fetchall()

    def bounded(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The first rows of a query whose last column is a frame, up to `ANSWER_BYTES` of frames."""
        with _sense_of_rows():
            return _within(self.db.execute(statement, values), ANSWER_BYTES)

    def close(self) -> None:
        """Close the connection."""
        self.db.close()


def _frame(row: tuple[Any, ...]) -> Frame:
    rowid, ts, key, crc, frame = row
    return Frame(rowid & _SEQ_MASK, ts, frame, holds(crc, rowid, ts, key, frame))


def _within(rows: sqlite3.Cursor, most: int) -> list[tuple[Any, ...]]:
    """Rows that end in a frame, until their frames reach `most` bytes together."""
    taken: list[tuple[Any, ...]] = []
    size = 0
    with closing(rows):
        for row in rows:
            taken.append(row)
            size += len(row[-1])
            if size >= most:
                break
    return taken


@contextmanager
def sense(*nonsense: type[Exception]) -> Iterator[None]:
    """A block that reads a journal's tables; what makes no sense in them is damage, though SQLite reads it.

    Args:
        nonsense: errors that mean so, beside that of a table or column that is not there and that of
            text that is not UTF-8.

    Raises:
        sqlite3.DatabaseError: with SQLite's code for damage.
    """
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) == sqlite3.SQLITE_ERROR:
            raise _damage(error) from error
        raise
    except UnicodeDecodeError as error:
        raise _damage(error) from error
    except nonsense as error:
        raise _damage(error) from error


def _sense_of_rows() -> AbstractContextManager[None]:
    """Rows with a frame, of which damage may have changed the types."""
    return sense(TypeError, struct.error)


def _damage(error: Exception) -> sqlite3.DatabaseError:
    damage = sqlite3.DatabaseError(f"what the tables hold makes no sense ({error})")
    damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return damage


def _stored_topics(db: sqlite3.Connection) -> list[StoredTopic]:
    topics = []
    end = "SELECT id, ts, total, length(frame) FROM message WHERE id > ? AND id < ? ORDER BY id {} LIMIT 1"
    for number, name, trimmed in db.execute("SELECT id, name, trimmed FROM topic ORDER BY id").fetchall():
        first = db.execute(end.format("ASC"), topic_of(number)).fetchone()
        last = db.execute(end.format("DESC"), topic_of(number)).fetchone()
        if not all(isinstance(value, int) for row in (first, last) if row is not None for value in row):
            raise TypeError(f"a message of {name} has a time or size that is no integer")
        if not (isinstance(name, str) and isinstance(trimmed, int)):
            raise TypeError(f"{name!r} is no topic")
        if first is None:
            topics.append(StoredTopic(number, name, trimmed, trimmed, 0, 0, None, None))
        else:
            topics.append(
                StoredTopic(
                    number,
                    name,
                    trimmed,
                    last[0] & _SEQ_MASK,
                    first[2] - first[3],
                    last[2],
                    first[1],
                    last[1],
                )
            )
    return topics
