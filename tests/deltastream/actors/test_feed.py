"""The feed actor: everything a provider gives is accepted, silence is told apart from a closed market."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest
import trio

from deltastream.actors import Feed
from deltastream.actors._silence import SilenceWatch
from deltastream.feeds.protocol import Delivered, Refusal
from deltastream.messages import MarketStatus
from supervisors import ChildState, Restart


class Script:
    """A provider that plays a list: messages and refusals are given, numbers are seconds to wait."""

    name = "script"

    def __init__(self, *steps, silent_after_s=None):
        self.steps = steps
        self.silent_after_s = silent_after_s

    @asynccontextmanager
    async def stream(self):
        async def play():
            for step in self.steps:
                if isinstance(step, int | float):
                    await trio.sleep(step)
                elif isinstance(step, Exception):
                    raise step
                else:
                    yield step if isinstance(step, Refusal | Delivered) else Delivered(step)

        yield play()


def status(kind, ts=1, reason="session"):
    return MarketStatus(product="NIFTY", status=kind, reason=reason, since=ts, ts_event=ts, ts_recv=ts)


async def statuses(bus):
    return [
        (record.message.status, record.message.reason) for record in await bus.read("market.status.NIFTY")
    ]


async def test_messages_are_accepted_in_order_and_the_end_is_told(
    bus, seams, run_actors, make_tick, make_chain, autojump_clock
):
    ticks = [make_tick(n) for n in range(500)]
    feed = Feed(bus, Script(*ticks, make_chain()), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        await trio.sleep(1)
        assert tree.find("test/feed").state is ChildState.STOPPED
    assert feed.accepted == 501
    stored = await bus.read("market.tick.NIFTY", limit=1000)
    assert [record.message for record in stored] == ticks
    assert len(await bus.read("market.chain.NIFTY")) == 1


async def test_refusals_are_counted_and_do_not_stop_the_rest(
    bus, seams, run_actors, make_tick, autojump_clock
):
    refusals = [
        Refusal("file.csv", "negative_price", row=3),
        Refusal("file.csv", "duplicate_strike", count=4),
    ]
    feed = Feed(bus, Script(*refusals, make_tick()), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert feed.refused == {"negative_price": 1, "duplicate_strike": 4}
    assert feed.accepted == 1


@pytest.mark.parametrize("product", ["^SPX", "", "x" * 65, "निफ्टी", "A B", "\ud800"])
async def test_a_product_that_is_no_symbol_is_refused(
    bus, seams, run_actors, make_tick, autojump_clock, product
):
    script = Script(make_tick(1, product=product), status("open"), make_tick(2), silent_after_s=5)
    feed = Feed(bus, script, seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts == 0
    assert (feed.accepted, feed.refused) == (2, {"not_acceptable": 1})


async def test_what_cannot_be_encoded_is_refused(
    bus, seams, run_actors, make_tick, make_chain, autojump_clock
):
    chain = make_chain()
    msgspec.structs.force_setattr(chain, "columns", np.zeros((3, 2)))
    huge = msgspec.structs.replace(make_tick(1), ts_event=1 << 70)
    feed = Feed(bus, Script(chain, huge, Delivered(make_tick(1), "k" * 600), make_tick(2)), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts == 0
    assert (feed.accepted, feed.refused) == (1, {"not_acceptable": 3})


@pytest.mark.parametrize("key", ["a\0b", "\ud800", 7])
async def test_a_key_that_the_bus_refuses_does_not_take_its_neighbours_with_it(
    bus, seams, run_actors, make_tick, autojump_clock, key
):
    feed = Feed(bus, Script(make_tick(1), Delivered(make_tick(2), key), make_tick(3)), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts == 0
    assert (feed.accepted, feed.refused) == (2, {"not_acceptable": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"columns": None},
        {"columns": [[1.0]]},
        {"ts_event": 1.5},
        {"spot": "26000"},
        {"flags": "stale"},
        {"expiry": "tomorrow"},
        {"expiry": "20261124"},
    ],
)
async def test_what_readers_of_the_journal_could_not_read_is_refused(
    bus, seams, run_actors, make_tick, make_chain, autojump_clock, fields
):
    wrong = msgspec.structs.replace(make_chain(), **fields)
    feed = Feed(bus, Script(make_tick(1), wrong, make_tick(2)), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts == 0
    assert (feed.accepted, feed.refused) == (2, {"not_acceptable": 1})


@pytest.mark.parametrize(
    "fields",
    [
        {"price": float("nan")},
        {"price": float("inf")},
        {"price": -1.0},
        {"price": 0.0},
        {"volume": float("nan")},
        {"ts_event": 1 << 63},
        {"ts_recv": 1 << 63},
    ],
)
async def test_a_tick_that_no_store_could_keep_is_refused(
    bus, seams, run_actors, make_tick, autojump_clock, fields
):
    wrong = msgspec.structs.replace(make_tick(1), **fields)
    feed = Feed(bus, Script(make_tick(1), wrong, make_tick(2)), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts == 0
    assert (feed.accepted, feed.refused) == (2, {"not_acceptable": 1})


async def test_keys_make_a_repeated_source_harmless(bus, seams, run_actors, make_tick, autojump_clock):
    for _ in range(2):
        feed = Feed(bus, Script(Delivered(make_tick(1), "a"), Delivered(make_tick(2), "b")), seams)
        async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
            await feed.exhausted.wait()
    assert len(await bus.read("market.tick.NIFTY")) == 2


async def test_silence_of_an_open_market_is_stale_and_the_next_message_ends_it(
    bus, seams, run_actors, make_tick, autojump_clock
):
    feed = Feed(bus, Script(make_tick(1), 60, make_tick(2), 5, silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert await statuses(bus) == [
        ("open", "feed_heard"),
        ("stale", "feed_silent"),
        ("open", "feed_resumed"),
    ]
    stale = (await bus.read("market.status.NIFTY"))[1].message
    assert stale.ts_event - stale.since >= 10 * 10**9


async def test_a_feed_that_begins_silent_does_not_leave_its_market_open(
    bus, seams, run_actors, make_tick, autojump_clock
):
    """The one before it ended before the silence was long enough to tell."""
    feed = Feed(bus, Script(status("open"), make_tick(1), 5, silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    feed = Feed(bus, Script(60, silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert await statuses(bus) == [("open", "session"), ("stale", "feed_silent")]


async def test_a_feed_that_begins_anew_ends_the_silence_of_the_one_before(
    bus, seams, run_actors, make_tick, autojump_clock
):
    feed = Feed(bus, Script(status("degraded"), make_tick(1), 60, silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    feed = Feed(bus, Script(make_tick(2), silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert await statuses(bus) == [
        ("degraded", "session"),
        ("stale", "feed_silent"),
        ("degraded", "feed_resumed"),
    ]


async def test_a_market_that_was_closed_stays_so_through_a_new_beginning(
    bus, seams, run_actors, make_tick, autojump_clock
):
    for steps in ((status("closed"),), (600,)):
        feed = Feed(bus, Script(*steps, silent_after_s=10), seams)
        async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
            await feed.exhausted.wait()
    assert await statuses(bus) == [("closed", "session")]


async def test_silence_of_a_closed_market_is_nothing(bus, seams, run_actors, make_tick, autojump_clock):
    feed = Feed(bus, Script(status("closed"), make_tick(1), 600, silent_after_s=10), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert await statuses(bus) == [("closed", "session")]


async def test_a_product_that_speaks_while_another_is_told_to_be_silent_is_not(
    seams, make_tick, autojump_clock
):
    watch = SilenceWatch(10.0, seams.clock)
    watch.heard(make_tick(1, product="NIFTY"))
    watch.heard(make_tick(1, product="SPY"))
    await trio.sleep(11)
    told = watch.fallen_silent()
    assert next(told).product == "NIFTY"
    assert watch.heard(make_tick(2, product="SPY")) is None
    assert list(told) == []


async def test_a_status_that_was_lost_with_the_end_of_the_log_is_told_anew(
    bus, seams, run_actors, make_tick, autojump_clock
):
    """The store may have it and take it for the newest, as "stale" of before power was lost."""
    for steps in ((status("degraded"), make_tick(1)), (make_tick(2), make_tick(3))):
        feed = Feed(bus, Script(*steps, silent_after_s=10), seams)
        async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
            await feed.exhausted.wait()
    assert await statuses(bus) == [("degraded", "session"), ("degraded", "feed_heard")]
    told = [record.message for record in await bus.read("market.status.NIFTY")]
    assert told[1].ts_event > told[0].ts_event


async def test_silence_of_a_file_is_nothing(bus, seams, run_actors, make_tick, autojump_clock):
    feed = Feed(bus, Script(make_tick(1), 3600, make_tick(2)), seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run):
        await feed.exhausted.wait()
    assert await statuses(bus) == []


async def test_a_crashing_provider_is_opened_again(bus, seams, run_actors, make_tick, autojump_clock):
    script = Script(make_tick(1), RuntimeError("provider bug"))
    feed = Feed(bus, script, seams)
    async with run_actors(restart=Restart.TRANSIENT, feed=feed.run) as tree:
        await trio.sleep(0.001)
        script.steps = (make_tick(2),)
        await feed.exhausted.wait()
        assert tree.find("test/feed").restarts >= 1
    prices = [record.message.price for record in await bus.read("market.tick.NIFTY")]
    assert prices[-1] == 26_002.0
