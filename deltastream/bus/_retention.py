"""What keeps the journal small: trimming by age and size, in steps that no commit notices.

Acknowledged messages go first, the oldest of all topics first. Only where that is not enough do
messages go that a group has not acknowledged; they are counted as lost for that group and logged.
The newest message of a topic stays: who comes new, as a feed that begins again, finds by it what
stands, such as the status of a market that was told hours ago.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

import structlog

from deltastream.bus._core import Core
from deltastream.bus._groups import Share
from deltastream.bus._journal import Batch, Reader, sense, topic_of
from deltastream.bus._schema import SEQ_BITS, wal_bytes
from deltastream.bus._topics import Topic
from deltastream.bus._writer import Request

__all__ = ["Retention"]

_STEP_ROWS: Final = 64
_STEP_BYTES: Final = 1 << 20
_VACUUM_PAGES: Final = 256
_DEAD_SHARE: Final = 8  # dead letters may take this part of the journal

_log = structlog.get_logger("deltastream.bus")


class _Trimmed(NamedTuple):
    through: int
    first: tuple[int, int] | None  # ts of the message that is first now, and bytes before it
    losses: list[tuple[str, int]]  # group, messages it had not acknowledged


class Retention:
    """One journal's retention."""

    def __init__(self, core: Core) -> None:
        self._core = core
        step = wal_bytes(core.settings.max_bytes)
        self._limit = core.settings.max_bytes - 5 * step  # the log takes two, and what trimming adds to it
        self._largest_file = self._limit + 2 * step
        self._losses: dict[tuple[str, str], int] = {}

    async def enforce(self) -> None:
        """Bring the journal within its age and size; log what is lost. Cancellation: between two steps."""
        try:
            await self._enforce()
        finally:
            for (group, topic), lost in self._losses.items():
                _log.error("messages_lost", group=group, topic=topic, lost=lost, reason="the journal is full")
            self._losses.clear()

    async def _enforce(self) -> None:
        await self._trim_old()
        used, pages, page_size = await self._measure()
        while used > self._limit and (step := self._oldest()) is not None:
            await self._trim(*step)
            used, pages, page_size = await self._measure()
        while pages * page_size > self._largest_file and used < self._limit:
            await self._core.writer.submit(Request(rank=self._rank, operation=_vacuum))
            used, pages, page_size = await self._measure()
        await self._trim_dead()

    @property
    def _rank(self) -> int:
        return self._core.topics.ranks - 1

    async def _measure(self) -> tuple[int, int, int]:
        """Bytes in use, pages of the file, bytes per page."""
        rows = await self._core.read(
            Reader.query,
            "SELECT page_count, freelist_count, page_size"
            " FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
        )
        pages, free, size = rows[0]
        return (pages - free) * size, pages, size

    async def _trim_old(self) -> None:
        before = self._core.seams.clock.now_ns() - int(self._core.settings.max_age_s * 1e9)
        for topic in list(self._core.topics.by_name.values()):
            while topic.first_ts is not None and topic.first_ts < before:
                trimmed = topic.trimmed
                if trimmed >= (limit := self._done(topic)):
                    break
                await self._trim(topic, limit, before)
                if topic.trimmed == trimmed:
                    break

    def _oldest(self) -> tuple[Topic, int] | None:
        """The topic to trim next and how far it may be trimmed; None where each has one message."""
        topics = [topic for topic in self._core.topics.by_name.values() if topic.trimmed < topic.last - 1]
        done = [topic for topic in topics if topic.trimmed < self._done(topic)]
        if done:
            topic = min(done, key=lambda topic: topic.first_ts or 0)
            return topic, self._done(topic)
        if topics:
            topic = min(topics, key=lambda topic: topic.first_ts or 0)
            return topic, topic.last - 1
        return None

    def _done(self, topic: Topic) -> int:
        """Up to where a topic's messages are acknowledged by all, and not its newest."""
        return min(self._core.groups.floor(topic), topic.last - 1)

    async def _trim(self, topic: Topic, limit: int, before: int | None = None) -> None:
        """Take at most a step of messages up to `limit`, and older than `before` where given."""
        shares: list[tuple[str, Share]] = []

        def join(_: Batch) -> None:
            shares.extend(self._core.groups.on(topic))

        def operation(db: sqlite3.Connection) -> _Trimmed | None:
            standing = [(group, topic.number, share.acked) for group, share in shares]
            return _trim(db, topic.number, topic.trimmed, limit, before, standing)

        def done(result: _Trimmed | None) -> None:
            if result is None:
                return
            topic.trimmed = result.through
            topic.first_ts = None if result.first is None else result.first[0]
            topic.base = topic.total if result.first is None else result.first[1]
            lost = dict(result.losses)
            for group, share in shares:
                share.skip_to(result.through, lost.get(group, 0))
                if group in lost:
                    where = group, topic.name
                    self._losses[where] = self._losses.get(where, 0) + lost[group]

        await self._core.writer.submit(Request(rank=self._rank, join=join, operation=operation, done=done))

    async def _trim_dead(self) -> None:
        if not any(
            share.dead for group in self._core.groups.by_name.values() for share in group.shares.values()
        ):
            return
        rows = await self._core.read(
            Reader.query,
            "SELECT failure.id, consumer, name, length(frame) + length(trace) FROM failure"
            " JOIN topic ON topic.id = topic WHERE due IS NULL ORDER BY number DESC",
        )
        room = self._core.settings.max_bytes // _DEAD_SHARE
        for id_, group, topic, size in rows:
            room -= size
            if room < 0:
                await self._drop_dead(id_, group, topic)

    async def _drop_dead(self, id_: str, group: str, topic: str) -> None:
        def operation(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM failure WHERE id = ? AND due IS NULL", (id_,))
            db.execute(
                "UPDATE progress SET lost = lost + 1"
                " WHERE consumer = ? AND topic = (SELECT id FROM topic WHERE name = ?)",
                (group, topic),
            )

        def done(_: object) -> None:
            share = self._core.groups.share(group, topic)
            if share is not None:
                share.dead -= 1
                share.lost += 1
            self._losses[group, topic] = self._losses.get((group, topic), 0) + 1

        await self._core.writer.submit(Request(rank=self._rank, operation=operation, done=done))


def _trim(
    db: sqlite3.Connection,
    topic: int,
    trimmed: int,
    limit: int,
    before: int | None,
    standing: Sequence[tuple[str, int, int]],
) -> _Trimmed | None:
    base, end = topic_of(topic)
    rows = db.execute(
        "SELECT id, ts, total FROM message WHERE id > ? AND id <= ? ORDER BY id LIMIT ?",
        (base + trimmed, base + limit, _STEP_ROWS),
    ).fetchall()
    last = None if rows else base + limit  # a hole, where damage took them
    with sense(TypeError):
        for rowid, ts, total in rows:
            if before is not None and ts >= before:
                break
            last = rowid
            if total - rows[0][2] > _STEP_BYTES:
                break
    if last is None:
        return None
    through = last - (topic << SEQ_BITS)
    db.execute("DELETE FROM message WHERE id > ? AND id <= ?", (base + trimmed, last))
    db.execute("UPDATE topic SET trimmed = ? WHERE id = ?", (through, topic))
    db.executemany("INSERT OR IGNORE INTO progress VALUES (?, ?, ?, 0)", standing)
    losses = db.execute(
        "SELECT consumer, ?1 - acked FROM progress WHERE topic = ?2 AND acked < ?1", (through, topic)
    ).fetchall()
    db.execute(
        "UPDATE progress SET lost = lost + ?1 - acked, acked = ?1 WHERE topic = ?2 AND acked < ?1",
        (through, topic),
    )
    first = db.execute(
        "SELECT ts, total, length(frame) FROM message WHERE id > ? AND id < ? ORDER BY id LIMIT 1",
        (last, end),
    ).fetchone()
    with sense(TypeError):
        start = None if first is None else (first[0], first[1] - first[2])
    return _Trimmed(through, start, losses)


def _vacuum(db: sqlite3.Connection) -> None:
    db.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
