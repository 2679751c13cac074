"""The latest state, followed from the bus, over the log, the store, outages and restarts."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import trio

from deltastream.bus import BusSettings, EmbeddedBus
from deltastream.gateway.live import Live
from deltastream.messages import MarketStatus, UnderlyingTick, encode
from supervisors import ChildSpec, ChildState, SupervisorSpec, open_tree

MINUTE = 60 * 10**9
DAY = 86_400 * 10**9


def state(live):
    """All that it tells, as bytes by name."""
    told = {}
    for product in live.products():
        held = [*live.chains(product), live.tick(product), live.surface(product), live.status(product)]
        told[product] = [(one.topic, one.position, encode(one.message)) for one in held if one is not None]
        told[product].append(live.newest(product))
    return told


@asynccontextmanager
async def another(world, **more):
    """A second gateway's live state over the same bus and store."""
    live = Live(world.bus, world.store, world.seams, **more)
    spec = SupervisorSpec(name="other", children=(ChildSpec(name="live", start=live.run),))
    async with open_tree(spec, rng=world.seams.rng) as tree:
        yield live, tree


async def test_world_stands(world, autojump_clock):
    live = world.live
    assert live.products() == ["NIFTY", "SPY"]
    for product in live.products():
        assert len(live.chains(product)) == 2
        assert live.surface(product) is not None
        assert live.status(product).message.status == "open"
        assert live.stale(product, world.clock.now_ns()) == ()


async def test_world_lets_a_user_in(world, autojump_clock):
    signed_in = await world.user()
    assert (await world.accounts.authenticate(signed_in.access)).email == "ann@example.org"
    assert (await world.accounts.authenticate(await world.key("read:market"))).scopes == {"read:market"}


async def test_it_holds_the_last_of_each_topic(world, autojump_clock):
    for product in ("NIFTY", "SPY"):
        [last] = await world.bus.last(f"market.tick.{product}")
        held = world.live.tick(product)
        assert (held.topic, held.position, held.message) == (last.topic, last.position, last.message)
        records = await world.bus.read(f"enriched.chain.{product}", limit=100)
        by_series = {(one.message.root, one.message.expiry): one for one in records}
        assert {held.position for held in world.live.chains(product)} == {
            one.position for one in by_series.values()
        }


async def test_what_comes_is_known_at_once(world, autojump_clock):
    ts = world.clock.now_ns()
    tick = UnderlyingTick(product="NIFTY", price=1.5, ts_event=ts, ts_recv=ts)
    [position] = await world.append(tick)
    await world.settle()
    assert world.live.tick("NIFTY").position == position
    assert world.live.tick("NIFTY").message == tick


async def test_a_new_incarnation_knows_what_the_old_one_knew(world, autojump_clock):
    async with another(world) as (live, _):
        assert state(live) == state(world.live)


async def test_a_restart_recalls_from_the_store_what_the_log_has_not(open_world, autojump_clock):
    async with open_world() as world:
        before = state(world.live)
        journal = world.data_dir.journal
    for file in journal.parent.glob("journal.db*"):
        file.unlink()
    async with open_world(rounds=0) as world:
        after = state(world.live)
        assert all(held.position is None for held in world.live.chains("NIFTY"))
    assert {product: [(topic, data) for topic, _, data in held[:-1]] for product, held in after.items()} == {
        product: [(topic, data) for topic, _, data in held[:-1]] for product, held in before.items()
    }
    assert {product: held[-1] for product, held in after.items()} == {
        product: held[-1] for product, held in before.items()
    }


async def test_a_new_epoch_goes_on_where_the_old_one_ended(open_world, autojump_clock):
    async with open_world() as world:
        old = world.live.tick("NIFTY")
        journal = world.data_dir.journal
    for file in journal.parent.glob("journal.db*"):
        file.unlink()
    async with open_world() as world:
        await world.feed(6)
        held = world.live.tick("NIFTY")
        assert held.position.epoch != old.position.epoch
        assert held.message.ts_event > old.message.ts_event
        async with another(world) as (live, _):
            assert state(live) == state(world.live)


async def test_it_chooses_chains_as_the_store_does(world, autojump_clock, enriched):
    now = world.clock.now_ns()
    series = [
        ("SPX", "2026-11-23", 3),
        ("SPXW", "2026-11-23", 3),
        ("SPXW", "2026-11-20", 1),
        ("ASPX", "2026-11-24", 4),
        ("SPXW", "2026-11-24", 4),
        ("SPX", "2026-11-19", 0),
    ]
    chains = [
        enriched(product="SPX", root=root, expiry=expiry, ts=now + n, expiry_ts=now + day * MINUTE)
        for n, (root, expiry, day) in enumerate(series)
    ]
    await world.append(*chains)
    for minute in range(5):
        ts = now + minute * MINUTE + 10
        await world.append(UnderlyingTick(product="SPX", price=6000.0, ts_event=ts, ts_recv=ts))
        await world.settle()
        for expiry in (None, *sorted({one[1] for one in series})):
            for root in (None, "SPX", "SPXW", "ASPX"):
                live = world.live.chain("SPX", expiry, root)
                stored = await world.store.chain("SPX", expiry=expiry, root=root)
                if expiry is None or live is not None:
                    assert (live and encode(live.message)) == (stored and encode(stored)), (expiry, root)
        stored = await world.store.latest_chains("SPX")
        assert [encode(held.message) for held in world.live.chains("SPX")] == [encode(one) for one in stored]


