"""What every implementation of `Repository` must do, by law: it equals a model, however fed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deltastream.bus.protocol import Record
from deltastream.messages import (
    Bar,
    EnrichedChain,
    MarketStatus,
    Message,
    Position,
    UnderlyingTick,
    VolatilitySurface,
    encode,
)
from deltastream.storage import StoredExpiry, StoredProduct

FAR = 4_000_000_000_000_000_000
MINUTE = 60_000_000_000
T0 = 1_790_000_000_000_000_000 - 1_790_000_000_000_000_000 % (15 * MINUTE)
ALL = {"start": 0, "end": 1 << 62}
NAMES = itertools.count()
EXPIRIES = {"2026-11-24": T0 + 8 * MINUTE, "2026-12-29": FAR}

quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def bars_of(ticks: list[tuple[int, UnderlyingTick]], interval_s: int) -> list[Bar]:
    """Bars of one product's (seq, tick), computed the plain way."""
    grouped: dict[int, list[tuple[int, int, UnderlyingTick]]] = {}
    for seq, tick in ticks:
        start = tick.ts_event // (interval_s * 10**9) * interval_s * 10**9
        grouped.setdefault(start, []).append((tick.ts_event, seq, tick))
    bars = []
    for start, found in sorted(grouped.items()):
        ordered = [tick for _, _, tick in sorted(found, key=lambda key: key[:2])]
        prices = [tick.price for tick in ordered]
        volumes = [tick.volume for tick in ordered if tick.volume is not None]
        ohlc = {"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]}
        volume = sum(volumes) if volumes else None
        name = {"product": ordered[0].product, "interval_s": interval_s, "start": start}
        bars.append(Bar(**name, **ohlc, ticks=len(prices), volume=volume))
    return bars


@st.composite
def feedings(draw: st.DrawFn, most: int) -> list[list[int]]:
    """Every index below `most` at least once, in any order, with repeats, in any portions."""
    order = draw(st.permutations(range(most)))
    repeats = draw(st.lists(st.integers(0, most - 1), max_size=most))
    for index in repeats:
        order.insert(draw(st.integers(0, len(order))), index)
    cuts = sorted(draw(st.lists(st.integers(0, len(order)), max_size=5)))
    return [order[a:b] for a, b in itertools.pairwise([0, *cuts, len(order)])]


ticks = st.lists(
    st.builds(
        lambda offset, price, volume: UnderlyingTick(
            product="NIFTY",
            price=float(price),
            ts_event=T0 + offset * 20_000_000_000,
            ts_recv=1,
            volume=volume,
        ),
        st.integers(-3, 60),
        st.integers(1, 30),
        st.none() | st.integers(0, 9).map(float),
    ),
    min_size=1,
    max_size=25,
)


@quick
@given(data=st.data(), ticks=ticks)
async def test_bars_are_the_same_however_ticks_arrive(repository_factory, make, data, ticks):
    records = make.records(*ticks)
    async with repository_factory(f"bars{next(NAMES)}") as store:
        for portion in data.draw(feedings(len(ticks))):
            await store.apply("g", [records[i] for i in portion])
        for interval in (60, 300, 900):
            page = await store.bars("NIFTY", interval_s=interval, **ALL)
            assert page.items == bars_of(list(enumerate(ticks, start=1)), interval)
        assert (await store.statistics()).applied == len(ticks)


@dataclass
class Model:
    """A store as one would write it without thinking of speed or size."""

    records: dict[tuple[str, int], Record] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)

    def apply(self, records: list[Record]) -> int:
        before = len(self.records)
        for record in records:
            self.records.setdefault((record.topic, record.position.seq), record)
            known = self.positions.get(record.topic, record.position)
            self.positions[record.topic] = max(known, record.position)
        return len(self.records) - before

    def series(self, kind: type[Message], product: str, **same: str) -> list[Message]:
        found = [
            record
            for record in self.records.values()
            if isinstance(record.message, kind)
            and record.message.product == product
            and all(getattr(record.message, name) == value for name, value in same.items())
        ]
        found.sort(key=lambda record: (record.message.ts_event, record.position.seq))
        return [record.message for record in found]

    def latest(self, kind: type[Message], product: str, at: int | None, **same: str) -> Message | None:
        found = [m for m in self.series(kind, product, **same) if at is None or m.ts_event <= at]
        return found[-1] if found else None

    def span(self, product: str) -> list[int]:
        return [
            record.message.ts_event
            for record in self.records.values()
            if record.message.product == product and record.topic != "status"
        ]


