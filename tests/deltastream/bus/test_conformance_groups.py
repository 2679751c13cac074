"""What every bus must do for groups. The fixture `log` names the implementation; nothing here knows it."""

from __future__ import annotations

import pytest
import trio

from deltastream.bus import Entry
from deltastream.messages import Position

TICKS = "market.tick.SPY"
OTHER = "market.tick.QQQ"


def group_of(statistics, group, topic):
    [found] = [each for each in statistics.groups if (each.group, each.topic) == (group, topic)]
    return found


async def nothing_from(reader):
    with trio.move_on_after(0.05) as scope:
        raise AssertionError(await reader.batch())
    return scope.cancelled_caught


async def bury(bus, message, take):
    await bus.append(TICKS, message)
    async with bus.consume([TICKS], "g") as consumer:
        for _ in range(3):
            [delivery] = await take(consumer, 1)
            await consumer.fail(delivery, ValueError("bad"))


class TestConsume:
    async def test_in_order_from_the_first_message(self, log, clock, tick, take, seqs):
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

    async def test_messages_come_as_they_are_appended(self, log, clock, tick, take, seqs):
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

    async def test_acknowledged_does_not_come_again(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(5)])
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack((await take(consumer, 5))[:3])
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            assert seqs(await take(consumer, 2)) == [4, 5]

    async def test_acknowledged_out_of_order(self, log, clock, tick, take, seqs):
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

    async def test_what_was_derived_comes_with_the_acknowledgement(self, log, clock, tick, take):
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

    async def test_groups_are_independent(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "a") as a, bus.consume([TICKS], "b") as b:
                await a.ack(await take(a, 3))
                assert seqs(await take(b, 3)) == [1, 2, 3]

    async def test_later_topics_are_found(self, log, clock, tick, take):
        async with log.open() as bus, bus.consume(["market.*", "exact"], "g") as consumer:
            await bus.append("other", tick(0))
            await bus.append("exactly", tick(0))
            for topic in ("market.new", "exact"):
                await bus.append(topic, tick(1))
                [delivery] = await take(consumer, 1)
                assert delivery.topic == topic
            assert await nothing_from(consumer)

    async def test_a_group_starts_late_topics_at_their_first_message(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            async with bus.consume(["a.*"], "g"):
                pass
            await bus.append_batch([Entry("a.x", tick(n)) for n in range(3)])
        async with log.open() as bus, bus.consume(["a.*"], "g") as consumer:
            assert seqs(await take(consumer, 3)) == [1, 2, 3]

    async def test_members_share_topics(self, log, clock, tick, take, seqs):
        topics = [f"t.{n}" for n in range(8)]
        async with log.open() as bus:
            await bus.append_batch([Entry(topic, tick(n)) for n in range(4) for topic in topics])
            async with bus.consume(["t.*"], "g") as a, bus.consume(["t.*"], "g") as b:
                from_a, from_b = await take(a, 16), await take(b, 16)
                assert {d.topic for d in from_a}.isdisjoint(d.topic for d in from_b)
                for topic in topics:
                    assert seqs(d for d in (*from_a, *from_b) if d.topic == topic) == [1, 2, 3, 4]

    async def test_in_flight_goes_to_another_member(self, log, clock, tick, take, seqs):
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

    async def test_a_topic_changes_hands_only_when_nothing_is_in_flight(self, log, clock, tick, take, seqs):
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

    async def test_positions_known_better_elsewhere(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            positions = [await bus.append(TICKS, tick(n)) for n in range(6)]
            async with bus.consume([TICKS], "g") as consumer:
                await consumer.ack(await take(consumer, 5))
            async with bus.consume([TICKS], "g", positions={TICKS: positions[1]}) as consumer:
                assert seqs(await take(consumer, 4)) == [3, 4, 5, 6]
            other_epoch = Position("0" * 16, 4)
            known = {TICKS: positions[4], "absent": other_epoch}
            async with bus.consume([TICKS], "h", positions=known) as consumer:
                assert seqs(await take(consumer, 1)) == [6]
            async with bus.consume([TICKS], "h", positions={TICKS: other_epoch}) as consumer:
                assert seqs(await take(consumer, 6)) == [1, 2, 3, 4, 5, 6]

    async def test_positions_given_and_not_given(self, log, clock, tick, take, seqs):
        """A store that has nothing of a topic gets all of it, whatever the group had before."""
        async with log.open() as bus:
            positions = await bus.append_batch([Entry(t, tick(n)) for n in range(2) for t in (TICKS, OTHER)])
            async with bus.consume(["market.*"], "g") as consumer:
                await consumer.ack(await take(consumer, 4))
            async with bus.consume(["market.*"], "g") as consumer:
                assert await nothing_from(consumer)
            async with bus.consume(["market.*"], "g", positions={OTHER: positions[3]}) as consumer:
                assert [(d.topic, d.position.seq) for d in await take(consumer, 2)] == [
                    (TICKS, 1),
                    (TICKS, 2),
                ]
                assert await nothing_from(consumer)
            async with bus.consume(["market.*"], "g", positions={}) as consumer:
                assert seqs(await take(consumer, 4)) == [1, 2, 1, 2]

    async def test_a_failed_message_beyond_a_given_position_comes_out_of_line_only(
        self, log, clock, tick, take, seqs
    ):
        async with log.open() as bus:
            positions = await bus.append_batch([Entry(TICKS, tick(n)) for n in range(4)])
            async with bus.consume([TICKS], "g") as consumer:
                one, two, three, four = await take(consumer, 4)
                await consumer.fail(two, ValueError("bad"))
                await consumer.ack([one, three, four])
            async with bus.consume([TICKS], "g", positions={TICKS: positions[0]}) as consumer:
                found = await take(consumer, 3)
                assert sorted(seqs(found)) == [2, 3, 4]
                assert [d.attempt for d in found if d.position.seq == 2] == [2]
                await consumer.ack(found)
                assert await nothing_from(consumer)

    async def test_positions_are_kept(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            positions = [await bus.append(TICKS, tick(n)) for n in range(6)]
            async with bus.consume([TICKS], "g", positions={TICKS: positions[3]}):
                pass
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            assert seqs(await take(consumer, 2)) == [5, 6]

    async def test_cancelled_batch_takes_nothing(self, log, clock, tick, take, seqs):
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
    async def test_urgent_topics_come_first(self, log, clock, tick, take):
        async with log.open(priorities=(("fast.*",), ("mid.*",))) as bus:
            await bus.append_batch(
                [Entry(t, tick(n)) for t in ("slow.a", "mid.a", "fast.a") for n in range(3)]
            )
            async with bus.consume(["*"], "g") as consumer, bus.follow(["*"]) as follower:
                expected = ["fast.a"] * 3 + ["mid.a"] * 3 + ["slow.a"] * 3
                assert [d.topic for d in await take(consumer, 9)] == expected
                assert [d.topic for d in await take(follower, 9)] == expected

    async def test_nobody_starves(self, log, clock, tick, take):
        async with log.open(priorities=(("fast.*",), ("mid.*",))) as bus:
            await bus.append_batch([Entry("slow.a", tick(0))])
            await bus.append_batch([Entry("fast.a", tick(n)) for n in range(200)])
            async with bus.consume(["*"], "g") as consumer, bus.follow(["*"]) as follower:
                for reader in (consumer, follower):
                    topics = [item.topic for item in await take(reader, 100, size=2)]
                    assert "slow.a" in topics
                    assert topics[:10] == ["fast.a"] * 10


class TestFailures:
    async def test_retried_out_of_line(self, log, clock, tick, take):
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

    async def test_neighbours_go_on(self, log, clock, tick, take, seqs):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(3)])
            async with bus.consume([TICKS], "g") as consumer:
                [first] = await take(consumer, 1)
                await consumer.fail(first, ValueError("bad"))
                assert seqs(await take(consumer, 2)) == [2, 3]

    async def test_dead_letter_after_the_last_attempt(self, log, clock, tick, take):
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

    async def test_replayed_letter_takes_effect_once(self, log, clock, tick, take):
        async with log.open() as bus:
            await bury(bus, tick(4), take)
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

    async def test_replayed_to_a_waiting_consumer(self, log, clock, tick, take):
        async with log.open() as bus:
            await bury(bus, tick(4), take)
            [letter] = await bus.dead_letters()
            async with bus.consume([TICKS], "g") as consumer, trio.open_nursery() as nursery:

                async def read():
                    [delivery] = await take(consumer, 1)
                    assert delivery.message == tick(4)

                nursery.start_soon(read)
                await trio.sleep(0.01)
                await bus.replay_dead_letter(letter.id)

    async def test_the_newest_letters_and_one_by_its_id(self, log, clock, tick, take):
        async with log.open() as bus:
            for n in range(4):
                await bury(bus, tick(n), take)
            letters = await bus.dead_letters("g")
            assert [letter.position.seq for letter in letters] == [1, 2, 3, 4]
            assert await bus.dead_letters("g", limit=3) == letters[1:]
            assert await bus.dead_letters(limit=0) == []
            assert await bus.dead_letter(letters[0].id) == letters[0]
            await bus.drop_dead_letter(letters[0].id)
            with pytest.raises(KeyError):
                await bus.dead_letter(letters[0].id)

    async def test_dropped_letter_is_forgotten(self, log, clock, tick, take):
        async with log.open() as bus:
            await bury(bus, tick(4), take)
            [letter] = await bus.dead_letters()
            await bus.drop_dead_letter(letter.id)
            assert await bus.dead_letters() == []
            with pytest.raises(KeyError):
                await bus.drop_dead_letter(letter.id)
            assert group_of(await bus.statistics(), "g", TICKS).dead == 0

    async def test_retries_survive(self, log, clock, tick, take):
        async with log.open() as bus:
            await bus.append_batch([Entry(TICKS, tick(n)) for n in range(2)])
            async with bus.consume([TICKS], "g") as consumer:
                one, two = await take(consumer, 2)
                await consumer.fail(one, ValueError("bad"))
                await consumer.ack([two])
        async with log.open() as bus, bus.consume([TICKS], "g") as consumer:
            [again] = await take(consumer, 1)
            assert (again.position, again.attempt) == (one.position, 2)

    async def test_a_retry_in_flight_goes_to_another_member(self, log, clock, tick, take):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                [first] = await take(consumer, 1)
                await consumer.fail(first, ValueError("bad"))
                [second] = await take(consumer, 1)
            async with bus.consume([TICKS], "g") as consumer:
                [third] = await take(consumer, 1)
                assert (second.attempt, third.attempt) == (2, 2)

    async def test_failing_what_is_settled_changes_nothing(self, log, clock, tick, take):
        async with log.open() as bus:
            await bus.append(TICKS, tick(0))
            async with bus.consume([TICKS], "g") as consumer:
                [delivery] = await take(consumer, 1)
                await consumer.ack([delivery])
                await consumer.fail(delivery, ValueError("late"))
                assert await nothing_from(consumer)
            assert group_of(await bus.statistics(), "g", TICKS).retrying == 0
