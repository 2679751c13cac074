"""Enricher, storage and analytics on a real bus and store: once, in order, whatever fails."""

from __future__ import annotations

import dataclasses
import sqlite3

import msgspec
import numpy as np
import pytest
import trio

from deltastream.actors import Analytics, Enricher, Storage
from deltastream.analytics import AnalyticsSettings
from deltastream.errors import StoreDamaged, StoreError, StoreUnavailable
from deltastream.messages import CHAIN_ROWS, ROW, EnrichedChain, VolatilitySurface
from deltastream.seams import InlineThreads
from supervisors import ChildState

EVER = {"start": 0, "end": 2**62}
SETTINGS = AnalyticsSettings()


class Troubled:
    """A store that fails as told before it passes calls on."""

    def __init__(self, store):
        self._store = store
        self.refuse = lambda record: False
        self.away = 0
        self.error = StoreUnavailable("no space left on the disk")

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def apply(self, group, records, *, passed=()):
        await trio.lowlevel.checkpoint()
        if self.away:
            self.away -= 1
            raise self.error
        if any(self.refuse(record) for record in records):
            raise StoreError("refused")
        return await self._store.apply(group, records, passed=passed)


class CrashingBus:
    """A bus whose consumers crash their actor at the first so many acknowledgements."""

    def __init__(self, bus, crashes, error):
        self._bus = bus
        self.crashes = crashes
        self.error = error

    def __getattr__(self, name):
        return getattr(self._bus, name)

    def consume(self, *args, **kwargs):
        from contextlib import asynccontextmanager

        outer = self

        class Consumer:
            def __init__(self, inner):
                self._inner = inner

            def __getattr__(self, name):
                return getattr(self._inner, name)

            async def ack(self, deliveries, *, emit=()):
                if outer.crashes:
                    outer.crashes -= 1
                    raise outer.error
                return await self._inner.ack(deliveries, emit=emit)

        @asynccontextmanager
        async def joined():
            async with self._bus.consume(*args, **kwargs) as consumer:
                yield Consumer(consumer)

        return joined()


async def stored_chains(store, product="NIFTY", expiry="2026-11-24"):
    page = await store.chains(product, expiry=expiry, **EVER)
    return page.items


async def test_a_chain_is_enriched_and_stored_with_its_source(
    bus, store, seams, run_actors, settle, make_chain, make_tick, autojump_clock
):
    async with run_actors(
        storage=Storage(bus, store).run, enricher=Enricher(bus, store, SETTINGS, seams).run
    ):
        position = await bus.append("market.chain.NIFTY", make_chain())
        await bus.append("market.tick.NIFTY", make_tick())
        await settle(bus)
        (chain,) = await stored_chains(store)
        assert chain.source == ("market.chain.NIFTY", position)
        assert chain.atm_iv is not None
        assert (await store.tick("NIFTY")).price == 26_001.0


