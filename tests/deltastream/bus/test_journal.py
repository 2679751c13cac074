"""The file: what is in it, what older and newer versions do, what damage does."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import zlib
from contextlib import closing
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import BusSettings, EmbeddedBus, Entry, Gap, _opening, open_bus
from deltastream.bus._salvage import salvage
from deltastream.bus._schema import MIGRATIONS, VERSION, connect, create, migrate
from deltastream.errors import JournalError
from deltastream.messages import Position, UnderlyingTick, encode

V1 = """
PRAGMA application_id = 1146309169; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, trimmed INTEGER NOT NULL);
CREATE TABLE message (id INTEGER PRIMARY KEY, key TEXT, ts INTEGER NOT NULL, total INTEGER NOT NULL,
    crc INTEGER NOT NULL, frame BLOB NOT NULL);
CREATE UNIQUE INDEX message_key ON message (id >> 40, key) WHERE key IS NOT NULL;
CREATE TABLE subscription (consumer TEXT NOT NULL, pattern TEXT NOT NULL, PRIMARY KEY (consumer, pattern))
    WITHOUT ROWID;
CREATE TABLE progress (consumer TEXT NOT NULL, topic INTEGER NOT NULL, acked INTEGER NOT NULL,
    lost INTEGER NOT NULL, PRIMARY KEY (consumer, topic)) WITHOUT ROWID;
CREATE TABLE failure (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, consumer TEXT NOT NULL,
    topic INTEGER NOT NULL, epoch TEXT NOT NULL, seq INTEGER NOT NULL, ts INTEGER NOT NULL,
    attempts INTEGER NOT NULL, due INTEGER, error TEXT NOT NULL, trace TEXT NOT NULL, frame BLOB NOT NULL,
    UNIQUE (consumer, topic, epoch, seq));
CREATE TABLE lineage (epoch TEXT NOT NULL, topic INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (epoch, topic)) WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 'e1');
INSERT INTO topic VALUES (1, 'market.tick.SPY', 2), (2, 'emptied', 7);
INSERT INTO subscription VALUES ('g', 'market.*');
INSERT INTO progress VALUES ('g', 1, 3, 0);
"""


def v1(path, messages):
    """A journal of version 1, from literal SQL: seqs 3 and on of market.tick.SPY."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(V1)
        total = 0
        for seq, message in enumerate(messages, 3):
            frame = encode(message)
            total += len(frame)
            row = (1 << 40 | seq, f"k{seq}", seq * 1000, total, zlib.crc32(frame), frame)
            db.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)", row)
        frame = encode(messages[0])
        db.execute(
            "INSERT INTO failure VALUES (1, 'f1', 'g', 1, 'e1', 1, 5, 3, NULL, 'ValueError: x', 'trace', ?)",
            (frame,),
        )
        db.commit()


async def test_a_journal_of_version_1_opens(log, clock, tick):
    v1(log.path, [tick(n) for n in (3, 4, 5)])
    async with log.open() as bus:
        topic, emptied = (await bus.statistics()).topics
        assert (topic.first_seq, topic.last_seq, topic.epoch, topic.last_ts) == (3, 5, "e1", 5000)
        assert topic.bytes == 3 * len(encode(tick(3)))
        assert (emptied.first_seq, emptied.last_seq, emptied.bytes) == (8, 7, 0)
        assert [letter.id for letter in await bus.dead_letters("g")] == ["f1"]
        async with bus.consume(["market.*"], "g") as consumer:
            assert [(d.position, d.message) for d in await consumer.batch()] == [
                (Position("e1", 4), tick(4)),
                (Position("e1", 5), tick(5)),
            ]
        assert (await bus.append("market.tick.SPY", tick(9), key="k4")).seq == 4
        assert (await bus.append("market.tick.SPY", tick(9))).seq == 6
        assert (await bus.append("emptied", tick(9))).seq == 8


