"""Backups put back, of the journal or of a group's store, and names of epochs that were lost."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest
import trio
from structlog.testing import capture_logs

from deltastream.bus import Entry, Gap
from deltastream.bus._epochs import mark_journal
from deltastream.errors import BusClosed
from deltastream.messages import Position


async def fill(log, tick, *numbers):
    """Append to topic a; the last position."""
    async with log.open() as bus:
        return (await bus.append_batch([Entry("a", tick(n)) for n in numbers]))[-1]


async def delivered(bus, group, positions, count, topics=("a",), earlier=None):
    """Deliveries to a group with a store that stands at `positions`; all of them acknowledged."""
    found = []
    async with bus.consume(topics, group, positions=positions, earlier=earlier) as consumer:
        with trio.move_on_after(0.1 if not count else 20):
            while len(found) < count or not count:
                found += await consumer.batch()
        await consumer.ack(found)
    return found


def what(deliveries):
    return [(d.position.seq, d.message.ts_event) for d in deliveries]


def put_back(log, name="backup.db"):
    for suffix in ("-wal", "-shm"):
        log.path.with_name(log.path.name + suffix).unlink(missing_ok=True)
    shutil.copy(log.path.with_name(name), log.path)


def backup(log, name="backup.db"):
    shutil.copy(log.path, log.path.with_name(name))


class TestOlderJournal:
    async def test_put_back_in_its_place_begins_a_new_epoch_at_once(self, log, clock, tick):
        await fill(log, tick, 1, 2)
        backup(log)
        seen = await fill(log, tick, 3, 4)
        put_back(log)
        with capture_logs() as lines:
            async with log.open() as bus:
                new = (await bus.append_batch([Entry("a", tick(n)) for n in (13, 14)]))[-1]
                assert (new.seq, new.epoch) == (4, bus.salvage.epoch)
                assert "an older copy" in str(bus.salvage)
                assert what(await delivered(bus, "g", {"a": seen}, 2)) == [(3, 13), (4, 14)]
                async with bus.follow(["a"], after={"a": seen}) as follower:
                    gap = (await follower.batch())[0]
                    assert (gap.first, gap.last, gap.reason) == (3, 4, "epoch_changed")
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]
        async with log.open() as bus:
            assert bus.salvage is None
            assert (await bus.append("a", tick(5))).epoch == new.epoch

    @pytest.mark.parametrize("reached", [1, 2])
    async def test_of_before_an_epoch_what_a_store_had_done_in_it_counts(self, log, clock, tick, reached):
        """The copy knows nothing of the epoch in which the group's own store stands.

        What the group has acknowledged in the copy does not count: the store may have lost it since.
        """
        async with log.open() as bus:
            before = await bus.append_batch([Entry("a", tick(n)) for n in (1, 2)])
            assert what(await delivered(bus, "g", {}, 2)) == [(1, 1), (2, 2)]
        backup(log)
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("INSERT INTO meta VALUES ('session', 'before process')")
            db.commit()
        with capture_logs() as lines:
            seen = await fill(log, tick, 3)
            put_back(log)
            async with log.open() as bus:
                await bus.append("a", tick(13))
                earlier = {"a": [Position("unknown", 7), before[reached - 1], before[0]]}
                found = what(await delivered(bus, "g", {"a": seen}, 3 - reached, earlier=earlier))
                assert found == [(2, 2), (3, 13)][reached - 1 :]
                assert len(await delivered(bus, "f", {"a": seen}, 3)) == 3
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"] * 2

    @pytest.mark.parametrize("before", [0, 1, 2, 3])
    async def test_put_back_elsewhere_is_noticed_by_the_store(self, log, clock, tick, before):
        """Without the mark beside it: appended to before the store joins, or not."""
        await fill(log, tick, 1, 2)
        backup(log)
        seen = await fill(log, tick, *range(3, 9))
        put_back(log)
        log.path.with_name("journal.db.mark").unlink()
        with capture_logs() as lines:
            async with log.open() as bus:
                for n in range(before):
                    assert (await bus.append("a", tick(13 + n))).epoch == seen.epoch
                assert what(await delivered(bus, "g", {"a": seen}, before))[:before] == [
                    (3 + n, 13 + n) for n in range(before)
                ]
                new = await bus.append("a", tick(99))
                assert (new.seq, new.epoch) == (3 + before, bus.salvage.epoch)
                assert new.epoch != seen.epoch
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]

    async def test_older_than_the_topic(self, log, clock, tick):
        seen = await fill(log, tick, 1)
        log.path.unlink()
        log.path.with_name("journal.db.mark").unlink()
        async with log.open() as bus:
            epoch = (await bus.append("b", tick(0))).epoch
        with capture_logs():
            async with log.open() as bus:
                known = {"a": Position(epoch, seen.seq)}
                await delivered(bus, "g", known, 0)
                new = await bus.append("a", tick(2))
                assert new.epoch != epoch
                assert what(await delivered(bus, "g", known, 1)) == [(1, 2)]

    async def test_a_topic_that_the_backup_does_not_have_is_declared_void(self, log, clock, tick):
        await fill(log, tick, 1)
        backup(log)
        async with log.open() as bus:
            seen = await bus.append("new", tick(2))
        put_back(log)
        with capture_logs():
            async with log.open() as bus, bus.follow(["new*"], after={"new": seen}) as follower:
                with trio.fail_after(5):
                    new = bus.salvage.epoch
                    assert await follower.batch() == [Gap("new", seen.epoch, 1, 1, "epoch_changed", new)]
                again = await bus.append("new", tick(3))
                [record] = await follower.batch()
                assert (record.position, again.seq) == (again, 1)
                async with bus.follow(["other"], after={"new": seen}) as other:
                    with trio.move_on_after(0.05):
                        raise AssertionError(await other.batch())

    async def test_noticed_by_several_at_once(self, log, clock, tick):
        seen = await fill(log, tick, 1, 2)
        beyond = {"a": Position(seen.epoch, 5)}
        epochs = []
        with capture_logs() as lines:
            async with log.open() as bus:

                async def join(group):
                    async with bus.consume(["a"], group, positions=beyond) as consumer:
                        [delivery] = await consumer.batch()
                        epochs.append(delivery.position.epoch)

                async with trio.open_nursery() as nursery, bus.follow(["a"], live=True) as follower:
                    for group in "fgh":
                        nursery.start_soon(join, group)
                    await trio.sleep(0.2)
                    new = await bus.append("a", tick(3))
                    items = []
                    while not items or isinstance(items[-1], Gap):
                        items += await follower.batch(1)
                    assert (items[-1].position, items[-1].message) == (new, tick(3))
                assert epochs == [bus.salvage.epoch] * 3
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]

    async def test_who_joins_meanwhile_joins_again(self, log, clock, tick):
        """Its request was waiting when the journal was loaded anew."""
        seen = await fill(log, tick, 1, 2)
        joined = {}

        async def join(group, positions):
            """As an actor does that is started again when its place in the group is void."""
            while group not in joined:
                entered = False
                try:
                    async with bus.consume(["a"], group, positions=positions) as consumer:
                        entered = True
                        joined[group] = what(await consumer.batch())
                except BusClosed:
                    assert entered

        with capture_logs():
            async with log.open() as bus, trio.open_nursery() as nursery:
                nursery.start_soon(join, "store", {"a": Position(seen.epoch, 5)})
                for step in range(24):
                    for task in range(6):
                        nursery.start_soon(join, f"g{step}.{task}", None)
                    await trio.lowlevel.checkpoint()
                with trio.fail_after(20):
                    while len(joined) < 144:  # noqa: ASYNC110 (no event tells)
                        await trio.sleep(0.01)
                await bus.append("a", tick(3))
        assert joined.pop("store") == [(3, 3)]
        assert list(joined.values()) == [[(1, 1), (2, 2)]] * 144

    async def test_a_copy_in_a_place_of_its_own_keeps_the_epoch(self, log, clock, tick):
        position = await fill(log, tick, 1)
        backup(log)
        log.path = log.path.with_name("backup.db")
        assert await fill(log, tick, 2) == Position(position.epoch, 2)

    async def test_killed_between_the_two_marks(self, log, clock, tick):
        position = await fill(log, tick, 1)
        for mark in ("one", "two"):
            with closing(sqlite3.connect(log.path)) as db:
                mark_journal(db, log.path, mark)
                db.commit()
        assert await fill(log, tick, 2) == Position(position.epoch, 2)

    async def test_a_new_journal_in_the_place_of_a_removed_one(self, log, clock, tick):
        await fill(log, tick, 1)
        log.path.unlink()
        with capture_logs() as lines:
            assert (await fill(log, tick, 2)).seq == 1
        assert lines == []

    async def test_a_mark_that_is_no_mark(self, log, clock, tick):
        position = await fill(log, tick, 1)
        log.path.with_name("journal.db.mark").write_bytes(b"\xff\x00")
        with capture_logs() as lines:
            assert (await fill(log, tick, 2)).epoch != position.epoch
        assert [line["event"] for line in lines] == ["journal_epoch_renewed"]


class TestOlderStore:
    async def trimmed(self, log, tick):
        """A group that has done all of ten messages, of which eight are gone."""
        async with log.open() as bus:
            positions = await bus.append_batch([Entry("a", tick(n)) for n in range(1, 11)])
            await delivered(bus, "g", None, 10)
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("DELETE FROM message WHERE id & 255 <= 8")
            db.execute("UPDATE topic SET trimmed = 8")
            db.commit()
        return positions

    @pytest.mark.parametrize(("epoch", "seq", "lost"), [(None, 3, 5), ("unknown", 3, 8), (None, 8, 0)])
    async def test_what_lies_between_is_told_and_counted_once(self, log, clock, tick, epoch, seq, lost):
        positions = await self.trimmed(log, tick)
        known = {"a": Position(epoch or positions[0].epoch, seq)}
        with capture_logs() as lines:
            for _ in range(2):
                async with log.open() as bus, bus.consume(["a"], "g", positions=known):
                    assert (await bus.statistics()).groups[0].lost == lost
            told = [(line["event"], line["lost"], line["log_level"]) for line in lines]
            assert told == [("messages_lost", lost, "error")] * (2 if lost else 0)
            for count in (2, 0):
                async with log.open() as bus:
                    found = what(await delivered(bus, "g", known, count))
                    assert found == [(9, 9), (10, 10)][:count]
                    [group] = (await bus.statistics()).groups
                    assert (group.acked, group.lag, group.lost) == (10, 0, lost)
                    known = {"a": positions[-1]}

    async def test_a_loss_that_retention_counted_is_not_counted_again(self, log, clock, tick):
        positions = await self.trimmed(log, tick)
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("UPDATE progress SET acked = 8, lost = 5")
            db.commit()
        with capture_logs():
            async with log.open() as bus:
                await delivered(bus, "g", {"a": positions[2]}, 2)
                assert (await bus.statistics()).groups[0].lost == 5

    async def test_a_new_store_begins_with_the_first_message_retained(self, log, clock, tick):
        await self.trimmed(log, tick)
        with capture_logs() as lines:
            async with log.open() as bus:
                assert what(await delivered(bus, "g", {}, 2)) == [(9, 9), (10, 10)]
                assert (await bus.statistics()).groups[0].lost == 0
        assert lines == []


async def test_a_failed_message_comes_once_in_a_new_epoch(log, clock, tick):
    """It lies beyond what the group has acknowledged, and is to be retried."""
    async with log.open() as bus:
        first, failed, last = await bus.append_batch([Entry("a", tick(n)) for n in (1, 2, 3)])
        async with bus.consume(["a"], "g") as consumer:
            await consumer.fail((await consumer.batch())[1], ValueError("bad"))
    with closing(sqlite3.connect(log.path)) as db:
        db.execute("INSERT INTO meta VALUES ('session', 'before process')")
        db.commit()
    with capture_logs():
        async with log.open() as bus:
            for known in (None, {"a": first}):
                async with bus.consume(["a"], "g", positions=known) as consumer:
                    found = []
                    with trio.move_on_after(0.5):
                        while True:
                            found += await consumer.batch()
                    expected = [Position(bus.salvage.epoch, 1)] if known is None else []
                    expected += [Position(bus.salvage.epoch, last.seq), failed]
                    assert sorted(d.position for d in found) == sorted(expected)


class TestNameOfTheEpoch:
    def spoil(self, log, *tables):
        with closing(sqlite3.connect(log.path)) as db:
            pages = [
                db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (each,)).fetchone()[0]
                for each in tables
            ]
        with log.path.open("r+b") as file:
            for page in pages:
                file.seek((page - 1) * 4096)
                file.write(b"\xff" * 64)

    @pytest.mark.parametrize("table", ["meta", "lineage"])
    async def test_is_kept_in_two_places(self, log, clock, tick, table):
        seen = await fill(log, tick, 1, 2, 3)
        self.spoil(log, table)
        with capture_logs():
            async with log.open() as bus:
                assert bus.salvage.salvaged == {"a": 3}
                assert [each.split(" ")[0] for each in bus.salvage.unreadable] == [table]
                await bus.append("a", tick(4))
                assert what(await delivered(bus, "g", {"a": seen}, 1)) == [(4, 4)]

    async def test_is_kept_by_a_journal_made_before_there_were_two(self, log, clock, tick):
        seen = await fill(log, tick, 1, 2, 3)
        with closing(sqlite3.connect(log.path)) as db:
            db.execute("DELETE FROM lineage")
            db.commit()
        await fill(log, tick, 4)
        self.spoil(log, "meta")
        with capture_logs():
            async with log.open() as bus:
                assert what(await delivered(bus, "g", {"a": seen}, 1)) == [(4, 4)]

    async def test_forgotten_a_group_stays_where_the_journal_has_it(self, log, clock, tick):
        async with log.open() as bus:
            positions = await bus.append_batch([Entry("a", tick(n)) for n in (1, 2, 3)])
            async with bus.consume(["a"], "g") as consumer:
                await consumer.ack((await consumer.batch())[:2])
        self.spoil(log, "meta", "lineage")
        with capture_logs():
            async with log.open() as bus:
                assert "the epoch's name" in bus.salvage.unreadable[-1]
                assert what(await delivered(bus, "g", {"a": positions[-1]}, 1)) == [(3, 3)]
                assert what(await delivered(bus, "new", {"a": positions[-1]}, 3)) == [(1, 1), (2, 2), (3, 3)]


async def test_what_groups_have_done_since_the_opening_stays_done_in_a_new_epoch(log, clock, tick):
    """Another group turns out to have seen more than there is."""
    last = await fill(log, tick, 1)
    async with log.open() as bus:
        assert len(await delivered(bus, "g", None, 1)) == 1
    async with log.open() as bus:
        await bus.append_batch([Entry("a", tick(n)) for n in (2, 3)])
        assert len(await delivered(bus, "g", None, 2)) == 2
        with capture_logs():
            await delivered(bus, "newer", {"a": Position(last.epoch, 9)}, 0)
        assert bus.salvage is not None
        assert await delivered(bus, "g", None, 0) == []


class TestPagesOfDifferentTimes:
    """A damaged write-ahead log puts older pages before those of the file, in which others are newer."""

    async def spoil(self, log, tick, statement):
        """A journal in which group g had done with three messages of two topics, two epochs ago."""
        async with log.open() as bus:
            positions = await bus.append_batch([Entry(topic, tick(n)) for topic in "ab" for n in (1, 2, 3)])
            assert len(await delivered(bus, "g", None, 6, topics=("*",))) == 6
        for _ in range(2):
            with closing(sqlite3.connect(log.path)) as db:
                db.execute(statement)
                db.commit()
            log.path.with_name(f"{log.path.name}.mark").write_text("of another")
            with capture_logs():
                async with log.open() as bus:
                    assert bus.salvage is not None
            statement = "DELETE FROM message WHERE id & 0xff > 1"
        return positions[0].epoch

    async def test_nobody_has_seen_what_takes_the_place_of_what_is_gone(self, log, clock, tick):
        first = await self.spoil(log, tick, "SELECT 1")
        async with log.open() as bus:
            new = await bus.append_batch([Entry("a", tick(n)) for n in (12, 13)])
            assert what(await delivered(bus, "g", None, 2)) == [(2, 12), (3, 13)]
            async with bus.follow(["a"], after={"a": Position(first, 3)}) as follower:
                (gap,) = await follower.batch()
                assert (gap.first, gap.last, gap.reason) == (2, 3, "epoch_changed")
                assert [record.position for record in await follower.batch()] == new

    async def test_a_new_topic_is_not_taken_for_one_that_is_gone(self, log, clock, tick):
        await self.spoil(log, tick, "DELETE FROM topic WHERE name = 'b'")
        async with log.open() as bus:
            await bus.append("c", tick(7))
            assert what(await delivered(bus, "g", None, 1, topics=("*",))) == [(1, 7)]


async def test_an_opening_leaves_nothing_in_the_log_that_damage_could_put_before_the_file(log, clock, tick):
    async with log.open() as bus:
        await bus.append("a", tick(1))
        wal = log.path.with_name(f"{log.path.name}-wal")
        assert wal.stat().st_size > 0
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{log.path}{suffix}", f"{log.path}.killed{suffix}")
    for suffix in ("", "-wal", "-shm"):
        shutil.move(f"{log.path}.killed{suffix}", f"{log.path}{suffix}")
    async with log.open() as bus:
        assert wal.stat().st_size == 0
        assert [record.message for record in await bus.read("a")] == [tick(1)]
