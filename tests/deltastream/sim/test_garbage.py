"""Garbage: each kind of it is refused, condemned or passes, and takes nobody with it."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest
import trio

from deltastream.feeds.protocol import Delivered, Refusal
from deltastream.feeds.synthetic import SyntheticProvider, SyntheticSettings
from deltastream.host.config import PIPELINE, Flag, load
from deltastream.host.tree import Host, caught_up
from deltastream.messages import OptionChain, UnderlyingTick, encode
from deltastream.sim.faults.garbage import GARBAGE, Garbled, make_garbage
from supervisors import SupervisorStatistics

START = 1_795_147_200 * 10**9


class Given:
    """A provider that gives what it is told to, and then nothing."""

    name = "given"
    silent_after_s = None

    def __init__(self, *items):
        self.items = list(items)

    @asynccontextmanager
    async def stream(self):
        async def play():
            while self.items:
                yield self.items.pop(0)

        yield play()


@pytest.fixture
async def garbled(virtual_seams, autojump_clock):
    settings = SyntheticSettings(products=("NIFTY",), strikes=9, expiries=1)
    found = {}
    async with SyntheticProvider(settings, virtual_seams(START)).stream() as items:
        async for item in items:
            found[type(item.message)] = item.message
            if {UnderlyingTick, OptionChain} <= found.keys():
                break
    return Garbled(found[UnderlyingTick], found[OptionChain])


@pytest.fixture
def make_host(tmp_path, virtual_seams):
    def make(*items):
        class GivenHost(Host):
            def make_provider(self):
                return Given(*items)

        values = {"data_dir": str(tmp_path), "actors": PIPELINE, "bus.retry.max_attempts": 2}
        flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
        return GivenHost(load(flags=flags, environ={}).settings, virtual_seams(START))

    return make


def restarts(node):
    if isinstance(node, SupervisorStatistics):
        return sum(restarts(child) for child in node.children)
    return node.restarts


async def all_settled(host):
    """Out of line are those that failed, each of which is retried once."""
    await trio.sleep(2)
    while not await caught_up(host.bus):  # noqa: ASYNC110 (a lag has no event)
        await trio.sleep(0.05)


@pytest.mark.parametrize("name", GARBAGE)
async def test_what_becomes_of_it(make_host, garbled, autojump_clock, name):
    """Between a good tick and a good chain, which both take effect."""
    fate, make = GARBAGE[name]
    item = make(garbled)
    item = item if isinstance(item, Delivered | Refusal) else Delivered(item)
    host = make_host(Delivered(garbled.tick), item, Delivered(garbled.chain))
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        await all_settled(host)
        topics = {each.topic: each.last_seq for each in (await host.bus.statistics()).topics}
        accepted = sum(count for topic, count in topics.items() if topic.startswith("market."))
        assert accepted == (2 if fate == "refused" else 3)
        assert sum(host.feed.refused.values()) == (fate == "refused")
        letters = await host.bus.dead_letters()
        assert len(letters) == (fate == "condemned")
        everything = {"start": -(2**62), "end": 2**62}
        ticks = (await host.store.ticks("NIFTY", **everything)).items
        assert encode(garbled.tick) in [encode(tick) for tick in ticks]
        assert any(chain.expiry == garbled.chain.expiry for chain in await host.store.latest_chains("NIFTY"))
        assert restarts(host.tree.statistics()) == 0
        host.request_stop("enough")


async def test_the_same_generator_makes_the_same_garbage(garbled, autojump_clock):
    first, second = random.Random(1), random.Random(1)
    for _ in range(100):
        one, other = make_garbage(first, garbled), make_garbage(second, garbled)
        assert one[0] == other[0]
        assert one[0] in GARBAGE
        assert type(one[1]) is type(other[1])
