"""What every implementation of `Repository` must do, by example."""

from __future__ import annotations

import numpy as np
import pytest

from deltastream.bus import Delivery
from deltastream.errors import StoreError
from deltastream.messages import Bar, Position, encode
from deltastream.storage import METRICS, BadCursor, StoredExpiry, StoredProduct

T0 = 1_790_000_000_000_000_000
MINUTE = 60_000_000_000
ALL = {"start": 0, "end": 1 << 62}


async def test_an_empty_store_knows_nothing(repository_factory):
    async with repository_factory() as store:
        assert await store.positions("g") == {}
        assert await store.products() == []
        assert await store.expiries("NIFTY") == []
        assert await store.tick("NIFTY") is None
        assert await store.chain("NIFTY") is None
        assert await store.chain("NIFTY", expiry="2026-11-24") is None
        assert await store.latest_chains("NIFTY") == []
        assert await store.surface("NIFTY") is None
        assert await store.status("NIFTY") is None
        assert await store.quote("NIFTY-20261124-26000-C") is None
        for page in (
            await store.ticks("NIFTY", **ALL),
            await store.chains("NIFTY", expiry="2026-11-24", **ALL),
            await store.metrics("NIFTY", expiry="2026-11-24", **ALL),
            await store.bars("NIFTY", interval_s=60, **ALL),
            await store.surfaces("NIFTY", **ALL),
            await store.statuses("NIFTY", **ALL),
        ):
            assert (page.items, page.cursor) == ([], None)
        statistics = await store.statistics()
        assert (statistics.state, statistics.applied, statistics.duplicates) == ("running", 0, 0)
        assert await store.apply("g", []) == 0


async def test_messages_come_back_as_they_were(repository_factory, make):
    tick = make.tick(T0, 26_000.05, volume=3.0)
    chain = make.chain(
        T0, 60, future=26_020.0, flags=("stale",), source=("market.chain.NIFTY", Position("e", 3))
    )
    surface, status = make.surface(T0), make.status(T0, status="halted")
    async with repository_factory() as store:
        assert await store.apply("g", make.records(tick, chain, surface, status)) == 4
        assert await store.tick("NIFTY") == tick
        found = await store.chain("NIFTY")
        assert found is not None
        assert encode(found) == encode(chain)
        assert not found.columns.flags.writeable
        assert await store.surface("NIFTY") == surface
        assert await store.status("NIFTY") == status


@pytest.mark.parametrize("strikes", [0, 1, 500])
async def test_chains_of_any_length(repository_factory, make, strikes):
    chain = make.chain(T0, strikes)
    async with repository_factory() as store:
        await store.apply("g", make.records(chain))
        found = await store.chain("NIFTY")
        assert found is not None
        assert encode(found) == encode(chain)


async def test_what_is_passed_moves_the_position_and_may_still_take_effect(repository_factory, make):
    one, two = make.records(make.tick(T0), make.tick(T0 + 1))
    async with repository_factory() as store:
        assert await store.apply("g", [one], passed=[two]) == 1
        assert await store.positions("g") == {two.topic: two.position}
        assert len((await store.ticks("NIFTY", **ALL)).items) == 1
        assert await store.apply("g", [two]) == 1
        assert len((await store.ticks("NIFTY", **ALL)).items) == 2


async def test_a_retry_moves_no_position(repository_factory, make):
    """It may come before a new store has been given what stands before it."""
    one, two, three = (
        Delivery(record.topic, record.position, record.message, attempt)
        for attempt, record in zip(
            (1, 2, 3), make.records(*(make.tick(T0 + i) for i in range(3))), strict=True
        )
    )
    async with repository_factory() as store:
        assert await store.apply("g", [two], passed=[three]) == 1
        assert await store.positions("g") == {}
        assert await store.apply("g", [one, three]) == 2
        assert await store.positions("g") == {one.topic: one.position}


async def test_how_far_earlier_epochs_were_applied(repository_factory, make):
    async with repository_factory() as store:
        assert await store.earlier_positions("g") == {}
        for epoch, count in (("e1", 3), ("e2", 1), ("e3", 2)):
            records = make.records(*(make.tick(T0 + i) for i in range(count)), epoch=epoch)
            await store.apply("g", records)
            topic = records[0].topic
        assert await store.positions("g") == {topic: Position("e3", 2)}
        assert await store.earlier_positions("g") == {topic: [Position("e2", 1), Position("e1", 3)]}
        assert await store.earlier_positions("h") == {}


