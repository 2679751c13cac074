"""A consumer of the embedded bus while others act: appends, commits that fail, members that come and go."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from deltastream.bus import BusSettings, EmbeddedBus, Entry, RetrySettings
from deltastream.bus._journal import Reader
from deltastream.seams import InlineThreads, Seams


class SlowThreads(InlineThreads):
    """Inline, but a read of messages has its answer a second before the caller gets it."""

    def __init__(self):
        self.slow = False

    async def run(self, fn, *args, limiter=None):
        await trio.lowlevel.checkpoint()
        result = fn(*args)
        if self.slow and args and isinstance(args[0], Reader):
            await trio.sleep(1)
        return result


@pytest.fixture
def threads():
    return SlowThreads()


@pytest.fixture
def opened(tmp_path, virtual, threads, autojump_clock):
    @asynccontextmanager
    async def make(**settings):
        seams = Seams(clock=virtual.clock, rng=virtual.rng, ids=virtual.ids, threads=threads)
        bus = EmbeddedBus(tmp_path / "journal.db", BusSettings(**settings), seams)
        async with trio.open_nursery() as nursery:
            await nursery.start(bus.run)
            yield bus
            bus.close()

    return make


ONE_ATTEMPT = RetrySettings(max_attempts=1)


async def test_appended_while_an_empty_read_is_under_way(opened, threads, autojump_clock, tick, seqs):
    """The last message is a dead letter beyond the group's position: the read after it finds nothing."""
    async with opened(retry=ONE_ATTEMPT) as bus:
        position, _ = await bus.append_batch([Entry("a", tick(n)) for n in (1, 2)])
        async with bus.consume(["a"], "g") as consumer:
            await consumer.fail((await consumer.batch())[1], ValueError("bad"))
        async with (
            bus.consume(["a"], "g", positions={"a": position}) as consumer,
            trio.open_nursery() as nursery,
        ):
            threads.slow = True

            async def append():
                await trio.sleep(0.5)
                await bus.append("a", tick(3))

            nursery.start_soon(append)
            with trio.fail_after(10):
                assert seqs(await consumer.batch()) == [3]


async def test_a_dead_letter_at_the_end_is_no_lag(opened, autojump_clock, tick):
    async with opened(retry=ONE_ATTEMPT) as bus:
        position, _ = await bus.append_batch([Entry("a", tick(n)) for n in (1, 2)])
        async with bus.consume(["a"], "g") as consumer:
            await consumer.fail((await consumer.batch())[1], ValueError("bad"))
    async with opened() as bus, bus.consume(["a"], "g", positions={"a": position}) as consumer:
        with trio.move_on_after(1):
            await consumer.batch()
        [group] = (await bus.statistics()).groups
        assert (group.lag, group.in_flight, group.dead) == (0, 0, 1)


async def test_given_back_while_others_are_read_again(opened, threads, autojump_clock, tick, seqs):
    """A commit that fails returns messages that lie before those just being read: they come, too."""
    async with opened(cache_bytes=0) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch([Entry("a", tick(n)) for n in range(4)])
        deliveries = await consumer.batch()
        share = consumer._group.shares["a"]
        share.in_flight.discard(3)
        share.give_back([3])
        threads.slow = True
        found = []

        async def read():
            found.extend(await consumer.batch())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.5)
            share.in_flight.discard(2)
            share.give_back([2])
        with trio.fail_after(10):
            found += await consumer.batch()
        assert sorted(seqs(found)) == [2, 3]
        await consumer.ack([*deliveries, *found])
        [group] = (await bus.statistics()).groups
        assert (group.acked, group.lag) == (4, 0)


async def test_trimmed_while_they_are_read_again(opened, threads, autojump_clock, tick):
    async with opened(cache_bytes=0) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch([Entry("a", tick(n)) for n in range(4)])
        await consumer.batch()
        share = consumer._group.shares["a"]
        share.give_back(sorted(share.in_flight))
        share.in_flight.clear()
        threads.slow = True
        found = []

        async def read():
            found.extend(await consumer.batch())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await trio.sleep(0.5)
            share.skip_to(2, 2)
        assert [d.position.seq for d in found] == [3, 4]


async def test_a_topic_to_be_handed_over_keeps_nobody_busy(opened, threads, autojump_clock, tick):
    """Its retries are due, but the member that has it waits for what is in flight."""
    async with opened(retry=RetrySettings(base_s=0.01, cap_s=0.01)) as bus:
        await bus.append_batch([Entry(topic, tick(n)) for topic in "ab" for n in range(2)])
        async with bus.consume(["*"], "g") as first:
            deliveries = await first.batch()
            for delivery in deliveries:
                if delivery.position.seq == 2:
                    await first.fail(delivery, ValueError("bad"))
            async with bus.consume(["*"], "g"):
                await trio.sleep(1)
                [kept] = await first.batch()
                assert kept.attempt == 2
                turns = 0
                clear = first._member.wakeup.clear

                def counted():
                    nonlocal turns
                    turns += 1
                    if turns > 100:
                        raise AssertionError("spins")
                    clear()

                first._member.wakeup.clear = counted
                with trio.move_on_after(1) as scope:
                    await first.batch()
                assert scope.cancelled_caught


async def test_a_topic_that_was_to_be_handed_over_and_stays_is_served(opened, autojump_clock, tick, seqs):
    async with opened() as bus, bus.consume(["*"], "g") as first, trio.open_nursery() as nursery:
        await bus.append_batch([Entry(topic, tick(0)) for topic in "ab"])
        await first.batch()
        found = []
        both = trio.Event()

        async def read():
            while len(found) < 2:
                found.extend(await first.batch())
            both.set()

        async with bus.consume(["*"], "g"):
            await bus.append_batch([Entry(topic, tick(1)) for topic in "ab"])
            nursery.start_soon(read)
            await trio.sleep(1)
            assert len(found) == 1
        with trio.fail_after(1):
            await both.wait()
        assert seqs(found) == [2, 2]


async def test_a_retry_waits_no_longer_than_the_cap_whatever_the_clock_did(
    opened, virtual, autojump_clock, tick, monkeypatch
):
    retry = RetrySettings(base_s=10, cap_s=20)
    with monkeypatch.context() as ahead:
        now = virtual.clock.now_ns
        ahead.setattr(type(virtual.clock), "now_ns", lambda self: now() + 365 * 86400 * 10**9)
        async with opened(retry=retry) as bus, bus.consume(["a"], "g") as consumer:
            await bus.append("a", tick(0))
            await consumer.fail((await consumer.batch())[0], ValueError("bad"))
    async with opened(retry=retry) as bus, bus.consume(["a"], "g") as consumer:
        with trio.fail_after(20.1):
            [again] = await consumer.batch()
        assert again.attempt == 2


async def test_a_bad_key_harms_nobody_else(opened, autojump_clock, tick):
    async with opened() as bus, bus.consume(["a"], "g") as consumer:
        for key in ("\ud800", "k" * 513, "\u20ac" * 171, "a\0b"):
            with pytest.raises(ValueError, match="not a key"):
                await bus.append("a", tick(0), key=key)
            with pytest.raises(ValueError, match="not a key"):
                await consumer.ack([], emit=[Entry("a", tick(0), key)])
        for key in ("k" * 512, "\u20ac" * 170, "\n", ""):
            assert await bus.append("a", tick(0), key=key) == await bus.append("a", tick(0), key=key)
