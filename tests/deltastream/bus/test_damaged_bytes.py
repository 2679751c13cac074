"""Journals whose bytes are others: whatever they are, the bus opens, and all can use it."""

from __future__ import annotations

import random
import shutil
import sqlite3
from contextlib import closing

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import BusSettings, EmbeddedBus, Entry, open_bus
from deltastream.bus._salvage import salvage
from deltastream.errors import BusClosed, JournalError
from deltastream.messages import Position, UnderlyingTick

PAGE = 4096


def long_tick(n):
    return UnderlyingTick(product="A" * (10 + n * 7 % 900), price=1.0, ts_event=n, ts_recv=n)


@pytest.fixture
async def intact(tmp_path, virtual, autojump_clock):
    """A directory with a journal of three topics, a group, and a message of it out of line."""
    path = tmp_path / "intact"
    path.mkdir()
    async with open_bus(path / "a.db", BusSettings(), virtual) as bus:
        for n in range(100):
            for topic in ("market.tick.A", "market.tick.B", "x"):
                await bus.append(topic, long_tick(n), key=f"k{n}" if n % 3 else None)
        async with bus.consume(["*"], "g") as consumer:
            batch = await consumer.batch(50)
            await consumer.ack(batch[:20])
            await consumer.fail(batch[21], ValueError("x"))
    return path


def spoil(content: bytearray, rng: random.Random):
    """A few bytes: anywhere, at the heads of pages, or in the small tables."""
    where = rng.randrange(4)
    for _ in range(rng.choice((1, 2, 4, 16))):
        page = rng.randrange(len(content) // PAGE if where < 2 else 14) * PAGE
        at = page + (rng.randrange(PAGE), rng.randrange(12), rng.randrange(100), -rng.randint(1, 300))[where]
        content[at % len(content)] = rng.choice((0, 255, rng.randrange(256), content[at % len(content)] ^ 4))


async def serve(bus, task_status=trio.TASK_STATUS_IGNORED):
    """As under a supervisor: damage found while the bus works ends the service, the next one mends it."""
    for _ in range(3):
        try:
            return await bus.run(task_status=task_status)
        except JournalError as error:
            if "is damaged" not in str(error):
                raise
            task_status = trio.TASK_STATUS_IGNORED
    return pytest.fail("damaged for ever")


async def use(bus):
    await bus.append("x", long_tick(1))
    await bus.dead_letters()
    async with bus.follow(["*"]) as follower:
        with trio.move_on_after(1):
            while True:
                await follower.batch()
    async with bus.consume(["*"], "g", positions={"x": Position("other", 3)}) as consumer:
        with trio.move_on_after(1):
            while True:
                await consumer.ack(await consumer.batch())


@pytest.mark.parametrize("seeds", [range(30), pytest.param(range(30, 500), marks=pytest.mark.slow)], ids=len)
async def test_it_opens_whatever_the_bytes_are(tmp_path, virtual, autojump_clock, intact, seeds):
    """But where the file's own head tells that it is another program's, or of a newer version."""
    content = (intact / "a.db").read_bytes()
    salvaged = 0
    for seed in seeds:
        spoiled = bytearray(content)
        spoil(spoiled, random.Random(f"spoil/{seed}"))
        path = tmp_path / "spoiled"
        shutil.copytree(intact, path)
        (path / "a.db").write_bytes(spoiled)
        bus = EmbeddedBus(path / "a.db", BusSettings(), virtual)
        with capture_logs() as lines, trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                try:
                    await nursery.start(serve, bus)
                except JournalError as error:
                    if "not a journal" not in str(error) and "newer version" not in str(error):
                        raise
                else:
                    try:
                        await use(bus)
                    except BusClosed:  # the journal was replaced meanwhile
                        await use(bus)
                bus.close()
        salvaged += any(line["event"] == "journal_salvaged" for line in lines)
        shutil.rmtree(path)
    assert salvaged > len(seeds) / 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE topic SET name = CAST(name AS BLOB)",
        "UPDATE topic SET trimmed = 'x'",
        "UPDATE topic SET trimmed = x''",
        "UPDATE progress SET acked = x'' WHERE consumer = 'h'",
        "UPDATE subscription SET pattern = CAST(pattern AS BLOB) WHERE consumer = 'h'",
    ],
)
async def test_small_tables_of_other_types_are_damage(tmp_path, virtual, autojump_clock, statement):
    """Nobody's standing is forgotten for that of another; where a topic has no name its messages are lost."""
    path = tmp_path / "a.db"
    async with open_bus(path, BusSettings(), virtual) as bus:
        await bus.append_batch([Entry("x", long_tick(n)) for n in range(3)])
        for group in ("g", "h"):
            async with bus.consume(["x"], group) as consumer:
                await consumer.ack((await consumer.batch())[:2])
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    bus = EmbeddedBus(path, BusSettings(), virtual)
    with capture_logs():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, bus)
            await bus.append("x", long_tick(9))
            async with bus.consume(["x"], "g") as consumer:
                seqs = [delivery.position.seq for delivery in await consumer.batch()]
            nursery.cancel_scope.cancel()
    assert seqs == ([1] if "topic" in statement else [3, 4])
    assert bus.salvage is not None


