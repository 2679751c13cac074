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


def seqs(items):
    return [item.position.seq for item in items]


async def take(reader, count, size=64):
    """Batches until `count` items are there."""
    items = []
    with trio.fail_after(20):
        while len(items) < count:
            items += await reader.batch(min(size, count - len(items)))
    return items


async def nothing_from(reader):
    with trio.move_on_after(0.05) as scope:
        raise AssertionError(await reader.batch())
    return scope.cancelled_caught


def group_of(statistics, group, topic):
    [found] = [each for each in statistics.groups if (each.group, each.topic) == (group, topic)]
    return found


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

    async def test_concurrent_appends_are_all_there_once(self, log, clock, tick):
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

    async def test_columns_are_shared_read_only(self, log, clock, chain):
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


class TestConsume:
    async def test_in_order_from_the_first_message(self, log, clock, tick):
        async with log.open() as bus:
            for n in range(10):
                await bus.append(TICKS, tick(n))
            async with bus.consume([TICKS], "g") as consumer:
                deliveries = await take(consumer, 10, size=3)
                assert seqs(deliveries) == list(range(1, 11))
                assert [d.message for d in deliveries] == [tick(n) for n in range(10)]
                assert {d.attempt for d in deliveries} == {1}
                assert await nothing_from(consumer)

    async def test_a_batch_is_no_larger_than_asked_for(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(topic, tick(n)) for n in range(10) for topic in (TICKS, OTHER)])
            async with bus.consume(["market.*"], "g") as consumer:
                assert [len(await consumer.batch(7)) for _ in range(3)] == [7, 7, 6]
                with pytest.raises(ValueError, match="positive"):
                    await consumer.batch(0)

    async def test_messages_come_as_they_are_appended(self, log, clock, tick):
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            async with trio.open_nursery() as nursery:
                got = []

                async def read():
                    got.extend(await take(consumer, 3))
                    nursery.cancel_scope.cancel()

                nursery.start_soon(read)
                for n in range(3):
                    await bus.append(TICKS, tick(n))
                    await trio.sleep(0.01)
                await trio.sleep(5)
            assert seqs(got) == [1, 2, 3]

    async def test_acknowledged_does_not_come_again(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(5)])
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack((await take(consumer, 5))[:3])
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            assert seqs(await take(consumer, 2)) == [4, 5]

    async def test_acknowledged_out_of_order(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(4)])
            async with bus.consume([TICKS], "g") as consumer:
                one, two, three, four = await take(consumer, 4)
                await consumer.ack([two, four])
                assert group_of(await bus.statistics(), "g", TICKS).acked == 0
                await consumer.ack([one])
                assert group_of(await bus.statistics(), "g", TICKS).acked == 2
            async with bus.consume([TICKS], "g") as consumer:
                assert seqs(await take(consumer, 1)) == [three.position.seq]
                assert await nothing_from(consumer)

    async def test_acknowledged_twice_is_harmless(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                [delivery] = await consumer.batch()
                first = await consumer.ack([delivery, delivery], emit=[Entry("out", tick(9), "k")])
                assert await consumer.ack([delivery], emit=[Entry("out", tick(9), "k")]) == first
            assert len(await bus.read("out")) == 1

    async def test_what_was_derived_comes_with_the_acknowledgement(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(2)])
            async with bus.consume([TICKS], "g") as consumer:
                deliveries = await take(consumer, 2)
                emit = [Entry("out.a", tick(7), "7"), Entry("out.b", tick(8)), Entry("out.a", tick(9))]
                assert [p.seq for p in await consumer.ack(deliveries, emit=emit)] == [1, 1, 2]
                assert await consumer.ack([]) == []
                with pytest.raises(ValueError, match="not a topic"):
                    await consumer.ack([], emit=[Entry("no topic", tick(1))])
            assert [r.message for r in await bus.read("out.a")] == [tick(7), tick(9)]

    async def test_groups_are_independent(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "a") as a, bus.consume([TICKS], "b") as b:
                await a.ack(await take(a, 3))
                assert seqs(await take(b, 3)) == [1, 2, 3]

    async def test_later_topics_are_found(self, log, clock, tick):
        async with log.open() as bus, bus.consume(["market.*", "exact"], "g") as consumer:
            await bus.append("other", tick(0))
            await bus.append("exactly", tick(0))
            for topic in ("market.new", "exact"):
                await bus.append(topic, tick(1))
                [delivery] = await take(consumer, 1)
                assert delivery.topic == topic
            assert await nothing_from(consumer)

    async def test_a_group_starts_late_topics_at_their_first_message(self, log, clock, tick):
        async with log.open() as bus:
            async with bus.consume(["a.*"], "g"):
                pass
            await bus.append_batch([Entry("a.x", tick(n)) for n in range(3)])
        async with log.open() as bus, bus.consume(["a.*"], "g") as consumer:
            assert seqs(await take(consumer, 3)) == [1, 2, 3]

    async def test_members_share_topics(self, log, clock, tick):
        topics = [f"t.{n}" for n in range(8)]
        async with log.open() as bus:
            await bus.append_batch([Entry(topic, tick(n)) for n in range(4) for topic in topics])
            async with bus.consume(["t.*"], "g") as a, bus.consume(["t.*"], "g") as b:
                from_a, from_b = await take(a, 16), await take(b, 16)
                assert {d.topic for d in from_a}.isdisjoint(d.topic for d in from_b)
                for topic in topics:
                    assert seqs(d for d in (*from_a, *from_b) if d.topic == topic) == [1, 2, 3, 4]

    async def test_in_flight_goes_to_another_member(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(5)])
            async with bus.consume([TICKS], "g") as second:
                async with bus.consume([TICKS], "g") as first:
                    pass
                async with bus.consume([TICKS], "g") as first:
                    deliveries = await take(second, 5)
                    assert await nothing_from(first)
                    await second.ack(deliveries[:1])
            async with bus.consume([TICKS], "g") as third:
                assert seqs(await take(third, 4)) == [2, 3, 4, 5]
                assert await nothing_from(third)

    async def test_a_topic_changes_hands_only_when_nothing_is_in_flight(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(topic, tick(n)) for n in range(3) for topic in (TICKS, OTHER)])
            async with bus.consume(["market.*"], "g") as first:
                held = await take(first, 6)
                async with bus.consume(["market.*"], "g") as second:
                    await bus.append_batch([Entry(topic, tick(9)) for topic in (TICKS, OTHER)])
                    assert await nothing_from(second)
                    await first.ack(held)
                    [mine] = await take(first, 1)
                    [theirs] = await take(second, 1)
                    assert {mine.topic, theirs.topic} == {TICKS, OTHER}
                    assert seqs([mine, theirs]) == [4, 4]

    async def test_positions_known_better_elsewhere(self, log, clock, tick):
        async with log.open() as bus:
            positions = [await bus.append(TICKS, tick(n)) for n in range(6)]
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack(await take(consumer, 5))
            async with bus.consume([TICKS], "g", positions={TICKS: positions[1]}) as consumer:
                assert seqs(await take(consumer, 4)) == [3, 4, 5, 6]
            async with bus.consume(
                [TICKS], "h", positions={TICKS: positions[4], "absent": positions[0]}
            ) as consumer:
                assert seqs(await take(consumer, 1)) == [6]
            other_epoch = Position("0" * 16, 4)
            async with bus.consume([TICKS], "h", positions={TICKS: other_epoch}) as consumer:
                assert seqs(await take(consumer, 6)) == [1, 2, 3, 4, 5, 6]

    async def test_positions_are_kept(self, log, clock, tick):
        async with log.open() as bus:
            positions = [await bus.append(TICKS, tick(n)) for n in range(6)]
            async with bus.consume([TICKS], "g", positions={TICKS: positions[3]}):
                pass
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            assert seqs(await take(consumer, 2)) == [5, 6]

    async def test_cancelled_batch_takes_nothing(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "g") as consumer:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await consumer.batch()
                assert scope.cancelled_caught
                assert seqs(await take(consumer, 3)) == [1, 2, 3]

    @pytest.mark.parametrize("patterns", [[], "market.*", ["a b"], [""], ["a*b"], ["**"]])
    async def test_not_patterns(self, log, clock, patterns):
        async with log.open() as bus:
            with pytest.raises(ValueError, match=r"patterns|not a topic or prefix"):
                async with bus.consume(patterns, "g"):
                    pass
            with pytest.raises(ValueError, match=r"patterns|not a topic or prefix"):
                async with bus.follow(patterns):
                    pass

    async def test_not_a_group(self, log, clock):
        async with log.open() as bus:
            with pytest.raises(ValueError, match="not a group"):
                async with bus.consume([TICKS], "no group"):
                    pass