async def test_a_wide_chain_is_enriched_away_from_the_event_loop(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    class Counting(InlineThreads):
        runs = 0

        async def run(self, fn, *args, limiter=None):
            self.runs += 1
            return await super().run(fn, *args, limiter=limiter)

    threads = Counting()
    chain = make_chain()
    strikes = np.arange(1.0, 1502.0)
    columns = np.full((CHAIN_ROWS, strikes.size), np.nan)
    columns[ROW["strike"]] = strikes
    columns[ROW["call_oi"]] = 1.0
    wide = msgspec.structs.replace(chain, columns=columns)
    enricher = Enricher(bus, store, SETTINGS, dataclasses.replace(seams, threads=threads))
    async with run_actors(enricher=enricher.run):
        await bus.append_batch([entry(chain), entry(wide)])
        await settle(bus)
    narrow, result = [record.message for record in await bus.read("enriched.chain.NIFTY")]
    assert threads.runs == 1
    assert (narrow.strikes.size, result.total_call_oi) == (9, 1501.0)


async def test_the_same_source_derives_once_across_restarts(
    open_bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    async with open_bus() as bus:
        crashing = CrashingBus(bus, 1, RuntimeError("crash before the ack"))
        async with run_actors(enricher=Enricher(crashing, store, SETTINGS, seams).run) as tree:
            await bus.append_batch([entry(make_chain(n)) for n in range(1, 6)])
            await settle(bus)
            assert tree.find("test/enricher").restarts == 1
        derived = await bus.read("enriched.chain.NIFTY")
        assert [record.message.source[1].seq for record in derived] == [1, 2, 3, 4, 5]


def entry(chain):
    from deltastream.bus import Entry

    return Entry(f"market.chain.{chain.product}", chain)


class Panic(BaseException):
    """What a panic of compiled code looks like: outside of Exception."""


@pytest.mark.parametrize("error", [ValueError("bug"), Panic("panic")])
async def test_a_poisoned_chain_goes_to_the_dead_letters_and_its_neighbours_go_on(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock, monkeypatch, error
):
    import deltastream.actors.enricher as module

    real = module.enrich

    def fragile(chain, *args, **kwargs):
        if chain.ts_event == make_chain(2).ts_event:
            raise error
        return real(chain, *args, **kwargs)

    monkeypatch.setattr(module, "enrich", fragile)
    async with run_actors(
        storage=Storage(bus, store).run, enricher=Enricher(bus, store, SETTINGS, seams).run
    ) as tree:
        await bus.append_batch([entry(make_chain(n)) for n in range(1, 4)])
        await settle(bus)
        assert {chain.source[1].seq for chain in await stored_chains(store)} == {1, 3}
        (letter,) = await bus.dead_letters("enricher")
        assert letter.position.seq == 2
        assert letter.attempts == 5
        assert str(error) in letter.error
        assert tree.find("test/enricher").restarts == 0
        monkeypatch.setattr(module, "enrich", real)
        await bus.replay_dead_letter(letter.id)
        await settle(bus)
        assert [chain.source[1].seq for chain in await stored_chains(store)] == [1, 2, 3]
        assert await bus.dead_letters() == []


async def test_a_malformed_chain_is_a_dead_letter_not_a_crash(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    bad = make_chain(1)
    bad.columns[ROW["strike"], 2] = -5.0
    async with run_actors(enricher=Enricher(bus, store, SETTINGS, seams).run) as tree:
        await bus.append_batch([entry(bad), entry(make_chain(2))])
        await settle(bus)
        (letter,) = await bus.dead_letters()
        assert "strike" in letter.error
        assert len(await bus.read("enriched.chain.NIFTY")) == 1
        assert tree.find("test/enricher").restarts == 0


@pytest.mark.parametrize("error", [StoreUnavailable("no space left"), StoreDamaged("malformed image")])
async def test_a_store_in_trouble_degrades_the_actor_and_loses_nothing(
    bus, store, run_actors, settle, make_tick, autojump_clock, error
):
    troubled = Troubled(store)
    troubled.error = error
    troubled.away = 4
    async with run_actors(storage=Storage(bus, troubled).run) as tree:
        for n in range(5):
            await bus.append("market.tick.NIFTY", make_tick(n))
        await trio.sleep(0.05)
        child = tree.find("test/storage")
        assert child.state is ChildState.DEGRADED
        assert child.restarts == 0
        await settle(bus)
        assert tree.find("test/storage").state is ChildState.RUNNING
        assert len((await store.ticks("NIFTY", **EVER)).items) == 5
        assert await bus.dead_letters() == []


async def test_a_record_the_store_refuses_is_set_aside_and_replayed_once(
    bus, store, run_actors, settle, make_tick, autojump_clock
):
    troubled = Troubled(store)
    troubled.refuse = lambda record: record.position.seq == 3
    async with run_actors(storage=Storage(bus, troubled).run) as tree:
        for n in range(1, 6):
            await bus.append("market.tick.NIFTY", make_tick(n))
        await settle(bus)
        assert len((await store.ticks("NIFTY", **EVER)).items) == 4
        (letter,) = await bus.dead_letters("storage")
        troubled.refuse = lambda record: False
        await bus.replay_dead_letter(letter.id)
        await settle(bus)
        ticks = (await store.ticks("NIFTY", **EVER)).items
        assert [tick.price for tick in ticks] == [26_000.0 + n for n in range(1, 6)]
        (bar,) = (await store.bars("NIFTY", interval_s=900, **EVER)).items
        assert bar.ticks == 5
        assert tree.find("test/storage").restarts == 0


async def test_a_dropped_letter_does_not_come_back_with_the_next_start(
    bus, store, run_actors, settle, make_tick, autojump_clock
):
    troubled = Troubled(store)
    troubled.refuse = lambda record: record.position.seq == 2
    async with run_actors(storage=Storage(bus, troubled).run):
        for n in range(1, 3):
            await bus.append("market.tick.NIFTY", make_tick(n))
        await settle(bus)
        (letter,) = await bus.dead_letters("storage")
        await bus.drop_dead_letter(letter.id)
    async with run_actors(storage=Storage(bus, troubled).run):
        await settle(bus)
        await trio.sleep(60)
        assert await bus.dead_letters() == []
        assert len((await store.ticks("NIFTY", **EVER)).items) == 1


async def test_a_product_with_a_dot_keeps_its_name(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    async with run_actors(
        storage=Storage(bus, store).run,
        analytics=Analytics(bus, store, seams).run,
        enricher=Enricher(bus, store, SETTINGS, seams).run,
    ):
        await bus.append("market.chain.BRK.B", make_chain(product="BRK.B"))
        await settle(bus)
        assert (await store.surface("BRK.B")).product == "BRK.B"
        assert await store.surface("B") is None


async def test_an_unreadable_stored_chain_costs_neither_live_chains_nor_the_start(
    tmp_path, bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    def services():
        return {
            "storage": Storage(bus, store).run,
            "analytics": Analytics(bus, store, seams).run,
            "enricher": Enricher(bus, store, SETTINGS, seams).run,
        }

    async with run_actors(**services()):
        await bus.append("market.chain.NIFTY", make_chain(-86_400))
        await settle(bus)
    with sqlite3.connect(tmp_path / "store.db") as raw:
        raw.execute("UPDATE chains SET body = x'00'")
    raw.close()
    async with run_actors(**services()) as tree:
        await bus.append("market.chain.NIFTY", make_chain(1))
        await settle(bus)
        assert tree.find("test/analytics").restarts == 0
    assert await bus.dead_letters() == []
    assert (await store.chain("NIFTY")).ts_event == make_chain(1).ts_event
    assert "reference_unavailable" in (await store.chain("NIFTY")).flags


async def test_a_crash_between_effect_and_ack_repeats_nothing(
    bus, store, run_actors, settle, make_tick, autojump_clock
):
    crashing = CrashingBus(bus, 2, RuntimeError("crash after the effect"))
    async with run_actors(storage=Storage(crashing, store).run) as tree:
        for n in range(1, 6):
            await bus.append("market.tick.NIFTY", make_tick(n))
            await trio.sleep(1)
        await settle(bus)
        assert tree.find("test/storage").restarts == 2
        (bar,) = (await store.bars("NIFTY", interval_s=900, **EVER)).items
        assert bar.ticks == 5


async def test_surfaces_gather_the_expiries_and_come_once_per_interval(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    async with run_actors(
        storage=Storage(bus, store).run,
        analytics=Analytics(bus, store, seams).run,
        enricher=Enricher(bus, store, SETTINGS, seams).run,
    ):
        near, far = make_chain(1), make_chain(1, expiry="2026-12-29", days=39)
        await bus.append_batch([entry(near), entry(far)])
        await settle(bus)
        (record,) = await bus.read("analytics.surface.NIFTY")
        assert isinstance(record.message, VolatilitySurface)
        assert [smile.expiry for smile in record.message.slices] == ["2026-11-24", "2026-12-29"]
        assert await store.surface("NIFTY") == record.message


async def test_the_surface_after_an_expiry_is_not_older_than_the_one_before(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    """The newest chain tells the time, even if it gives no slice itself and an older one comes after it."""
    async with run_actors(
        storage=Storage(bus, store).run,
        analytics=Analytics(bus, store, seams).run,
        enricher=Enricher(bus, store, SETTINGS, seams).run,
    ):
        await bus.append_batch([entry(make_chain(1)), entry(make_chain(1, expiry="2026-12-29", days=39))])
        await settle(bus)
        await bus.append_batch([entry(make_chain(2)), entry(make_chain(3, days=0))])
        await settle(bus)
        await bus.append_batch([entry(make_chain(2, expiry="2026-12-29", days=39))])
        await settle(bus)
        surfaces = [record.message for record in await bus.last("analytics.surface.NIFTY", limit=2)]
        assert await store.surface("NIFTY") == surfaces[-1]
    for surface, late in zip(surfaces, (1, 2), strict=True):
        assert surface.ts_event == make_chain(3).ts_event
        assert [smile.ts_event for smile in surface.slices] == [make_chain(late).ts_event]


async def test_a_restarted_analytics_actor_knows_the_other_expiries(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    storage = Storage(bus, store).run
    enricher = Enricher(bus, store, SETTINGS, seams).run
    async with run_actors(storage=storage, analytics=Analytics(bus, store, seams).run, enricher=enricher):
        await bus.append("market.chain.NIFTY", make_chain(1, expiry="2026-12-29", days=39))
        await settle(bus)
    async with run_actors(storage=storage, analytics=Analytics(bus, store, seams).run, enricher=enricher):
        await bus.append("market.chain.NIFTY", make_chain(2))
        await settle(bus)
    surface = (await bus.last("analytics.surface.NIFTY"))[0].message
    assert [smile.expiry for smile in surface.slices] == ["2026-11-24", "2026-12-29"]


async def test_a_restarted_analytics_actor_knows_what_the_store_does_not_have_yet(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    enricher = Enricher(bus, store, SETTINGS, seams).run
    for chain in (make_chain(1, expiry="2026-12-29", days=39), make_chain(2)):
        async with run_actors(analytics=Analytics(bus, store, seams).run, enricher=enricher):
            await bus.append("market.chain.NIFTY", chain)
            await settle(bus)
    surface = (await bus.last("analytics.surface.NIFTY"))[0].message
    assert [smile.expiry for smile in surface.slices] == ["2026-11-24", "2026-12-29"]


async def test_a_restarted_analytics_actor_waits_for_a_store_that_is_away(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock, monkeypatch
):
    storage = Storage(bus, store).run
    enricher = Enricher(bus, store, SETTINGS, seams).run
    async with run_actors(storage=storage, analytics=Analytics(bus, store, seams).run, enricher=enricher):
        await bus.append("market.chain.NIFTY", make_chain(1, expiry="2026-12-29", days=39))
        await settle(bus)
    monkeypatch.setattr("deltastream.actors.analytics.RECALLED", 1)  # the log alone does not have it
    real, away = store.latest_chains, 3

    async def latest_chains(product):
        nonlocal away
        if away:
            away -= 1
            raise StoreUnavailable("no space left on the disk")
        return await real(product)

    monkeypatch.setattr(store, "latest_chains", latest_chains)
    async with run_actors(enricher=enricher):
        await bus.append("market.chain.NIFTY", make_chain(2))
        await trio.sleep(1)
    async with run_actors(storage=storage, analytics=Analytics(bus, store, seams).run) as tree:
        await trio.sleep(1)
        assert tree.find("test/analytics").reason is not None
        await trio.sleep(2)
        await settle(bus)
        assert tree.find("test/analytics").reason is None
    surface = (await bus.last("analytics.surface.NIFTY"))[0].message
    assert [smile.expiry for smile in surface.slices] == ["2026-11-24", "2026-12-29"]


async def test_references_of_the_previous_session_come_from_the_store(
    bus, store, seams, run_actors, settle, make_chain, autojump_clock
):
    yesterday = make_chain(-86_400, call_last=90.0, put_last=90.0, call_oi=500.0, put_oi=500.0)
    async with run_actors(
        storage=Storage(bus, store).run, enricher=Enricher(bus, store, SETTINGS, seams).run
    ):
        await bus.append("market.chain.NIFTY", yesterday)
        await settle(bus)
        await bus.append("market.chain.NIFTY", make_chain(1, call_last=100.0, put_last=80.0))
        await settle(bus)
    today = await store.chain("NIFTY", expiry="2026-11-24")
    assert isinstance(today, EnrichedChain)
    assert "reference_from_store" in today.flags
    assert (today["call_prev_close"] == 90.0).all()
    assert (today["call_oi_change"] == 501.0).all()
    assert (today["call_buildup"] == 1.0).all()
    assert (today["put_buildup"] == 2.0).all()