@pytest.mark.parametrize("seq", [1, 2, 3])
@pytest.mark.parametrize(
    "change",
    ["ts = 'long ago'", "ts = 1.5", "total = 'much'", "frame = 5", "frame = 'a text'", "frame = 0.5"],
)
async def test_a_row_of_other_types_is_damage(tmp_path, virtual, autojump_clock, change, seq):
    """SQLite reads it; what can be is taken over into a new journal, whoever comes upon it first."""
    path = tmp_path / "a.db"
    async with open_bus(path, BusSettings(), virtual) as bus:
        await bus.append_batch([Entry("x", long_tick(n)) for n in range(4)])
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE message SET {change} WHERE id & 0xff = {seq}")
        db.commit()
    bus = EmbeddedBus(path, BusSettings(max_age_s=1000.0), virtual)
    with capture_logs():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, bus)
            whole = [n for n in (1, 2, 3, 4) if n != seq or change.startswith("total")]
            assert [record.position.seq for record in await bus.read("x")] == whole
            await trio.sleep(3000.0)
            assert [record.position.seq for record in await bus.read("x")] == [4]
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("change", ["id = id + 5", "ts = ts - 1", "key = 'k101'"])
class TestAMessageInTheWrongPlace:
    """Damage to what stands beside an intact frame, in a file that SQLite has nothing against."""

    async def spoil(self, path, change, virtual):
        async with open_bus(path, BusSettings(), virtual) as bus:
            for n in range(3):
                await bus.append("x", long_tick(n), key=f"k{n}")
        with closing(sqlite3.connect(path)) as db:
            db.execute(f"UPDATE message SET {change} WHERE id & 0xff = 3")
            db.commit()

    async def test_is_told_to_be_unreadable(self, tmp_path, virtual, autojump_clock, change):
        await self.spoil(tmp_path / "a.db", change, virtual)
        async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
            assert [record.message for record in await bus.read("x")] == [long_tick(0), long_tick(1)]
            async with bus.follow(["x"]) as follower:
                items = await follower.batch()
        assert [item.message for item in items[:2]] == [long_tick(0), long_tick(1)]
        assert [gap.reason for gap in items[2:]][-1] == "undecodable"

    async def test_is_not_salvaged(self, tmp_path, virtual, autojump_clock, change):
        await self.spoil(tmp_path / "a.db", change, virtual)
        report = salvage(tmp_path / "a.db", "a test", "e2", "1")
        assert report.salvaged == {"x": 2}
        async with open_bus(tmp_path / "a.db", BusSettings(), virtual) as bus:
            assert [record.message for record in await bus.read("x")] == [long_tick(0), long_tick(1)]
