"""The whole host in virtual time: the real tree, bus, store, core and synthetic market, no threads."""

from __future__ import annotations

import hashlib

import pytest
import trio
import trio.testing

from deltastream.host.config import PIPELINE, Flag, load
from deltastream.host.tree import Host, caught_up
from deltastream.messages import encode
from supervisors import ChildState, SupervisorStatistics

START = 1_795_147_200 * 10**9  # 2026-11-20 04:00 UTC, a Friday: 09:30 in Mumbai
EVER = {"start": 0, "end": 2**62}


@pytest.fixture
def make_host(tmp_path, virtual_seams):
    """Makes a host of two synthetic markets with a data directory of its own name."""

    def make(name: str = "data", **values) -> Host:
        values = {"synthetic.products": ["NIFTY", "SPY"], "actors": PIPELINE, **values}
        values["data_dir"] = str(tmp_path / name)
        flags = tuple(Flag("--test", path, value, lax=False) for path, value in values.items())
        return Host(load(flags=flags, environ={}).settings, virtual_seams(START))

    return make


async def run_for(host: Host, seconds: float) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        await trio.sleep(seconds)
        await host.tree.supervisor("host/pipeline").terminate_child("feed")
        while not await caught_up(host.bus):  # noqa: ASYNC110  a lag has no event
            await trio.sleep(0.05)
        await check(host, seconds)
        host.request_stop("enough")


async def check(host: Host, seconds: float) -> None:
    """Everything that was accepted is in the store, once; every actor is well."""
    for actor in walk(host.tree.statistics()):
        assert actor.restarts == 0
        assert actor.state in (ChildState.RUNNING, ChildState.STOPPED)
    for product in host.settings.synthetic.products:
        ticks = (await host.store.ticks(product, limit=5000, **EVER)).items
        accepted = await host.bus.read(f"market.tick.{product}", limit=5000)
        assert ticks == [record.message for record in accepted]
        assert len(ticks) >= seconds - 2
        bars = (await host.store.bars(product, interval_s=60, **EVER)).items
        assert sum(bar.ticks for bar in bars) == len(ticks)
        for bar in bars:
            inside = [t.price for t in ticks if bar.start <= t.ts_event < bar.start + 60 * 10**9]
            assert (bar.open, bar.close) == (inside[0], inside[-1])
            assert (bar.high, bar.low) == (max(inside), min(inside))
        chains = len(await host.bus.read(f"market.chain.{product}", limit=5000))
        stored = 0
        for series in await host.store.expiries(product):
            page = await host.store.metrics(
                product, root=series.root, expiry=series.expiry, limit=5000, **EVER
            )
            stored += len(page.items)
        assert stored == chains > 0


def walk(node):
    yield node
    if isinstance(node, SupervisorStatistics):
        for child in node.children:
            yield from walk(child)


@pytest.mark.parametrize("seconds", [600])
async def test_ten_minutes_of_two_markets_take_effect_once(make_host, autojump_clock, seconds):
    await run_for(make_host(), seconds)


async def digest(host: Host, seconds: float) -> str:
    published = hashlib.sha256()
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        await trio.sleep(seconds)
        for topic in sorted(t.topic for t in (await host.bus.statistics()).topics):
            for record in await host.bus.read(topic, limit=5000):
                published.update(encode(record.message))
        host.request_stop("enough")
    return published.hexdigest()


def test_the_same_seed_publishes_the_same_bytes(make_host):
    def run(name: str, seed: int) -> str:
        host = make_host(name, **{"synthetic.seed": seed})
        return trio.run(digest, host, 30, clock=trio.testing.MockClock(autojump_threshold=0))

    assert run("a", 7) == run("b", 7)
    assert run("c", 8) != run("a2", 7)


async def test_a_restart_goes_on_where_the_last_run_ended(make_host, autojump_clock):
    await run_for(make_host(), 20)
    host = make_host()
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        await trio.sleep(5)
        numbers = [record.position.seq for record in await host.bus.read("market.tick.NIFTY", limit=100)]
        host.request_stop("enough")
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 24