async def test_a_repeat_has_no_second_effect_in_any_order_group_or_opening(repository_factory, make):
    records = make.records(*(make.tick(T0 + i, 100.0 + i, volume=2.0) for i in range(10)))
    async with repository_factory() as store:
        assert await store.apply("g", [records[4], records[5], records[4]]) == 2
        assert await store.apply("g", records[::-1]) == 8
        assert await store.apply("other", records) == 0
    async with repository_factory() as store:
        assert await store.apply("g", records[2:3] * 3) == 0
        assert len((await store.ticks("NIFTY", **ALL)).items) == 10
        (bar,) = (await store.bars("NIFTY", interval_s=900, **ALL)).items
        assert (bar.ticks, bar.volume, bar.open, bar.close) == (10, 20.0, 100.0, 109.0)
        assert (await store.statistics()).duplicates == 3


async def test_positions_never_move_back(repository_factory, make):
    records = make.records(*(make.tick(T0 + i) for i in range(6)))
    async with repository_factory() as store:
        await store.apply("g", records[:4])
        await store.apply("g", records[:2])
        assert await store.positions("g") == {"topic.one": Position("e1", 4)}
        assert await store.positions("h") == {}
        await store.apply("g", make.records(make.tick(T0), epoch="e2"))
        await store.apply("g", records)  # stragglers of the earlier epoch take effect, and no more
        assert await store.positions("g") == {"topic.one": Position("e2", 1)}
        await store.apply("g", make.records(make.tick(T0), topic="topic.two", start=9))
        assert await store.positions("g") == {"topic.one": Position("e2", 1), "topic.two": Position("e1", 9)}
        assert len((await store.ticks("NIFTY", **ALL)).items) == 8


async def test_one_bad_record_undoes_the_call(repository_factory, make):
    good = make.records(make.tick(T0), make.chain(T0))
    bad = make.records(make.chain(T0, columns=np.zeros((3, 2))), start=7)
    async with repository_factory() as store:
        with pytest.raises(StoreError, match=r"topic\.one e1/7"):
            await store.apply("g", [*good, *bad])
        assert await store.positions("g") == {}
        assert await store.products() == []
        assert await store.tick("NIFTY") is None
        assert await store.apply("g", good) == 2
        assert [bar.ticks for bar in (await store.bars("NIFTY", interval_s=60, **ALL)).items] == [1]
        assert await store.positions("g") == {"topic.one": Position("e1", 2)}
        assert [p.product for p in await store.products()] == ["NIFTY"]