class TestPriorities:
    async def test_urgent_topics_come_first(self, log, clock, tick):
        async with log.open(priorities=(("fast.*",), ("mid.*",))) as bus:
            await bus.append_batch(
                [Entry(t, tick(n)) for t in ("slow.a", "mid.a", "fast.a") for n in range(3)]
            )
            async with bus.consume(["*"], "g") as consumer, bus.follow(["*"]) as follower:
                expected = ["fast.a"] * 3 + ["mid.a"] * 3 + ["slow.a"] * 3
                assert [d.topic for d in await take(consumer, 9)] == expected
                assert [d.topic for d in await take(follower, 9)] == expected

    async def test_nobody_starves(self, log, clock, tick):
        async with log.open(priorities=(("fast.*",), ("mid.*",))) as bus:
            await bus.append_batch([Entry("slow.a", tick(0))])
            await bus.append_batch([Entry("fast.a", tick(n)) for n in range(200)])
            async with bus.consume(["*"], "g") as consumer, bus.follow(["*"]) as follower:
                for reader in (consumer, follower):
                    topics = [item.topic for item in await take(reader, 100, size=2)]
                    assert "slow.a" in topics
                    assert topics[:10] == ["fast.a"] * 10


class TestFailures:
    async def test_retried_out_of_line(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "g") as consumer:
                one, two, three = await take(consumer, 3)
                await consumer.fail(two, ValueError("bad"))
                await consumer.ack([one, three])
                assert group_of(await bus.statistics(), "g", TICKS).acked == 3
                assert group_of(await bus.statistics(), "g", TICKS).retrying == 1
                [again] = await take(consumer, 1)
                assert (again.position, again.message, again.attempt) == (two.position, tick(1), 2)
                await consumer.ack([again])
                assert await nothing_from(consumer)
                assert group_of(await bus.statistics(), "g", TICKS).retrying == 0

    async def test_neighbours_go_on(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "g") as consumer:
                [first] = await take(consumer, 1)
                await consumer.fail(first, ValueError("bad"))
                assert seqs(await take(consumer, 2)) == [2, 3]

    async def test_dead_letter_after_the_last_attempt(self, log, clock, tick):
        async with log.open() as bus:
            position = await bus.append(TICKS, tick(4))
            async with bus.consume([TICKS], "g") as consumer:
                for attempt in (1, 2, 3):
                    [delivery] = await take(consumer, 1)
                    assert delivery.attempt == attempt
                    try:
                        raise ArithmeticError(f"attempt {attempt}")
                    except ArithmeticError as error:
                        await consumer.fail(delivery, error)
                assert await nothing_from(consumer)
            [letter] = await bus.dead_letters()
            assert (letter.group, letter.topic, letter.position) == ("g", TICKS, position)
            assert letter.attempts == 3
            assert letter.error == "ArithmeticError: attempt 3"
            assert "test_dead_letter_after" in letter.trace
            assert group_of(await bus.statistics(), "g", TICKS).dead == 1
            assert await bus.dead_letters("other") == []
        async with log.open() as bus:
            assert await bus.dead_letters("g") == [letter]
            async with bus.consume([TICKS], "g") as consumer:
                assert await nothing_from(consumer)

    async def test_replayed_letter_takes_effect_once(self, log, clock, tick):
        async with log.open() as bus:
            await bury(bus, tick(4))
            [letter] = await bus.dead_letters()
            await bus.replay_dead_letter(letter.id)
            assert await bus.dead_letters() == []
            with pytest.raises(KeyError):
                await bus.replay_dead_letter(letter.id)
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            [delivery] = await take(consumer, 1)
            assert (delivery.position, delivery.message, delivery.attempt) == (letter.position, tick(4), 1)
            await consumer.ack([delivery])
            assert await nothing_from(consumer)

    async def test_replayed_to_a_waiting_consumer(self, log, clock, tick):
        async with log.open() as bus:
            await bury(bus, tick(4))
            [letter] = await bus.dead_letters()
            async with bus.consume([TICKS], "g") as consumer, trio.open_nursery() as nursery:

                async def read():
                    [delivery] = await take(consumer, 1)
                    assert delivery.message == tick(4)

                nursery.start_soon(read)
                await trio.sleep(0.01)
                await bus.replay_dead_letter(letter.id)

    async def test_dropped_letter_is_forgotten(self, log, clock, tick):
        async with log.open() as bus:
            await bury(bus, tick(4))
            [letter] = await bus.dead_letters()
            await bus.drop_dead_letter(letter.id)
            assert await bus.dead_letters() == []
            with pytest.raises(KeyError):
                await bus.drop_dead_letter(letter.id)
            assert group_of(await bus.statistics(), "g", TICKS).dead == 0

    async def test_retries_survive(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(2)])
            async with bus.consume([TICKS], "g") as consumer:
                one, two = await take(consumer, 2)
                await consumer.fail(one, ValueError("bad"))
                await consumer.ack([two])
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            [again] = await take(consumer, 1)
            assert (again.position, again.attempt) == (one.position, 2)

    async def test_a_retry_in_flight_goes_to_another_member(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                [first] = await take(consumer, 1)
                await consumer.fail(first, ValueError("bad"))
                [second] = await take(consumer, 1)
            async with bus.consume([TICKS], "g") as consumer:
                [third] = await take(consumer, 1)
                assert (second.attempt, third.attempt) == (2, 2)

    async def test_failing_what_is_settled_changes_nothing(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                [delivery] = await take(consumer, 1)
                await consumer.ack([delivery])
                await consumer.fail(delivery, ValueError("late"))
                assert await nothing_from(consumer)
            assert group_of(await bus.statistics(), "g", TICKS).retrying == 0


async def bury(bus, message):
    await bus.append(TICKS, message)
    async with bus.consume([TICKS], "g") as consumer:
        for _ in range(3):
            [delivery] = await take(consumer, 1)
            await consumer.fail(delivery, ValueError("bad"))


class TestFollow:
    async def test_from_the_first_message(self, log, clock, tick):
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

    async def test_after_positions(self, log, clock, tick):
        async with log.open() as bus:
            positions = await bus.append_batch([Entry(TICKS, tick(n)) for n in range(4)])
            await bus.append(OTHER, tick(0))
        async with log.open() as bus, bus.follow(["*"], after={TICKS: positions[1]}) as follower:
            items = await take(follower, 3)
            assert sorted((r.topic, r.position.seq) for r in items) == [(OTHER, 1), (TICKS, 3), (TICKS, 4)]

    async def test_live(self, log, clock, tick):
        async with log.open() as bus:
            position = await bus.append(TICKS, tick(0))
            await bus.append(OTHER, tick(0))
            async with bus.follow(["*"], after={TICKS: Position(position.epoch, 0)}, live=True) as follower:
                await bus.append(OTHER, tick(1))
                await bus.append("fresh", tick(2))
                items = await take(follower, 3)
            assert sorted((r.topic, r.position.seq) for r in items) == [("fresh", 1), (OTHER, 2), (TICKS, 1)]

    async def test_positions_of_another_epoch(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.follow([TICKS], after={TICKS: Position("f" * 16, 7)}) as follower:
                gap, record = await take(follower, 2)
            assert isinstance(gap, Gap)
            assert (gap.topic, gap.epoch, gap.reason) == (TICKS, "f" * 16, "epoch_changed")
            assert record.position.seq == 1

    async def test_every_follower_sees_everything(self, log, clock, tick):
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

    async def test_cancelled_batch_takes_nothing(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.follow([TICKS]) as follower:
                with trio.CancelScope() as scope:
                    scope.cancel()
                    await follower.batch()
                assert scope.cancelled_caught
                assert seqs(await take(follower, 1)) == [1]

    async def test_acknowledgements_do_not_concern_followers(self, log, clock, tick):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack(await take(consumer, 1))
            async with bus.follow([TICKS]) as follower:
                assert seqs(await take(follower, 1)) == [1]


class TestRead:
    async def test_read_and_last(self, log, clock, tick):
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

    async def test_statistics(self, log, clock, tick):
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
            assert statistics.bytes_on_disk > 0
            [topic] = statistics.topics
            assert (topic.topic, topic.first_seq, topic.last_seq) == (TICKS, 1, 3)
            assert topic.bytes > 0
            assert topic.last_ts is not None
            group = group_of(statistics, "g", TICKS)
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
