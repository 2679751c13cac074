"""Market data over its handlers: the present, the past, ranges, outages and all that is not there."""

from __future__ import annotations

import csv
import datetime as dt
import io
from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest
import trio

from deltastream.gateway.instants import Instant
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.chains import chain, quote
from deltastream.gateway.routes.data import ROUTES, expiries, products
from deltastream.gateway.routes.series import bars, underlying
from deltastream.gateway.routing import ARROW, CSV, Call
from deltastream.messages import UnderlyingTick

SECOND = 10**9
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def ns(text):
    return (dt.datetime.fromisoformat(text) - EPOCH) // dt.timedelta(microseconds=1) * 1000


def instant(text):
    return Instant(ns(text))


def of(world, kind, product):
    """The messages of a kind that were fed, in order."""
    return [one for one in world.sent if isinstance(one, kind) and one.product == product]


async def fed_chains(world, product, expiry):
    records = await world.bus.read(f"enriched.chain.{product}", limit=100)
    return [one.message for one in records if one.message.expiry == expiry]


def field(problem):
    return [(one.where, one.field, one.code) for one in problem.errors]


async def test_products(world, ask, autojump_clock):
    answer = await ask(products)
    assert answer["products"] == ["NIFTY", "SPY"]
    nifty, spy = answer["details"]
    last = of(world, UnderlyingTick, "NIFTY")[-1]
    assert (nifty["price"], ns(nifty["timestamp"])) == (last.price, last.ts_event // 1000 * 1000)
    assert (nifty["currency"], nifty["time_zone"], nifty["status"]) == ("INR", "Asia/Kolkata", "open")
    assert (spy["exchange"], spy["roots"]) == ("OPRA", ["SPY"])
    assert answer["meta"]["source"] == "live"
    assert answer["meta"]["flags"] == []


async def test_a_first_start_has_nothing_and_says_so(empty_world, autojump_clock):
    answer = msgspec.json.decode((await empty_world.call(products)).body)
    assert (answer["products"], answer["details"]) == ([], [])
    for route, given in (
        (expiries, {"product": "NIFTY"}),
        (underlying, {"product": "NIFTY"}),
        (bars, {"product": "NIFTY"}),
        (chain, {"product": "NIFTY"}),
        (chain, {"product": "NIFTY", "at": Instant(empty_world.clock.now_ns())}),
        (quote, {"symbol": "NIFTY-20261124-26000-C"}),
    ):
        with pytest.raises(Problem) as problem:
            await empty_world.call(route, **given)
        assert problem.value.code == "not_found"


async def test_an_unknown_product_is_told_the_known_ones(refused, autojump_clock):
    for route in (expiries, underlying, bars, chain):
        problem = await refused(route, product="NIFTY50")
        assert (problem.code, problem.status) == ("not_found", 404)
        assert problem.detail == "There is no product 'NIFTY50'. Known products: NIFTY, SPY."


async def test_case_does_not_matter_where_one_is_meant(world, ask, refused, autojump_clock):
    for route in (expiries, underlying, bars, chain):
        assert (await ask(route, product="nifty"))["product"] == "NIFTY"
    ts = world.clock.now_ns()
    await world.append(UnderlyingTick(product="nifty", price=1.0, ts_event=ts, ts_recv=ts))
    await world.settle()
    assert (await ask(underlying, product="nifty"))["ticks"][0]["price"] == 1.0
    assert (await refused(underlying, product="Nifty")).code == "not_found"


async def test_expiries_live_and_past(world, ask, autojump_clock):
    live = await ask(expiries, product="NIFTY")
    dates = sorted({one.expiry for one in (held.message for held in world.live.chains("NIFTY"))})
    assert live["expiries"] == dates
    assert [(one["root"], one["expiry"]) for one in live["series"]] == [("NIFTY", date) for date in dates]
    assert live["meta"]["source"] == "live"
    after = ns(live["series"][0]["expiry_time"])
    await world.append(UnderlyingTick(product="NIFTY", price=1.0, ts_event=after, ts_recv=after))
    await world.settle()
    world.clock.advance((after - world.clock.now_ns()) / 1e9 + 1)
    assert (await ask(expiries, product="NIFTY"))["expiries"] == dates[1:]
    every = await ask(expiries, product="NIFTY", expired=True)
    assert every["expiries"] == dates
    assert every["meta"]["source"] == "store"
    first = (await fed_chains(world, "NIFTY", dates[0]))[0]
    assert ns(every["series"][0]["first_timestamp"]) == first.ts_event
    then = await ask(expiries, product="NIFTY", at=Instant(first.ts_event))
    assert then["expiries"] == dates[:1]
    late = await ask(expiries, product="NIFTY", at=Instant(after))
    assert late["expiries"] == dates[1:]


async def test_the_newest_tick_and_several(world, ask, autojump_clock):
    fed = of(world, UnderlyingTick, "SPY")
    answer = await ask(underlying, product="SPY")
    assert answer["count"] == len(answer["ticks"]) == 1
    [tick] = answer["ticks"]
    last = fed[-1]
    assert tick == {
        "product": "SPY",
        "price": last.price,
        "volume": last.volume,
        "timestamp": tick["timestamp"],
        "processed_at": tick["processed_at"],
        "tick_id": f"SPY:{last.ts_event}:{last.ts_recv}",
    }
    assert ns(tick["timestamp"]) == last.ts_event // 1000 * 1000
    assert tick["timestamp"].endswith("-05:00")
    held = world.live.tick("SPY").position
    assert answer["meta"]["position"] == {"topic": "market.tick.SPY", "epoch": held.epoch, "seq": held.seq}
    several = await ask(underlying, product="SPY", limit=5)
    assert [one["price"] for one in several["ticks"]] == [one.price for one in fed[-5:]]
    assert len((await ask(underlying, product="SPY", limit=5000))["ticks"]) == len(fed)


async def test_a_range_of_ticks_page_by_page(world, ask, autojump_clock):
    fed = of(world, UnderlyingTick, "NIFTY")
    start, end = Instant(fed[2].ts_event), Instant(fed[-2].ts_event)
    whole = await ask(underlying, product="NIFTY", start=start, end=end)
    assert [one["price"] for one in whole["ticks"]] == [one.price for one in fed[2:-2]]
    assert whole["cursor"] is None
    ids = {one["tick_id"] for one in (await ask(underlying, product="NIFTY", limit=100))["ticks"]}
    assert {one["tick_id"] for one in whole["ticks"]} <= ids
    paged, cursor = [], None
    while True:
        page = await ask(underlying, product="nifty", start=start, end=end, limit=4, cursor=cursor)
        paged += page["ticks"]
        assert page["count"] == len(page["ticks"]) <= 4
        if (cursor := page["cursor"]) is None:
            break
    assert paged == whole["ticks"]


async def test_a_cursor_goes_on_with_a_range_that_ended_now(world, ask, autojump_clock):
    """The end was the moment of asking, and is that moment still when the next page is asked for."""
    fed = of(world, UnderlyingTick, "NIFTY")
    first = await ask(underlying, product="NIFTY", start=Instant(fed[0].ts_event), limit=3)
    world.clock.advance(3.0)
    await world.feed()
    rest = await ask(underlying, product="NIFTY", cursor=first["cursor"], limit=5000)
    assert [one["price"] for one in first["ticks"] + rest["ticks"]] == [one.price for one in fed]
    again = await ask(
        underlying, product="NIFTY", start=Instant(fed[0].ts_event), cursor=first["cursor"], limit=5000
    )
    assert again == rest


async def test_cursors_of_other_queries_are_refused(world, ask, refused, autojump_clock):
    fed = of(world, UnderlyingTick, "NIFTY")
    start = Instant(fed[0].ts_event)
    cursor = (await ask(underlying, product="NIFTY", start=start, limit=3))["cursor"]
    begin, end, rest = cursor.split(".", 2)
    for given in (
        {"product": "SPY", "cursor": cursor},
        {"product": "NIFTY", "cursor": f"{int(begin, 16) + 1:x}.{end}.{rest}"},
        {"product": "NIFTY", "cursor": cursor, "start": Instant(start + 1)},
        {"product": "NIFTY", "cursor": cursor, "end": Instant(start + 1)},
        {"product": "NIFTY", "cursor": rest},
        {"product": "NIFTY", "cursor": "x"},
        {"product": "NIFTY", "cursor": "1.2.3"},
        {"product": "NIFTY", "cursor": f"{'f' * 100}.2.{rest}"},
        {"product": "NIFTY", "cursor": "..é"},
    ):
        problem = await refused(underlying, **given)
        assert (problem.code, field(problem)) == ("invalid_request", [("query", "cursor", "cursor")])
    problem = await refused(bars, product="NIFTY", cursor=cursor)
    assert problem.code == "invalid_request"


async def test_ranges_that_are_none(world, refused, autojump_clock):
    now = world.clock.now_ns()
    for route in (underlying, bars):
        for start, end in ((now, now), (now, now - 1), (now + MINUTE, None)):
            problem = await refused(
                route, product="NIFTY", start=Instant(start), end=None if end is None else Instant(end)
            )
            assert (problem.code, field(problem)[0][2]) == ("invalid_request", "order")
    assert field(await refused(underlying, product="NIFTY", end=Instant(now))) == [
        ("query", "start", "required")
    ]
    for route in (underlying, bars, chain):
        more = {"expiry": dt.date(2026, 11, 23)} if route is chain else {}
        problem = await refused(route, product="NIFTY", start=Instant(1), at=Instant(2), **more)
        assert field(problem) == [("query", "at", "conflict")]


async def test_the_state_at_an_instant(world, ask, autojump_clock):
    fed = of(world, UnderlyingTick, "NIFTY")
    answer = await ask(underlying, product="NIFTY", at=Instant(fed[4].ts_event))
    assert answer["ticks"][0]["price"] == fed[4].price
    assert answer["meta"]["source"] == "store"
    assert (await ask(underlying, product="NIFTY", at=Instant(fed[4].ts_event - 1001)))["ticks"][0][
        "price"
    ] == fed[3].price
    again = await ask(underlying, product="NIFTY", at=instant(answer["ticks"][0]["timestamp"]))
    assert again == answer


async def test_a_time_in_microseconds_finds_what_it_was_told_of(world, ask, autojump_clock):
    ts = world.clock.now_ns() // 1000 * 1000 + 987
    await world.append(UnderlyingTick(product="NIFTY", price=77.0, ts_event=ts, ts_recv=ts))
    await world.settle()
    world.clock.advance(1.0)
    told = (await ask(underlying, product="NIFTY"))["ticks"][0]["timestamp"]
    assert (await ask(underlying, product="NIFTY", at=instant(told)))["ticks"][0]["price"] == 77.0


async def test_instants_without_an_answer(world, refused, autojump_clock):
    expiry = dt.date.fromisoformat(world.live.chain("NIFTY").message.expiry)
    first = min(one.ts_event for one in world.sent if getattr(one, "price", None))
    for route in (underlying, chain):
        problem = await refused(route, product="NIFTY", at=Instant(first - DAY))
        assert problem.code == "not_found"
        assert "What is known of NIFTY begins at 2026-11-20T12:00:" in problem.detail
    assert (await refused(chain, product="NIFTY", at=Instant(first - DAY), expiry=expiry)).code == "not_found"
    symbol = f"NIFTY-{expiry:%Y%m%d}-26000-C"
    problem = await refused(quote, symbol=symbol, at=Instant(first - DAY))
    assert problem.detail.startswith(f"There is no quote of {symbol} at 2026-11-19T")
    ahead = Instant(world.clock.now_ns() + 10 * SECOND)
    for route, given in (
        (underlying, {"product": "NIFTY"}),
        (bars, {"product": "NIFTY"}),
        (chain, {"product": "NIFTY"}),
        (expiries, {"product": "NIFTY"}),
        (quote, {"symbol": symbol}),
    ):
        problem = await refused(route, at=ahead, **given)
        assert (problem.code, field(problem)) == ("invalid_request", [("query", "at", "future")])
        assert "it is 2026-11-20T" in problem.errors[0].message


async def test_bars(world, ask, autojump_clock):
    fed = of(world, UnderlyingTick, "SPY")
    world.clock.advance(50.0)
    await world.feed()
    world.clock.advance(200.0)
    fed = of(world, UnderlyingTick, "SPY")
    answer = await ask(bars, product="SPY")
    by_minute = {}
    for tick in fed:
        by_minute.setdefault(tick.ts_event // MINUTE * MINUTE, []).append(tick)
    assert len(by_minute) == 2
    assert answer["interval"] == "1m"
    assert [ns(bar["timestamp"]) for bar in answer["bars"]] == sorted(by_minute)
    for bar in answer["bars"]:
        prices = [tick.price for tick in by_minute[ns(bar["timestamp"])]]
        assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (
            prices[0], max(prices), min(prices), prices[-1],
        )  # fmt: skip
        assert bar["ticks"] == len(prices)
        assert bar["volume"] == sum(tick.volume for tick in by_minute[ns(bar["timestamp"])])
        assert bar["complete"]
    assert [bar["timestamp"] for bar in (await ask(bars, product="SPY", limit=1))["bars"]] == [
        answer["bars"][-1]["timestamp"]
    ]
    quarter = await ask(bars, product="SPY", interval="15m")
    assert [bar["ticks"] for bar in quarter["bars"]] == [len(fed)]
    assert not quarter["bars"][0]["complete"]


async def test_a_bar_that_was_cut_short_is_over_and_tells_by_its_ticks(world, ask, autojump_clock):
    """A market that spoke for a part of a minute, and never again."""
    fed = of(world, UnderlyingTick, "SPY")
    assert {tick.ts_event // MINUTE for tick in fed} == {fed[0].ts_event // MINUTE}
    world.clock.advance(3600.0)
    (bar,) = (await ask(bars, product="SPY"))["bars"]
    assert (bar["complete"], bar["ticks"]) == (True, len(fed))
    assert len(fed) < 60


async def test_bars_at_an_instant_hold_nothing_later(world, ask, autojump_clock):
    world.clock.advance(50.0)
    await world.feed()
    world.clock.advance(200.0)
    first, second = sorted({one.ts_event // MINUTE * MINUTE for one in of(world, UnderlyingTick, "SPY")})
    for at, expected in (
        (second + MINUTE, [first, second]),
        (second + MINUTE - 1000, [first]),
        (second, [first]),
        (second - 1000, []),
    ):
        answer = await ask(bars, product="SPY", at=Instant(at))
        assert [ns(bar["timestamp"]) for bar in answer["bars"]] == expected


async def test_bars_page_by_page(world, ask, autojump_clock):
    ticks = [
        UnderlyingTick(product="SLOW", price=1.0 + n, ts_event=ts, ts_recv=ts)
        for n in range(7)
        for ts in [world.clock.now_ns() + n * 5 * MINUTE]
    ]
    await world.append(*ticks)
    await world.settle()
    world.clock.advance(3600.0)
    start = Instant(ticks[0].ts_event - DAY)
    closes, cursor = [], None
    while True:
        page = await ask(bars, product="SLOW", interval="5m", start=start, limit=3, cursor=cursor)
        closes += [bar["close"] for bar in page["bars"]]
        if (cursor := page["cursor"]) is None:
            break
    assert closes == [tick.price for tick in ticks]
    newest = await ask(bars, product="SLOW", limit=1)
    assert [bar["close"] for bar in newest["bars"]] == [ticks[-1].price]


async def test_what_is_live_goes_on_without_the_store(world, ask, refused, autojump_clock):
    expiry = dt.date.fromisoformat(world.live.chain("NIFTY").message.expiry)
    now = Instant(world.clock.now_ns())
    symbol = (await ask(chain, product="NIFTY"))["chains"][0]["calls"][0]["symbol"]
    async with world.store_away():
        for route, given in (
            (products, {}),
            (expiries, {"product": "NIFTY"}),
            (underlying, {"product": "NIFTY"}),
            (underlying, {"product": "NIFTY", "limit": 3}),
            (chain, {"product": "NIFTY"}),
            (quote, {"symbol": symbol}),
        ):
            assert "store_away" in (await ask(route, **given))["meta"]["flags"]
        for route, given in (
            (expiries, {"product": "NIFTY", "expired": True}),
            (underlying, {"product": "NIFTY", "at": now}),
            (underlying, {"product": "NIFTY", "start": Instant(0)}),
            (bars, {"product": "NIFTY"}),
            (chain, {"product": "NIFTY", "at": now}),
            (chain, {"product": "NIFTY", "expiry": expiry, "start": Instant(0)}),
            (chain, {"product": "NIFTY", "expiry": dt.date(2031, 1, 1)}),
            (quote, {"symbol": symbol, "at": now}),
            (quote, {"symbol": "GONE-20200101-1-C"}),
        ):
            problem = await refused(route, **given)
            assert (problem.code, problem.status) == ("store_unavailable", 503)
            assert problem.retry_after_s == 2.0
            assert "store.db" not in problem.detail
        assert (await refused(chain, product="NONE")).code == "not_found"
    for route, given in ((bars, {"product": "NIFTY"}), (chain, {"product": "NIFTY"})):
        assert "store_away" not in (await ask(route, **given))["meta"]["flags"]


async def test_a_product_that_only_an_absent_store_could_know(open_world, autojump_clock):
    async with open_world(rounds=0) as world:
        await world.store.aclose()
        world.live.recalled = trio.Event()
        with pytest.raises(Problem) as problem:
            await world.call(chain, product="NIFTY")
        assert problem.value.code == "store_unavailable"
        await world.store.open()


async def test_history_needs_its_scope(world, autojump_clock):
    """A key for the present alone reads the present alone."""
    expiry = dt.date.fromisoformat(world.live.chain("NIFTY").message.expiry)
    at = Instant(world.clock.now_ns())
    symbol = f"NIFTY-{expiry:%Y%m%d}-{world.live.chain('NIFTY').message.strikes[0]:g}-C"

    async def called(route, scopes, given):
        call = Call(
            services=world.services,
            identity=await world.identity(*scopes),
            parameters=route.parameters(**given),
            body=None,
            media="application/json",
            address="127.0.0.1",
            request_id="r1",
            cookies={},
            base="http://127.0.0.1:8000",
        )
        return await route.handler(call)

    nifty = {"product": "NIFTY"}
    for route, given in (
        (expiries, {**nifty, "at": at}),
        (expiries, {**nifty, "expired": True}),
        (underlying, {**nifty, "at": at}),
        (underlying, {**nifty, "start": Instant(0)}),
        (chain, {**nifty, "at": at}),
        (chain, {**nifty, "expiry": expiry, "start": Instant(0)}),
        (quote, {"symbol": symbol, "at": at}),
    ):
        with pytest.raises(Problem) as problem:
            await called(route, ("read:market",), given)
        assert problem.value.code == "forbidden"
        await called(route, ("read:market", "read:history"), given)
    for route, given in ((expiries, nifty), (underlying, nifty), (chain, nifty), (quote, {"symbol": symbol})):
        await called(route, ("read:market",), given)


async def test_wide_answers_are_rendered_in_a_thread(world, autojump_clock):
    """What would hold the loop for longer than it may be held is made beside it."""
    ran = []

    class Threads:
        async def run(self, fn, *args, limiter=None):
            ran.append(fn)
            await trio.lowlevel.checkpoint()
            return fn(*args)

    world.seams = replace(world.seams, threads=Threads())
    ticks = [
        UnderlyingTick(product="BUSY", price=1.0, ts_event=ts, ts_recv=ts)
        for ts in range(world.clock.now_ns() - 600, world.clock.now_ns())
    ]
    await world.append(*ticks)
    await world.settle()
    await world.call(underlying, product="BUSY", start=Instant(0), limit=200)
    assert not ran
    answer = await world.call(underlying, product="BUSY", start=Instant(0), limit=600)
    assert len(ran) == 1
    assert msgspec.json.decode(answer.body)["count"] == 600


async def test_a_tick_range_as_tables(world, ask, autojump_clock):
    rows = (await ask(underlying, product="SPY", limit=5))["ticks"]
    answer = await world.call(underlying, product="SPY", limit=5, media=CSV)
    read = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [{**one, "price": float(one["price"]), "volume": float(one["volume"])} for one in read] == rows
    answer = await world.call(underlying, product="SPY", limit=5, media=ARROW)
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table.column("price").to_pylist() == [one["price"] for one in rows]
    answer = await world.call(bars, product="SPY", media=CSV)
    [bar] = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    [shown] = (await ask(bars, product="SPY"))["bars"]
    assert (float(bar["close"]), bar["complete"], int(bar["ticks"])) == (
        shown["close"],
        "false",
        shown["ticks"],
    )
    answer = await world.call(bars, product="SPY", media=ARROW)
    assert pa.ipc.open_stream(answer.body).read_all().column("high").to_pylist() == [shown["high"]]


async def test_ticks_while_the_bus_is_closed(open_world, autojump_clock):
    """One is known; more would have to be read."""
    async with open_world() as world:
        pass
    for limit in (1, 5):
        answer = msgspec.json.decode((await world.call(underlying, product="NIFTY", limit=limit)).body)
        assert answer["count"] == 1
        assert answer["meta"]["flags"] == ["bus_away"]


def test_every_route_says_what_it_may_answer():
    assert {(one.method, one.path) for one in ROUTES} == {
        ("GET", "/api/data/products"),
        ("GET", "/api/data/expiries/{product}"),
        ("GET", "/api/data/underlying/{product}"),
        ("GET", "/api/data/bars/{product}"),
        ("GET", "/api/data/chain/{product}"),
        ("GET", "/api/data/quotes/{symbol}"),
    }
    for one in ROUTES:
        assert one.handler.__doc__
        assert one.scope in ("read:market", "read:history")