async def test_hundreds_of_series_are_all_recalled(world, autojump_clock, enriched):
    """More than are read again from the log: the rest come from the store."""
    now = world.clock.now_ns()
    chain = enriched(product="MANY", ts=now, expiry_ts=now + DAY)
    many = [msgspec.structs.replace(chain, root=f"R{n}", ts_event=now + n) for n in range(300)]
    for start in range(0, 300, 50):
        await world.append(*many[start : start + 50])
    await world.settle()
    async with another(world) as (live, _):
        for one in (world.live, live):
            assert {held.message.root for held in one.chains("MANY")} == {f"R{n}" for n in range(300)}


async def test_without_the_store_it_begins_with_the_log(world, autojump_clock):
    async with world.store_away(), another(world) as (live, tree):
        assert tree.find("other/live").state is ChildState.DEGRADED
        assert live.store_away
        assert not live.recalled.is_set()
        assert state(live)["NIFTY"] == state(world.live)["NIFTY"]
        assert live.stale("NIFTY", world.clock.now_ns()) == ("store_away",)
        await world.store.open()
        await trio.sleep(2.0)
        assert tree.find("other/live").state is ChildState.RUNNING
        assert live.stale("NIFTY", world.clock.now_ns()) == ()
        assert live.recalled.is_set()
        await world.store.aclose()


async def test_it_goes_on_while_the_store_is_away(world, autojump_clock):
    async with world.store_away():
        assert world.live.stale("SPY", world.clock.now_ns()) == ("store_away",)
        before = world.live.tick("NIFTY").position.seq
        await world.feed()
        assert world.live.tick("NIFTY").position.seq > before
    await world.settle()
    assert world.live.stale("SPY", world.clock.now_ns()) == ()
    assert (await world.store.tick("NIFTY")).ts_event == world.live.tick("NIFTY").message.ts_event


async def test_what_was_known_stays_readable_when_the_run_has_ended(world, autojump_clock):
    async with another(world) as (live, _):
        pass
    assert state(live) == state(world.live)
    assert live.stale("NIFTY", world.clock.now_ns()) == ("bus_away",)
    assert live.away() == ("bus_away",)


async def test_age_makes_stale_unless_the_market_is_closed(world, autojump_clock):
    live, now = world.live, world.clock.now_ns
    assert live.stale("NIFTY", now()) == ()
    await trio.sleep(890.0)
    assert live.stale("NIFTY", now()) == ()
    await trio.sleep(20.0)
    assert live.stale("NIFTY", now()) == ("stale",)
    assert live.stale("NIFTY", now(), ts_event=now()) == ()
    for status, flags in (
        ("closed", ("market_closed",)),
        ("halted", ("market_halted",)),
        ("stale", ("stale",)),
        ("degraded", ("market_degraded", "stale")),
        ("open", ("stale",)),
    ):
        ts = now()
        await world.append(
            MarketStatus(product="NIFTY", status=status, reason="r", since=ts, ts_event=ts, ts_recv=ts)
        )
        await world.settle()
        assert live.stale("NIFTY", now()) == flags
    async with another(world, stale_after_s=1e6) as (patient, _):
        assert patient.stale("NIFTY", now()) == ()


async def test_a_product_nobody_knows(empty_world, autojump_clock):
    live = empty_world.live
    assert live.products() == []
    assert (
        live.tick("X") is live.chain("X") is live.surface("X") is live.status("X") is live.newest("X") is None
    )
    assert live.chains("X") == []
    assert live.stale("X", empty_world.clock.now_ns()) == ()


async def test_a_bus_that_is_closed_ends_it(tmp_path, world, autojump_clock):
    bus = EmbeddedBus(tmp_path / "other.db", BusSettings(), world.seams)
    async with trio.open_nursery() as nursery:
        await nursery.start(bus.run)
        live = Live(bus, world.store, world.seams)
        spec = SupervisorSpec(name="other", children=(ChildSpec(name="live", start=live.run),))
        async with open_tree(spec, rng=world.seams.rng) as tree:
            assert live.products() == ["NIFTY", "SPY"]
            nursery.cancel_scope.cancel("the bus stops")
            while tree.find("other/live").failures == 0:  # noqa: ASYNC110  a crash has no event
                await trio.sleep(0.01)
            assert live.away() == ("bus_away",)
            assert live.products() == ["NIFTY", "SPY"]