async def test_a_damaged_journal_of_version_1_is_salvaged(log, clock, tick):
    v1(log.path, [tick(n) for n in (3, 4, 5)])
    assert salvage(log.path, "a test", "e2", "1").salvaged == {"market.tick.SPY": 3, "emptied": 0}
    async with log.open() as bus:
        records = await bus.read("market.tick.SPY")
        assert [(record.position.seq, record.message) for record in records] == [
            (n, tick(n)) for n in (3, 4, 5)
        ]
    with closing(sqlite3.connect(log.path)) as db:
        db.execute("UPDATE message SET id = id + 7 WHERE id & 0xff = 5")
        db.commit()
    async with log.open() as bus:
        assert len(await bus.read("market.tick.SPY")) == 2


def test_the_tables_are_those_of_version_1(tmp_path):
    with closing(connect(tmp_path / "new.db", "process")) as new, closing(sqlite3.connect(":memory:")) as old:
        create(new, "e")
        old.executescript(V1)
        columns = (
            "SELECT m.name, p.name, p.type, p.pk"
            " FROM sqlite_master m, pragma_table_info(m.name) p ORDER BY 1, 2"
        )
        assert new.execute(columns).fetchall() == old.execute(columns).fetchall()


async def test_a_newer_version_is_refused(log, clock, tick):
    async with log.open() as bus:
        await bus.append("a", tick(0))
    before = log.path.read_bytes()
    with closing(sqlite3.connect(log.path)) as db:
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(
        JournalError, match=f"newer version \\(journal {VERSION + 1}, this one knows {VERSION}\\)"
    ):
        async with log.open():
            pass
    assert len(log.path.read_bytes()) == len(before)


async def test_another_database_is_refused(log, clock):
    with closing(sqlite3.connect(log.path)) as db:
        db.execute("CREATE TABLE mine (x)")
    with pytest.raises(JournalError, match="not a journal of DeltaStream"):
        async with log.open():
            pass


def test_migration_goes_step_by_step_and_each_whole(tmp_path):
    with closing(connect(tmp_path / "j.db", "process")) as db:
        create(db, "e")
        steps = {
            VERSION: lambda db: db.execute("CREATE TABLE one (x)"),
            VERSION + 1: lambda db: db.execute("oops"),
        }
        with pytest.raises(sqlite3.OperationalError):
            migrate(db, steps, VERSION + 2)
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 1,)
        assert migrate(db, {VERSION + 1: lambda db: db.execute("DROP TABLE one")}, VERSION + 2) == VERSION + 1
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION + 2,)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'one'").fetchone() == (0,)


def test_there_is_a_migration_from_every_version():
    assert sorted(MIGRATIONS) == list(range(1, VERSION))


async def test_an_empty_file_becomes_a_journal(log, clock, tick):
    log.path.touch()
    async with log.open() as bus:
        assert (await bus.append("a", tick(0))).seq == 1


