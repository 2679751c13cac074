"""What every bus must do. The fixture `log` names the implementation; nothing here knows it."""

from __future__ import annotations

import numpy as np
import pytest
import trio

from deltastream.bus import Entry, Gap, Record, matches
from deltastream.errors import BusClosed
from deltastream.messages import Position

TICKS = "market.tick.SPY"
OTHER = "market.tick.QQQ"


class TestAppend:
    async def test_numbers_are_contiguous_from_one(self, log, clock, tick):
        async with log.open() as bus:
            positions = [await bus.append(TICKS, tick(n)) for n in range(5)]
            other = await bus.append(OTHER, tick(0))
        assert [p.seq for p in positions] == [1, 2, 3, 4, 5]
        assert other.seq == 1
        assert len({p.epoch for p in (*positions, other)}) == 1

    async def test_numbers_go_on_after_reopening(self, log, clock, tick):
        async with log.open() as bus:
            first = await bus.append(TICKS, tick(0))
        async with log.open() as bus:
            assert await bus.append(TICKS, tick(1)) == Position(first.epoch, 2)

    async def test_a_known_key_appends_nothing(self, log, clock, tick):
        async with log.open() as bus:
            first = await bus.append(TICKS, tick(0), key="k")
            assert await bus.append(TICKS, tick(1), key="k") == first
            assert (await bus.append(OTHER, tick(1), key="k")).seq == 1
            assert (await bus.append(TICKS, tick(1), key="l")).seq == 2
            assert [r.message for r in await bus.read(TICKS)] == [tick(0), tick(1)]
            assert (await bus.statistics()).duplicates == 1
        async with log.open() as bus:
            assert await bus.append(TICKS, tick(2), key="k") == first

    async def test_a_key_repeated_within_a_batch(self, log, clock, tick):
        async with log.open() as bus:
            positions = await bus.append_batch(
                [
                    Entry(TICKS, tick(0), "a"),
                    Entry(TICKS, tick(1), "b"),
                    Entry(TICKS, tick(2), "a"),
                    Entry(TICKS, tick(3)),
                ]
            )
            assert [p.seq for p in positions] == [1, 2, 1, 3]
            assert [r.message for r in await bus.read(TICKS)] == [tick(0), tick(1), tick(3)]

    async def test_concurrent_appends_of_one_key(self, log, clock, tick):
        found = []

        async def append(bus, number):
            found.append(await bus.append(TICKS, tick(number), key="same"))

        async with log.open() as bus:
            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(append, bus, number)
            assert len(await bus.read(TICKS)) == 1
        assert len(found) == 20
        assert len(set(found)) == 1

    async def test_concurrent_appends_are_all_there_once(self, log, clock, tick, seqs):
        positions = {}

        async def append(bus, number):
            positions[number] = await bus.append(TICKS, tick(number))

        async with log.open(max_pending_bytes=500) as bus:
            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(append, bus, number)
            records = await bus.read(TICKS, limit=1000)
        assert seqs(records) == list(range(1, 201))
        assert {r.message.ts_event: r.position for r in records} == positions

    async def test_a_batch_spans_topics(self, log, clock, tick):
        async with log.open() as bus:
            positions = await bus.append_batch(
                [Entry(TICKS, tick(0)), Entry(OTHER, tick(1)), Entry(TICKS, tick(2))]
            )
            assert [p.seq for p in positions] == [1, 1, 2]
            assert await bus.append_batch([]) == []

    @pytest.mark.parametrize("topic", ["", "a b", "market/tick", "ticks*", "é", "x" * 256, "a\n"])
    async def test_not_a_topic(self, log, clock, tick, topic):
        async with log.open() as bus:
            with pytest.raises(ValueError, match="not a topic"):
                await bus.append(topic, tick(0))
            assert (await bus.statistics()).appended == 0

    async def test_cancelled_and_repeated_with_a_key(self, log, clock, tick):
        async with log.open() as bus:
            with trio.CancelScope() as scope:
                scope.cancel()
                await bus.append(TICKS, tick(0), key="k")
            assert (await bus.append(TICKS, tick(0), key="k")).seq == 1
            assert (await bus.append(TICKS, tick(1))).seq == 2

    async def test_columns_are_shared_read_only(self, log, clock, chain, take):
        async with log.open() as bus:
            ours = chain(1)
            expected = ours.columns.copy()
            sliced = chain(2)
            backing = np.asfortranarray(np.random.default_rng(3).random((40, 60)))
            sliced = type(sliced)(
                **{f: getattr(sliced, f) for f in sliced.__struct_fields__} | {"columns": backing[:23]}
            )
            wanted = sliced.columns.copy()
            await bus.append_batch([Entry("market.chain.SPY", ours), Entry("market.chain.SPY", sliced)])
            backing[:] = 0.0
            async with bus.follow(["market.chain.*"]) as follower:
                first, second = await take(follower, 2)
        np.testing.assert_array_equal(first.message.columns, expected)
        np.testing.assert_array_equal(second.message.columns, wanted)
        for record in (first, second):
            with pytest.raises(ValueError, match="read-only"):
                record.message.columns[0, 0] = 1.0