@pytest.mark.parametrize(
    "unfit",
    [
        lambda make: Bar(product="A", interval_s=60, start=0, open=1, high=1, low=1, close=1, ticks=1),
        lambda make: make.tick(T0, float("nan")),
        lambda make: make.tick(T0, float("inf")),
        lambda make: make.tick(T0, -1.0),
        lambda make: make.tick(T0, 0.0),
        lambda make: make.tick(T0, "dear"),
        lambda make: make.tick(T0, volume=float("inf")),
        lambda make: make.tick(1 << 63),
        lambda make: make.tick(1.5),
        lambda make: make.tick("noon"),
        lambda make: make.tick(T0, product="\ud800"),
        lambda make: make.tick(T0, product=None),
        lambda make: make.chain(T0, columns=np.zeros((45, 2), dtype=np.float32)),
        lambda make: make.chain(T0, columns=None),
        lambda make: make.chain(T0, expiry="tomorrow"),
        lambda make: make.chain(T0, expiry="20261124"),
        lambda make: make.chain(T0, expiry_ts=1 << 64),
        lambda make: make.chain(T0, pcr_oi="high"),
        lambda make: make.chain(T0, max_pain_interval=(1.0,)),
        lambda make: make.chain(T0, reasons={"x": object()}),
        lambda make: make.surface(1 << 70),
        lambda make: make.surface(T0, atm_iv="low"),
        lambda make: make.status(T0, product=7),
        lambda make: make.status(T0, status="asleep"),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_name(repository_factory, make, unfit):
    async with repository_factory() as store:
        with pytest.raises(StoreError, match=r"topic\.one e1/5 cannot be stored"):
            await store.apply("g", make.records(unfit(make), start=5))
        assert await store.apply("g", make.records(make.tick(T0), start=5)) == 1


@pytest.mark.parametrize("seq", [0, -1, 1 << 62, 1 << 80])
async def test_absurd_positions_are_refused(repository_factory, make, seq):
    async with repository_factory() as store:
        with pytest.raises(StoreError, match=rf"topic\.one e1/{seq} cannot be stored"):
            await store.apply("g", make.records(make.tick(T0), start=seq))


async def test_latest_is_by_event_time_then_seq(repository_factory, make):
    ticks = [make.tick(T0 + 5, 1.0), make.tick(T0, 2.0), make.tick(T0 + 5, 3.0), make.tick(T0 + 5, 4.0)]
    records = make.records(*ticks)
    async with repository_factory() as store:
        await store.apply("g", [records[3]])
        await store.apply("g", [records[2], records[1], records[0]])
        assert await store.tick("NIFTY") == ticks[3]
        assert await store.tick("NIFTY", at=T0 + 4) == ticks[1]
        assert await store.tick("NIFTY", at=T0 - 1) is None
        found = (await store.ticks("NIFTY", **ALL)).items
        assert found == [ticks[1], ticks[0], ticks[2], ticks[3]]


async def test_state_as_of_an_instant(repository_factory, make):
    times = [T0, T0 + 10, T0 + 20]
    messages = [f(t) for t in times for f in (make.tick, make.chain, make.surface, make.status)]
    async with repository_factory() as store:
        await store.apply("g", make.records(*messages))
        for at, expected in ((T0 - 1, None), (T0, T0), (T0 + 9, T0), (T0 + 15, T0 + 10), (1 << 80, T0 + 20)):
            found = [
                await store.tick("NIFTY", at=at),
                await store.chain("NIFTY", at=at),
                await store.chain("NIFTY", expiry="2026-11-24", at=at),
                await store.quote("NIFTY-20261124-26000-P", at=at),
                await store.surface("NIFTY", at=at),
                await store.status("NIFTY", at=at),
                *await store.latest_chains("NIFTY", at=at),
            ]
            assert {message and message.ts_event for message in found} == {expected}
        assert await store.tick("NIFTY", at=-(1 << 80)) is None


async def test_ranges_are_half_open_and_pages_continue(repository_factory, make):
    ticks = [make.tick(T0 + i // 3, 100.0 + i) for i in range(20)]
    async with repository_factory() as store:
        await store.apply("g", make.records(*ticks))
        for size in (1, 2, 3, 7, 20, 21):
            seen, cursor = [], None
            while True:
                page = await store.ticks("NIFTY", start=T0 + 1, end=T0 + 6, limit=size, cursor=cursor)
                assert len(page.items) <= size
                assert page.items
                seen += page.items
                cursor = page.cursor
                if cursor is None:
                    break
                assert len(page.items) == size
            assert seen == ticks[3:18]
        assert (await store.ticks("NIFTY", start=T0 + 1, end=T0 + 1)).items == []
        assert (await store.ticks("NIFTY", start=T0 + 5, end=T0)).items == []
        assert len((await store.ticks("NIFTY", start=-(1 << 90), end=1 << 90)).items) == 20
        assert (await store.ticks("OTHER", **ALL)).items == []


@pytest.mark.parametrize("series", ["surfaces", "statuses"])
async def test_histories_of_surfaces_and_statuses_keep_every_message(repository_factory, make, series):
    one = {"surfaces": make.surface, "statuses": make.status}[series]
    messages = [one(T0 + i // 2) for i in range(10)]
    async with repository_factory() as store:
        await store.apply("g", make.records(*messages, make.tick(T0)))
        read = getattr(store, series)
        first = await read("NIFTY", start=T0 + 1, end=T0 + 4, limit=4)
        rest = await read("NIFTY", start=T0 + 1, end=T0 + 4, limit=4, cursor=first.cursor)
        assert first.items + rest.items == messages[2:8]
        assert rest.cursor is None
        with pytest.raises(ValueError, match="limit"):
            await read("NIFTY", **ALL, limit=5001)
        with pytest.raises(BadCursor):
            await read("NIFTY", **ALL, cursor=first.cursor)


async def test_a_page_continues_through_what_came_meanwhile(repository_factory, make):
    async with repository_factory() as store:
        await store.apply("g", make.records(*(make.tick(T0 + 10 * i) for i in range(4))))
        page = await store.ticks("NIFTY", **ALL, limit=2)
        await store.apply("g", make.records(make.tick(T0 + 5), make.tick(T0 + 15), start=10))
        rest = await store.ticks("NIFTY", **ALL, limit=9, cursor=page.cursor)
        assert [t.ts_event - T0 for t in rest.items] == [15, 20, 30]


async def test_cursors_serve_one_store_and_one_query(repository_factory, make):
    async with repository_factory() as store, repository_factory("second") as second:
        records = make.records(*(make.tick(T0 + i) for i in range(5)), make.chain(T0), make.chain(T0 + 1))
        await store.apply("g", records)
        await second.apply("g", records)
        cursor = (await store.ticks("NIFTY", **ALL, limit=2)).cursor
        assert cursor is not None
        assert len((await store.ticks("NIFTY", **ALL, limit=3, cursor=cursor)).items) == 3
        flipped = ("B" if cursor[5] == "A" else "A").join((cursor[:5], cursor[6:]))
        for bad in (flipped, "", "x", "é", cursor[:-4], cursor + "AAAA", "!" * len(cursor)):
            with pytest.raises(BadCursor):
                await store.ticks("NIFTY", **ALL, cursor=bad)
        with pytest.raises(BadCursor):
            await second.ticks("NIFTY", **ALL, cursor=cursor)
        with pytest.raises(BadCursor):
            await store.ticks("BANKNIFTY", **ALL, cursor=cursor)
        with pytest.raises(BadCursor):
            await store.ticks("NIFTY", start=1, end=1 << 62, cursor=cursor)
        with pytest.raises(BadCursor):
            await store.chains("NIFTY", expiry="2026-11-24", **ALL, cursor=cursor)
        chains = (await store.chains("NIFTY", expiry="2026-11-24", **ALL, limit=1)).cursor
        with pytest.raises(BadCursor):
            await store.metrics("NIFTY", expiry="2026-11-24", **ALL, cursor=chains)
    async with repository_factory() as store:  # and outlive the process
        assert len((await store.ticks("NIFTY", **ALL, cursor=cursor)).items) == 3


async def test_limits_are_checked(repository_factory):
    async with repository_factory() as store:
        for limit in (0, -1, 5001):
            with pytest.raises(ValueError, match=r"limit must be between 1 and 5000, got"):
                await store.ticks("NIFTY", **ALL, limit=limit)
            with pytest.raises(ValueError, match="limit"):
                await store.bars("NIFTY", interval_s=60, **ALL, limit=limit)
            with pytest.raises(ValueError, match="limit"):
                await store.metrics("NIFTY", expiry="2026-11-24", **ALL, limit=limit)
        with pytest.raises(ValueError, match=r"limit must be between 1 and 20, got 21"):
            await store.chains("NIFTY", expiry="2026-11-24", **ALL, limit=21)
        with pytest.raises(ValueError, match="interval_s must be one of 60, 300, 900, got 61"):
            await store.bars("NIFTY", interval_s=61, **ALL)
        for symbol in ("", "NIFTY", "NIFTY-20261324-26000-C", "NIFTY-20261124-26000-X"):
            with pytest.raises(ValueError, match=r".+"):
                await store.quote(symbol)


async def test_bars_by_their_start(repository_factory, make):
    start = T0 - T0 % (15 * MINUTE)
    ticks = [
        make.tick(start + i * MINUTE // 2, 100.0 + i % 7, volume=1.0 if i % 2 else None) for i in range(40)
    ]
    async with repository_factory() as store:
        await store.apply("g", make.records(*ticks))
        for interval, count in ((60, 20), (300, 4), (900, 2)):
            pages, cursor = [], None
            while not pages or cursor is not None:
                page = await store.bars("NIFTY", interval_s=interval, **ALL, limit=3, cursor=cursor)
                pages += page.items
                cursor = page.cursor
            assert [bar.start for bar in pages] == [start + i * interval * 10**9 for i in range(count)]
            assert sum(bar.ticks for bar in pages) == 40
            assert sum(bar.volume or 0 for bar in pages) == 20
        (bar,) = (
            await store.bars("NIFTY", interval_s=60, start=start + MINUTE, end=start + 2 * MINUTE)
        ).items
        assert bar == Bar(
            product="NIFTY", interval_s=60, start=start + MINUTE,
            open=102.0, high=103.0, low=102.0, close=103.0, ticks=2, volume=1.0,
        )  # fmt: skip


async def test_metrics_are_a_series_of_their_own(repository_factory, make):
    chains = [make.chain(T0 + i, seed=i, atm_iv=float("nan"), forward=26_000) for i in range(5)]
    async with repository_factory() as store:
        await store.apply("g", make.records(*chains))
        page = await store.metrics("NIFTY", expiry="2026-11-24", start=T0 + 1, end=T0 + 4, limit=2)
        rest = await store.metrics(
            "NIFTY", expiry="2026-11-24", start=T0 + 1, end=T0 + 4, limit=2, cursor=page.cursor
        )
        rows = page.items + rest.items
        assert [row.ts_event - T0 for row in rows] == [1, 2, 3]
        assert [row.values["spot"] for row in rows] == [26_001.5, 26_002.5, 26_003.5]
        first = rows[0]
        assert (first.product, first.root, first.expiry) == ("NIFTY", "NIFTY", "2026-11-24")
        assert tuple(first.values) == METRICS
        assert first.values["pcr_oi"] == 0.75
        assert first.values["atm_iv"] is None
        assert first.values["forward"] == 26_000.0
        assert (first.values["max_pain_low"], first.values["max_pain_high"]) == (26_000.0, 26_050.0)


async def test_products_and_expiries_are_listed_with_their_spans(repository_factory, make):
    near = {"expiry": "2026-11-24", "expiry_ts": T0 + 100}
    far = {"expiry": "2026-12-29", "expiry_ts": T0 + 900}
    async with repository_factory() as store:
        await store.apply(
            "g",
            make.records(
                make.chain(T0 + 30, **far),
                make.chain(T0 + 10, **near),
                make.chain(T0 + 50, **near),
                make.tick(T0 + 60),
                make.tick(T0 + 5, product="AAPL"),
                make.status(T0, product="QUIET"),
            ),
        )
        assert await store.products() == [
            StoredProduct("AAPL", T0 + 5, T0 + 5),
            StoredProduct("NIFTY", T0 + 10, T0 + 60),
        ]
        first = StoredExpiry("NIFTY", "2026-11-24", T0 + 100, T0 + 10, T0 + 50)
        second = StoredExpiry("NIFTY", "2026-12-29", T0 + 900, T0 + 30, T0 + 30)
        assert await store.expiries("NIFTY") == [first, second]
        assert await store.expiries("NIFTY", at=T0 + 9) == []
        assert await store.expiries("NIFTY", at=T0 + 29) == [
            StoredExpiry("NIFTY", "2026-11-24", T0 + 100, T0 + 10, T0 + 10)
        ]
        assert await store.expiries("AAPL") == []
        corrected = make.chain(T0 + 70, expiry="2026-12-29", expiry_ts=T0 + 950)
        outdated = make.chain(T0 + 69, expiry="2026-12-29", expiry_ts=T0 + 901)
        await store.apply("g", make.records(corrected, outdated, start=20))
        assert (await store.expiries("NIFTY"))[1].expiry_ts == T0 + 950


async def test_the_nearest_chain_is_the_nearest_not_expired(repository_factory, make):
    near = {"expiry": "2026-11-24", "expiry_ts": T0 + 100}
    far = {"expiry": "2026-12-29", "expiry_ts": T0 + 900}
    async with repository_factory() as store:
        await store.apply("g", make.records(make.chain(T0, **near), make.chain(T0 + 20, **far)))
        assert [c.expiry for c in await store.latest_chains("NIFTY")] == ["2026-11-24", "2026-12-29"]
        assert (await store.chain("NIFTY")).expiry == "2026-11-24"
        assert (await store.chain("NIFTY", at=T0 + 99)).expiry == "2026-11-24"
        assert (await store.chain("NIFTY", at=T0 + 100)).expiry == "2026-12-29"
        assert [c.expiry for c in await store.latest_chains("NIFTY", at=T0)] == ["2026-11-24"]
        await store.apply("g", make.records(make.tick(T0 + 100), start=5))  # time goes on by ticks too
        assert (await store.chain("NIFTY")).expiry == "2026-12-29"
        assert [c.expiry for c in await store.latest_chains("NIFTY")] == ["2026-12-29"]
        assert (await store.chain("NIFTY", expiry="2026-11-24")).ts_event == T0
        await store.apply("g", make.records(make.tick(T0 + 900), start=6))
        assert await store.chain("NIFTY") is None
        assert await store.latest_chains("NIFTY") == []


async def test_roots_of_one_expiry_are_series_of_their_own(repository_factory, make):
    spx = {"product": "SPX", "expiry": "2026-11-20"}
    chains = [
        make.chain(T0, **spx, root="SPXW", expiry_ts=T0 + 200),
        make.chain(T0 + 1, **spx, root="SPX", expiry_ts=T0 + 100),
        make.chain(T0 + 2, **spx, root="SPXW", expiry_ts=T0 + 200),
    ]
    async with repository_factory() as store:
        await store.apply("g", make.records(*chains))
        assert [e.root for e in await store.expiries("SPX")] == ["SPX", "SPXW"]
        assert (await store.chain("SPX")).root == "SPX"
        assert (await store.chain("SPX", root="SPXW")).ts_event == T0 + 2
        assert (await store.chain("SPX", expiry="2026-11-20")).root == "SPX"
        assert (await store.chain("SPX", expiry="2026-11-20", root="SPXW", at=T0 + 1)).ts_event == T0
        assert await store.chain("SPX", expiry="2026-11-20", root="XSP") is None
        pages = {
            root: (await store.chains("SPX", expiry="2026-11-20", root=root, **ALL)).items
            for root in (None, "SPX", "SPXW")
        }
        assert {root: [c.ts_event - T0 for c in found] for root, found in pages.items()} == {
            None: [1], "SPX": [1], "SPXW": [0, 2],
        }  # fmt: skip
        rows = (await store.metrics("SPX", expiry="2026-11-20", root="SPXW", **ALL)).items
        assert [(row.root, row.ts_event - T0) for row in rows] == [("SPXW", 0), ("SPXW", 2)]


async def test_quotes_are_read_out_of_chains(repository_factory, make):
    chain = make.chain(T0)
    columns = chain.columns
    put = 12  # row of put_bid
    columns[put] = [1.0, 2.0, np.nan, 4.0, np.inf]
    chain["call_last_trade_us"][:] = 1_790_000_000_000_001
    chain["call_iv_status"][:] = 16 + 2
    chain["put_iv_status"][:] = 99
    chain["call_buildup"][:] = 3
    chain["put_buildup"][:] = -7
    async with repository_factory() as store:
        await store.apply("g", make.records(chain))
        call = await store.quote("NIFTY-20261124-25950-C")
        assert call is not None
        assert (call.symbol, call.strike, call.option_type) == ("NIFTY-20261124-25950-C", 25_950.0, "C")
        assert (call.bid, call.iv, call.open_interest) == (
            chain["call_bid"][1], chain["call_iv"][1], chain["call_oi"][1],
        )  # fmt: skip
        assert call.last is None
        assert call.last_trade_us == 1_790_000_000_000_001
        assert (call.iv_status, call.buildup) == ("below_intrinsic", "short_covering")
        assert (call.product, call.expiry, call.oi_unit, call.ts_event) == (
            "NIFTY", "2026-11-24", "contracts", T0,
        )  # fmt: skip
        puts = [await store.quote(f"NIFTY-20261124-{k}-P") for k in (25900, 25950, 26000, 26050, 26100)]
        assert [quote.bid for quote in puts] == [1.0, 2.0, None, 4.0, None]
        assert {(quote.iv_status, quote.buildup) for quote in puts} == {(None, None)}
        assert await store.quote("NIFTY-20261124-26150-C") is None
        assert await store.quote("NIFTY-20261124-25960-C") is None
        assert await store.quote("NIFTY-20261201-26000-C") is None


async def test_a_closed_store_says_so(repository_factory, make):
    store = repository_factory()
    async with store:
        await store.apply("g", make.records(make.tick(T0)))
    with pytest.raises(StoreError, match="closed"):
        await store.tick("NIFTY")
    with pytest.raises(StoreError, match="closed"):
        await store.ticks("NIFTY", **ALL)
    with pytest.raises(StoreError, match="closed"):
        await store.apply("g", [])
    assert (await store.statistics()).state == "closed"