@pytest.fixture
def read_only_directory():
    """A directory in which this process, even if it is root's, may not write."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield directory
    os.seteuid(user)
    directory.chmod(0o755)
    shutil.rmtree(directory)


async def test_a_read_only_directory_is_one_sentence(read_only_directory, virtual, autojump_clock):
    with pytest.raises(JournalError, match=r"journal\.db cannot be opened: unable to open database file"):
        async with open_bus(read_only_directory / "journal.db", BusSettings(), virtual):
            pass
    assert list(read_only_directory.iterdir()) == []


async def test_a_read_only_file_is_one_sentence(read_only_directory, virtual, autojump_clock):
    user = os.geteuid()
    if user != os.getuid():
        os.seteuid(os.getuid())
    read_only_directory.chmod(0o755)
    async with open_bus(read_only_directory / "journal.db", BusSettings(), virtual):
        pass
    (read_only_directory / "journal.db").chmod(0o444)
    read_only_directory.chmod(0o555)
    os.seteuid(user)
    with pytest.raises(JournalError, match="cannot be opened"):
        async with open_bus(read_only_directory / "journal.db", BusSettings(), virtual):
            pass


async def test_a_missing_directory_is_one_sentence(tmp_path, virtual, autojump_clock):
    with pytest.raises(JournalError, match=r"journal\.db cannot be opened: unable to open database file"):
        async with open_bus(tmp_path / "absent" / "journal.db", BusSettings(), virtual):
            pass


async def test_a_directory_in_its_place_is_one_sentence(tmp_path, virtual, autojump_clock):
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(JournalError, match="cannot be opened"):
        async with open_bus(tmp_path / "journal.db", BusSettings(), virtual):
            pass


class TestUndecodable:
    async def spoil(self, log, seq, frame, crc=None):
        with closing(sqlite3.connect(log.path)) as db:
            db.execute(
                "UPDATE message SET frame = ?, crc = ? WHERE id & 0xffff = ?",
                (frame, zlib.crc32(frame) if crc is None else crc, seq),
            )
            db.commit()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda f: f[:5] + b"\x09" + f[6:], "NewerSchema: underlying_tick has schema 9"),
            (lambda f: f[:4] + b"\xfa" + f[5:], "NewerSchema: message kind 250"),
            (lambda f: f[:40], "MessageDecodeError"),
            (lambda f: b"", "MessageDecodeError"),
        ],
    )
    async def test_becomes_a_dead_letter_at_once(self, log, clock, tick, change, reason):
        async with log.open() as bus:
            await bus.append_batch([Entry("a", tick(n)) for n in range(4)])
        await self.spoil(log, 1, change(encode(tick(0))))
        await self.spoil(log, 3, change(encode(tick(2))))
        with capture_logs() as lines:
            async with log.open() as bus, bus.consume(["a"], "g") as consumer:
                good = [*await consumer.batch(), *await consumer.batch()]
                assert [d.position.seq for d in good] == [2, 4]
                await consumer.ack(good)
                letters = await bus.dead_letters("g")
                assert [letter.position.seq for letter in letters] == [1, 3]
                assert all(letter.error.startswith(reason) for letter in letters)
                assert letters[0].frame == change(encode(tick(0)))
                [group] = (await bus.statistics()).groups
                assert (group.acked, group.dead, group.in_flight) == (4, 2, 0)
                await bus.replay_dead_letter(letters[0].id)
                with trio.move_on_after(0.1):
                    raise AssertionError(await consumer.batch())
                assert {letter.position.seq for letter in await bus.dead_letters("g")} == {1, 3}
        assert {line["event"] for line in lines} == {"dead_letter"}

    async def test_followers_see_a_gap(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry("a", tick(n)) for n in range(3)])
        frame = bytearray(encode(tick(1)))
        frame[60] ^= 1
        await self.spoil(log, 2, bytes(frame), crc=zlib.crc32(encode(tick(1))))
        async with log.open() as bus, bus.follow(["a"]) as follower:
            one, gap, three = await follower.batch()
            assert (one.position.seq, three.position.seq) == (1, 3)
            assert gap == Gap("a", one.position.epoch, 2, 2, "undecodable")
            assert [r.position.seq for r in await bus.read("a")] == [1, 3]


class TestDamage:
    async def fill(self, log, tick, count=400):
        async with log.open() as bus:
            for start in range(0, count, 50):
                await bus.append_batch(
                    [Entry(f"t.{n % 2}", big(tick(n)), f"k{n}") for n in range(start, start + 50)]
                )
            async with bus.consume(["t.0"], "g") as consumer:
                await consumer.ack(await consumer.batch(100))
            return (await bus.statistics()).topics[0].epoch

    async def check_salvaged(self, log, epoch, count=400, least=1):
        with capture_logs() as lines:
            async with log.open() as bus:
                report = bus.salvage
                assert report is not None
                assert report.set_aside.exists()
                assert str(report.set_aside) in str(report)
                assert "journal_salvaged" in [line["event"] for line in lines]
                topics = {topic.topic: topic for topic in (await bus.statistics()).topics}
                assert report.epoch != epoch
                total = 0
                for name, topic in topics.items():
                    assert topic.epoch == report.epoch
                    records = await bus.read(name, limit=1000)
                    total += len(records)
                    assert len(records) == report.salvaged.get(name, 0)
                    numbers = [r.position.seq for r in records]
                    assert numbers == sorted(set(numbers))
                    for record in records:
                        assert record.message.ts_event == 2 * (record.position.seq - 1) + int(name[-1])
                assert total >= least
                assert (await bus.append("t.0", big_tick(999))).epoch == report.epoch
        async with log.open() as bus:
            assert bus.salvage is None
            [group] = [g for g in (await bus.statistics()).groups if g.group == "g"] or [None]
        return report, group

    async def test_garbage_in_the_middle(self, log, clock, tick):
        epoch = await self.fill(log, tick)
        size = log.path.stat().st_size
        with log.path.open("r+b") as file:
            file.seek(size // 2 // 4096 * 4096)
            file.write(random.Random(3).randbytes(16384))
        report, group = await self.check_salvaged(log, epoch, least=300)
        assert sum(report.salvaged.values()) < 400
        assert group.acked == 100

    async def test_truncated_file(self, log, clock, tick):
        epoch = await self.fill(log, tick)
        os.truncate(log.path, log.path.stat().st_size * 2 // 3 // 4096 * 4096)
        await self.check_salvaged(log, epoch)

    @pytest.mark.parametrize("content", [b"not a database" * 1000, bytes(8192)])
    async def test_nothing_is_left(self, log, clock, tick, content):
        epoch = await self.fill(log, tick)
        log.path.write_bytes(content)
        report, _ = await self.check_salvaged(log, epoch, least=0)
        assert report.salvaged == {}
        assert report.unreadable
        assert report.set_aside.read_bytes() == content

    async def test_garbage_everywhere(self, log, clock, tick):
        """Whatever page is hit: it opens, nothing wrong comes out, and nothing is lost without a report."""
        epoch = await self.fill(log, tick, 100)
        original = log.path.read_bytes()
        rng = random.Random(11)
        for page in rng.sample(range(len(original) // 4096), 12):
            broken = bytearray(original)
            broken[page * 4096 : page * 4096 + 4096] = rng.randbytes(4096)
            for file in log.path.parent.iterdir():
                file.unlink()
            log.path.write_bytes(broken)
            with capture_logs():
                async with log.open() as bus, bus.follow(["*"]) as follower:
                    seen = 0
                    items = []
                    while sum(t.last_seq - t.first_seq + 1 for t in (await bus.statistics()).topics) > seen:
                        batch = await follower.batch()
                        items += batch
                        seen += sum(
                            item.last - item.first + 1 if isinstance(item, Gap) else 1 for item in batch
                        )
                    for item in items:
                        if not isinstance(item, Gap):
                            assert item.message == big_tick(2 * (item.position.seq - 1) + int(item.topic[-1]))
                    whole = sum(not isinstance(item, Gap) for item in items) == 100
                    told = bus.salvage is not None or any(isinstance(item, Gap) for item in items)
                    assert whole or told
                    if bus.salvage is None:
                        assert {t.epoch for t in (await bus.statistics()).topics} == {epoch}

    async def test_positions_of_the_old_epoch_still_mean_the_same_messages(self, log, clock, tick):
        epoch = await self.fill(log, tick)
        size = log.path.stat().st_size
        with log.path.open("r+b") as file:
            file.seek(size // 2 // 4096 * 4096)
            file.write(bytes(4096))
        with capture_logs():
            async with log.open() as bus:
                last = {t.topic: t.last_seq for t in (await bus.statistics()).topics}
                known = {"t.0": Position(epoch, 150), "t.1": Position(epoch, 10_000)}
                async with bus.consume(["t.*"], "store", positions=known) as consumer:
                    await bus.append_batch([Entry("t.0", big_tick(0)), Entry("t.1", big_tick(0))])
                    found = {"t.0": [], "t.1": []}
                    while not all(seqs and seqs[-1] == last[name] + 1 for name, seqs in found.items()):
                        for delivery in await consumer.batch():
                            found[delivery.topic].append(delivery.position.seq)
                assert min(found["t.0"]) > 150
                assert found["t.1"] == [last["t.1"] + 1]
                async with bus.follow(["t.0"], after={"t.0": Position(epoch, 199)}) as follower:
                    gap = (await follower.batch())[0]
                    assert (gap.epoch, gap.reason) == (epoch, "epoch_changed")

    async def test_torn_tail_of_the_log(self, log, clock, tick, tmp_path):
        """Garbage after the last commit, and a commit cut short: the journal is that of before it."""
        async with log.open() as bus:
            await bus.append_batch([Entry("t.0", big_tick(n)) for n in range(20)])
            first = (tmp_path / "journal.db-wal").stat().st_size
            await bus.append_batch([Entry("t.0", big_tick(n)) for n in range(20, 40)])
            copies = {s: (tmp_path / f"journal.db{s}").read_bytes() for s in ("", "-wal", "-shm")}
            [topic] = (await bus.statistics()).topics
        full = copies["-wal"]
        torn = [full[: first + 5000], full[:-7], full[:-4096] + os.urandom(4096), full + os.urandom(9999)]
        for number, wal in enumerate(torn):
            for file in tmp_path.iterdir():
                file.unlink()
            (tmp_path / "journal.db").write_bytes(copies[""])
            (tmp_path / "journal.db-wal").write_bytes(wal)
            (tmp_path / "journal.db-shm").write_bytes(copies["-shm"])
            async with log.open() as bus:
                assert (bus.salvage is None) == (number == 3)
                assert number == 3 or "write-ahead log is missing or overwritten" in str(bus.salvage)
                expected = 40 if number == 3 else 20
                assert [r.message for r in await bus.read("t.0")] == [big_tick(n) for n in range(expected)]
                position = await bus.append("t.0", big_tick(0))
                assert position.seq == expected + 1
                assert (position.epoch == topic.epoch) == (number == 3)

    async def test_death_in_the_middle_of_a_salvage(self, log, clock, tick, tmp_path):
        epoch = await self.fill(log, tick)
        path, fresh = log.path, tmp_path / "journal.db.salvaging"
        shutil.copy(path, fresh)
        path.rename(tmp_path / "journal.db.corrupt-1")
        (tmp_path / "journal.db-wal").write_bytes(b"of the damaged one")
        async with log.open() as bus:
            assert sum(t.last_seq for t in (await bus.statistics()).topics) == 400
            assert {t.epoch for t in (await bus.statistics()).topics} == {epoch}
        fresh.write_bytes(b"not finished")
        async with log.open() as bus:
            assert sum(t.last_seq for t in (await bus.statistics()).topics) == 400
        assert not fresh.exists()

    async def test_a_large_journal_is_checked_beside(self, log, clock, tick, tmp_path, monkeypatch):
        await self.fill(log, tick)
        monkeypatch.setattr(_opening, "CHECK_AT_ONCE_BYTES", 0)
        async with log.open() as bus:
            await trio.sleep(0.1)
            assert len(await bus.read("t.0", limit=1000)) == 200
        with log.path.open("r+b") as file:
            file.seek(log.path.stat().st_size // 2 // 4096 * 4096)
            file.write(bytes(8192))
        with pytest.raises(JournalError, match="is damaged"), trio.fail_after(20):
            async with log.open():
                await trio.sleep_forever()

    async def test_found_while_it_works(self, tmp_path, virtual, autojump_clock, tick):
        """A reader meets damage: the service ends with a sentence, the next one salvages, callers go on."""
        bus = EmbeddedBus(tmp_path / "journal.db", BusSettings(cache_bytes=0), virtual)
        async with trio.open_nursery() as nursery:
            await nursery.start(bus.run)
            await bus.append_batch([Entry("t.0", big_tick(2 * n)) for n in range(200)])
            nursery.cancel_scope.cancel()
        ended = []

        async def run(task_status=trio.TASK_STATUS_IGNORED):
            while True:
                try:
                    return await bus.run(task_status=task_status)
                except JournalError as error:
                    ended.append(str(error))
                    task_status = trio.TASK_STATUS_IGNORED

        with capture_logs():
            async with trio.open_nursery() as nursery:
                await nursery.start(run)
                with (tmp_path / "journal.db").open("r+b") as file:
                    file.seek(file.seek(0, 2) // 2 // 4096 * 4096)
                    file.write(os.urandom(65536))
                with trio.fail_after(60):
                    first = await bus.read("t.0", limit=1000)
                    position = await bus.append("t.0", big_tick(0))
                assert bus.salvage is not None
                assert [r.message.ts_event for r in first] == [2 * (r.position.seq - 1) for r in first]
                assert position.epoch == bus.salvage.epoch
                bus.close()
        assert ended
        assert all("is damaged" in each for each in ended)


def big(message):
    """With a head long enough that few fit on a page."""
    return UnderlyingTick(product="x" * 1500, price=1.0, ts_event=message.ts_event, ts_recv=message.ts_recv)


def big_tick(number):
    return UnderlyingTick(product="x" * 1500, price=1.0, ts_event=number, ts_recv=number)
