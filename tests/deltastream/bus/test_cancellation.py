"""Every call cancelled at its first, second, ... checkpoint: the documented contract holds."""

from __future__ import annotations

import pytest
import trio

from deltastream.bus import BusSettings, Entry, RetrySettings, open_bus
from deltastream.seams import Seams

DELAYS = [n * 0.0005 for n in range(9)]
"""Longer than the slowest call, which waits for a thread twice."""


class SlowThreads:
    """Work takes two steps of a millisecond and heeds a cancellation only before it begins."""

    async def run(self, fn, *args, limiter=None):
        await trio.sleep(0.001)
        with trio.CancelScope(shield=True):
            result = fn(*args)
            await trio.sleep(0.001)
        return result


@pytest.fixture
def opened(tmp_path, virtual):
    """A bus whose every read goes to the journal."""
    seams = Seams(clock=virtual.clock, rng=virtual.rng, ids=virtual.ids, threads=SlowThreads())
    settings = BusSettings(cache_bytes=0, retry=RetrySettings(base_s=0.02, cap_s=0.1))
    return lambda delay: open_bus(tmp_path / f"{delay}.db", settings, seams)


@pytest.fixture
def three(tick):
    return [Entry("a", tick(n), f"k{n}") for n in range(3)]


async def cut(delay, call, *args, **kwargs):
    """The call's result, or None where it was cancelled after `delay`; then everything settles."""
    result = None
    with trio.move_on_after(delay):
        result = await call(*args, **kwargs)
    await trio.sleep(0.05)
    return result


async def state(bus):
    [group] = (await bus.statistics()).groups
    return group.acked, group.in_flight, group.retrying


async def test_the_delays_reach_from_nothing_to_everything(opened, three, tick, autojump_clock):
    results = []
    for delay in DELAYS:
        async with opened(delay) as bus:
            results.append(await cut(delay, bus.append, "a", tick(0)))
    assert results[0] is None
    assert results[-1] is not None


@pytest.mark.parametrize("delay", DELAYS)
async def test_append(opened, three, delay, autojump_clock):
    async with opened(delay) as bus:
        await cut(delay, bus.append, "a", three[0].message, key="k0")
        assert (await bus.append("a", three[0].message, key="k0")).seq == 1
        assert (await bus.append("a", three[1].message)).seq == 2


@pytest.mark.parametrize("delay", DELAYS)
async def test_append_batch_is_whole_or_not_there(opened, three, delay, autojump_clock):
    async with opened(delay) as bus:
        await cut(delay, bus.append_batch, three)
        assert len(await bus.read("a")) in (0, 3)
        assert [p.seq for p in await bus.append_batch(three)] == [1, 2, 3]
        assert len(await bus.read("a")) == 3


@pytest.mark.parametrize("delay", DELAYS)
async def test_batch_takes_all_or_nothing(opened, three, delay, autojump_clock):
    async with opened(delay) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch(three)
        taken = await cut(delay, consumer.batch) or []
        assert await state(bus) == (0, len(taken), 0)
        taken += await consumer.batch() if not taken else []
        assert [d.position.seq for d in taken] == [1, 2, 3]


@pytest.mark.parametrize("delay", DELAYS)
async def test_batch_of_retries_takes_all_or_nothing(opened, three, delay, autojump_clock):
    async with opened(delay) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch(three)
        one, two, three_ = await consumer.batch()
        await consumer.fail(two, ValueError("bad"))
        await consumer.ack([one, three_])
        await trio.sleep(1)
        taken = await cut(delay, consumer.batch) or await consumer.batch()
        assert [(d.position.seq, d.attempt) for d in taken] == [(2, 2)]
        await consumer.ack(taken)
        assert await state(bus) == (3, 0, 0)


@pytest.mark.parametrize("delay", DELAYS)
async def test_ack_and_what_it_emits_are_one(opened, three, tick, delay, autojump_clock):
    emit = [Entry("out", tick(9), "e")]
    async with opened(delay) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch(three)
        held = await consumer.batch()
        await cut(delay, consumer.ack, held, emit=emit)
        assert (len(await bus.read("out")), await state(bus)) in ((0, (0, 3, 0)), (1, (3, 0, 0)))
        assert [p.seq for p in await consumer.ack(held, emit=emit)] == [1]
        assert await state(bus) == (3, 0, 0)


@pytest.mark.parametrize("delay", DELAYS)
async def test_ack_cut_by_leaving(opened, three, tick, delay, autojump_clock):
    emit = [Entry("out", tick(9), "e")]
    async with opened(delay) as bus:
        await bus.append_batch(three)
        with trio.move_on_after(delay + 0.01):
            async with bus.consume(["a"], "g") as consumer:
                held = await consumer.batch()
                with trio.move_on_after(delay):
                    await consumer.ack(held, emit=emit)
        async with bus.consume(["a"], "g") as consumer:
            with trio.move_on_after(1):
                assert await consumer.batch() == held
                await consumer.ack(held, emit=emit)
            assert await state(bus) == (3, 0, 0)
            assert len(await bus.read("out")) == 1


@pytest.mark.parametrize("delay", DELAYS)
async def test_fail_counts_once(opened, three, delay, autojump_clock):
    async with opened(delay) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append_batch(three)
        held = await consumer.batch()
        await cut(delay, consumer.fail, held[1], ValueError("bad"))
        await consumer.fail(held[1], ValueError("bad"))
        again = await consumer.batch()
        assert [(d.position.seq, d.attempt) for d in again] == [(2, 2)]
        await consumer.ack([*held, *again])
        assert await state(bus) == (3, 0, 0)


@pytest.mark.parametrize("delay", DELAYS)
async def test_follower_misses_nothing(opened, three, delay, autojump_clock):
    async with opened(delay) as bus, bus.follow(["a"]) as follower:
        await bus.append_batch(three)
        taken = await cut(delay, follower.batch) or await follower.batch()
        assert [r.position.seq for r in taken] == [1, 2, 3]


@pytest.mark.parametrize("delay", DELAYS)
async def test_joining_leaves_no_ghost(opened, three, delay, autojump_clock):
    async def join(bus):
        async with bus.consume(["a"], "g"):
            await trio.sleep(1)

    async with opened(delay) as bus:
        await bus.append_batch(three)
        await cut(delay, join, bus)
        async with bus.consume(["a"], "g") as consumer:
            with trio.fail_after(1):
                assert len(await consumer.batch()) == 3


@pytest.mark.parametrize("delay", DELAYS)
async def test_dead_letters(opened, three, delay, autojump_clock):
    async with opened(delay) as bus, bus.consume(["a"], "g") as consumer:
        await bus.append("a", three[0].message)
        for _ in range(5):
            [delivery] = await consumer.batch()
            await consumer.fail(delivery, ValueError("bad"))
        [letter] = await bus.dead_letters()
        await cut(delay, bus.replay_dead_letter, letter.id)
        if await bus.dead_letters():
            await bus.replay_dead_letter(letter.id)
        await consumer.ack(await consumer.batch())
        assert await state(bus) == (1, 0, 0)
