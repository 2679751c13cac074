"""A disk that is full, for real: SQLite's own limit, and the operating system's."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import closing

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import Entry, _journal


@pytest.fixture
def connections(monkeypatch):
    """The writer's connections, as they are made; each may have as many pages as `limit` says."""
    made = []
    connect = _journal.connect

    def limited(path, durability):
        db = connect(path, durability)
        made.append(db)
        return db

    monkeypatch.setattr(_journal, "connect", limited)
    return made


async def appended(bus, entries):
    """Whether these are accepted within a while."""
    with trio.move_on_after(0.3) as scope:
        await bus.append_batch(entries)
    return not scope.cancelled_caught


async def test_database_full(log, clock, chain, connections):
    with capture_logs() as lines:
        async with log.open() as bus:
            first = [Entry("a", chain(n), f"k{n}") for n in range(10)]
            await bus.append_batch(first)
            [writer] = connections
            pages = writer.execute("PRAGMA page_count").fetchone()[0]
            writer.execute(f"PRAGMA max_page_count = {pages}")
            async with bus.consume(["a"], "g") as consumer:
                deliveries = await consumer.batch(10)
                second = [Entry("a", chain(n), f"k{n}") for n in range(10, 20)]
                assert not await appended(bus, second)
                statistics = await bus.statistics()
                assert statistics.state == "degraded"
                assert statistics.reason == "OperationalError: database or disk is full"
                assert [r.position.seq for r in await bus.read("a")] == list(range(1, 11))
                [group] = statistics.groups
                assert (group.acked, group.in_flight) == (0, 10)
                writer.execute("PRAGMA max_page_count = 100000")
                positions = await bus.append_batch(second)
                assert [p.seq for p in positions] == list(range(11, 21))
                await consumer.ack(deliveries)
            assert (await bus.statistics()).state == "running"
            records = await bus.read("a")
            assert [r.message.ts_event for r in records] == list(range(20))
    assert [(line["event"], line["reason"]) for line in lines] == [("bus_degraded", statistics.reason)]


@pytest.mark.parametrize("clock", ["threads"], indirect=True)
async def test_no_file_may_grow(log, clock, chain, tmp_path):
    """The write itself fails, in the middle of a transaction."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with capture_logs():
        async with log.open() as bus:
            await bus.append_batch([Entry("a", chain(n), f"k{n}") for n in range(10)])
            size = (tmp_path / "journal.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20_000, hard))
            try:
                assert not await appended(bus, [Entry("a", chain(n), f"k{n}") for n in range(10, 20)])
                statistics = await bus.statistics()
                assert statistics.state == "degraded"
                assert statistics.reason is not None
                assert len(await bus.read("a")) == 10
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            position = await bus.append("a", chain(99))
            assert position.seq == 21
        async with log.open() as bus:
            assert [r.message.ts_event for r in await bus.read("a")] == [*range(20), 99]


async def test_killed_while_full(log, clock, chain, connections):
    """What was not accepted is not there after reopening; what was, is."""
    with capture_logs():
        async with log.open() as bus:
            await bus.append("a", chain(0))
            [writer] = connections
            writer.execute(f"PRAGMA max_page_count = {writer.execute('PRAGMA page_count').fetchone()[0]}")
            assert not await appended(bus, [Entry("a", chain(n)) for n in range(1, 20)])
        async with log.open() as bus:
            assert [r.message.ts_event for r in await bus.read("a")] == [0]


def test_sqlite_reports_it_as_operational():
    """The writer waits for this class of errors; DatabaseError alone would mean damage."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as caught:
            db.execute("CREATE TABLE t (x)")
    assert caught.value.sqlite_errorcode == sqlite3.SQLITE_FULL