def builders(make):
    products = st.sampled_from(["NIFTY", "AAPL"])
    times = st.integers(0, 10).map(lambda minute: T0 + minute * MINUTE)
    chain = st.builds(
        lambda ts, product, expiry, seed: make.chain(
            ts, 3, seed, product=product, root=product, expiry=expiry, expiry_ts=EXPIRIES[expiry]
        ),
        times,
        products,
        st.sampled_from(sorted(EXPIRIES)),
        st.integers(0, 99),
    )
    return {
        "tick": st.builds(make.tick, times, st.integers(1, 99).map(float), products),
        "chain": chain,
        "surface": st.builds(make.surface, times, products, st.floats(0, 1)),
        "status": st.builds(make.status, times, products, st.sampled_from(["open", "halted"])),
    }


@quick
@given(data=st.data())
async def test_a_store_equals_a_model(repository_factory, make, data):
    records = [
        record
        for topic, messages in builders(make).items()
        for record in make.records(*data.draw(st.lists(messages, min_size=1, max_size=8)), topic=topic)
    ]
    portions = data.draw(feedings(len(records)))
    name, model = f"model{next(NAMES)}", Model()
    for portion in portions:
        async with repository_factory(name) as store:  # opened anew each time
            batch = [records[i] for i in portion]
            assert await store.apply("g", batch) == model.apply(batch)
            await check_equal(store, model)


async def check_equal(store, model):
    instants = [None, T0 - 1, T0, T0 + 5 * MINUTE, T0 + 8 * MINUTE, T0 + 99 * MINUTE]
    assert await store.positions("g") == model.positions
    spans = {product: model.span(product) for product in ("AAPL", "NIFTY")}
    assert await store.products() == [
        StoredProduct(product, min(span), max(span)) for product, span in spans.items() if span
    ]
    for product, span in spans.items():
        listed = model.series(UnderlyingTick, product)
        assert (await store.ticks(product, **ALL)).items == listed
        for at in instants:
            assert await store.tick(product, at=at) == model.latest(UnderlyingTick, product, at)
            assert await store.surface(product, at=at) == model.latest(VolatilitySurface, product, at)
            assert await store.status(product, at=at) == model.latest(MarketStatus, product, at)
            await check_chains(store, model, product, at, at if at is not None else max(span, default=0))
        rows = [
            StoredExpiry(product, expiry, EXPIRIES[expiry], min(times), max(times))
            for expiry in sorted(EXPIRIES)
            if (times := [m.ts_event for m in model.series(EnrichedChain, product, expiry=expiry)])
        ]
        assert await store.expiries(product) == rows


async def check_chains(store, model, product, at, now):
    live = []
    for expiry, expiry_ts in sorted(EXPIRIES.items()):
        expected = model.latest(EnrichedChain, product, at, expiry=expiry)
        assert frame(await store.chain(product, expiry=expiry, at=at)) == frame(expected)
        if expected is not None and expiry_ts > now:
            live.append(frame(expected))
        chains = model.series(EnrichedChain, product, expiry=expiry)
        page = await store.chains(product, expiry=expiry, **ALL)
        assert [frame(c) for c in page.items] == [frame(c) for c in chains]
        rows = (await store.metrics(product, expiry=expiry, **ALL)).items
        assert [(r.ts_event, r.values["spot"]) for r in rows] == [(c.ts_event, c.spot) for c in chains]
    assert [frame(c) for c in await store.latest_chains(product, at=at)] == live
    assert frame(await store.chain(product, at=at)) == (live[0] if live else None)


def frame(chain: EnrichedChain | None) -> bytes | None:
    return None if chain is None else encode(chain)