class TestFollow:
    async def test_from_the_first_message(self, log, clock, tick, take):
        async with log.open() as bus:
            position = await bus.append(TICKS, tick(0))
            async with bus.follow(["market.*"]) as follower:
                assert await take(follower, 1) == [Record(TICKS, position, tick(0))]
                await bus.append(OTHER, tick(1))
                await bus.append(TICKS, tick(2))
                assert {(r.topic, r.position.seq) for r in await take(follower, 2)} == {
                    (OTHER, 1),
                    (TICKS, 2),
                }

    async def test_after_positions(self, log, clock, tick, take):
        async with log.open() as bus:
            positions = await bus.append_batch([Entry(TICKS, tick(n)) for n in range(4)])
            await bus.append(OTHER, tick(0))
        async with log.open() as bus, bus.follow(["*"], after={TICKS: positions[1]}) as follower:
            items = await take(follower, 3)
            assert sorted((r.topic, r.position.seq) for r in items) == [(OTHER, 1), (TICKS, 3), (TICKS, 4)]

    async def test_live(self, log, clock, tick, take):
        async with log.open() as bus:
            position = await bus.append(TICKS, tick(0))
            await bus.append(OTHER, tick(0))
            async with bus.follow(["*"], after={TICKS: Position(position.epoch, 0)}, live=True) as follower:
                await bus.append(OTHER, tick(1))
                await bus.append("fresh", tick(2))
                items = await take(follower, 3)
            assert sorted((r.topic, r.position.seq) for r in items) == [("fresh", 1), (OTHER, 2), (TICKS, 1)]

    async def test_positions_of_another_epoch(self, log, clock, tick, take):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.follow([TICKS], after={TICKS: Position("f" * 16, 7)}) as follower:
                gap, record = await take(follower, 2)
            assert isinstance(gap, Gap)
            assert (gap.topic, gap.epoch, gap.reason) == (TICKS, "f" * 16, "epoch_changed")
            assert record.position.seq == 1

    async def test_every_follower_sees_everything(self, log, clock, tick, take, seqs):
        async with (
            log.open(cache_bytes=300) as bus,
            bus.follow(["*"]) as quick,
            bus.follow(["*"]) as slow,
        ):
            for n in range(30):
                await bus.append(TICKS, tick(n))
                assert seqs(await take(quick, 1)) == [n + 1]
            assert seqs(await take(slow, 30, size=7)) == list(range(1, 31))

    async def test_iteration(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.follow([TICKS]) as follower:
                found = []
                async for item in follower:
                    found.append(item.position.seq)
                    if len(found) == 3:
                        break
            assert found == [1, 2, 3]

    async def test_cancelled_batch_takes_nothing(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.follow([TICKS]) as follower:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await follower.batch()
                assert scope.cancelled_caught
                assert seqs(await take(follower, 1)) == [1]

    async def test_acknowledgements_do_not_concern_followers(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack(await take(consumer, 1))
            async with bus.follow([TICKS]) as follower:
                assert seqs(await take(follower, 1)) == [1]


class TestRead:
    async def test_read_and_last(self, log, clock, tick, seqs):
        async with log.open(cache_bytes=400) as bus:
            for n in range(20):
                await bus.append(TICKS, tick(n))
            assert seqs(await bus.read(TICKS)) == list(range(1, 21))
            assert seqs(await bus.read(TICKS, after=5, limit=3)) == [6, 7, 8]
            assert seqs(await bus.read(TICKS, after=20)) == []
            assert seqs(await bus.last(TICKS)) == [20]
            assert seqs(await bus.last(TICKS, limit=15)) == list(range(6, 21))
            assert seqs(await bus.last(TICKS, limit=50)) == list(range(1, 21))
            assert await bus.read("absent") == []
            assert await bus.last("absent") == []
            assert (await bus.last(TICKS))[0].message == tick(19)

    async def test_statistics(self, log, clock, tick, take):
        async with log.open() as bus:
            assert (await bus.statistics()).topics == ()
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack(await take(consumer, 1))
                await consumer.batch(1)
                statistics = await bus.statistics()
            assert (statistics.state, statistics.reason, statistics.pending, statistics.pending_bytes) == (
                "running",
                None,
                0,
                0,
            )
            assert statistics.appended == 3
            assert statistics.commits >= 1
            [topic] = statistics.topics
            assert statistics.bytes_on_disk > statistics.log_bytes > topic.bytes, "as nothing was copied yet"
            assert (topic.topic, topic.first_seq, topic.last_seq) == (TICKS, 1, 3)
            assert topic.bytes > 0
            assert topic.last_ts is not None
            [group] = statistics.groups
            assert (group.acked, group.lag, group.in_flight, group.dead, group.lost) == (1, 2, 1, 0, 0)
        async with log.open() as bus:
            [again] = (await bus.statistics()).topics
            assert again == topic


class TestClosed:
    async def test_everything_refuses(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
        calls = [
            lambda: bus.append(TICKS, tick(0)),
            lambda: bus.append_batch([Entry(TICKS, tick(0))]),
            lambda: bus.read(TICKS),
            lambda: bus.last(TICKS),
            lambda: bus.dead_letters(),
            lambda: bus.replay_dead_letter("x"),
            lambda: bus.drop_dead_letter("x"),
        ]
        for call in calls:
            with pytest.raises(BusClosed):
                await call()
        with pytest.raises(BusClosed):
            async with bus.consume([TICKS], "g"):
                pass
        with pytest.raises(BusClosed):
            async with bus.follow([TICKS]):
                pass
        assert (await bus.statistics()).state == "closed"

    async def test_whoever_waits_is_woken(self, log, clock):
        async def expect_closed(call, *args):
            with trio.fail_after(20), pytest.raises(BusClosed):
                await call(*args)

        async with (
            trio.open_nursery() as nursery,
            log.open() as bus,
            bus.consume(["*"], "g") as consumer,
            bus.follow(["*"]) as follower,
        ):
            nursery.start_soon(expect_closed, consumer.batch)
            nursery.start_soon(expect_closed, follower.batch)
            await trio.testing.wait_all_tasks_blocked(0.01)
            bus.close()
            await trio.testing.wait_all_tasks_blocked(0.01)


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.bc", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("*", "x", True),
    ],
)
def test_matches(pattern, topic, expected):
    assert matches(pattern, topic) is expected
