"""Chains and quotes over their handlers: the present, the past, windows, roots and odd symbols."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math

import msgspec
import pyarrow as pa
import trio

from deltastream.gateway.instants import Instant
from deltastream.gateway.routes.chains import chain, quote
from deltastream.gateway.routes.data import expiries
from deltastream.gateway.routing import ARROW, CSV
from deltastream.messages import UnderlyingTick

SECOND = 10**9
DAY = 86_400 * SECOND
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def ns(text):
    return (dt.datetime.fromisoformat(text) - EPOCH) // dt.timedelta(microseconds=1) * 1000


async def fed_chains(world, product, expiry):
    records = await world.bus.read(f"enriched.chain.{product}", limit=100)
    return [one.message for one in records if one.message.expiry == expiry]


def field(problem):
    return [(one.where, one.field, one.code) for one in problem.errors]


async def test_the_present_chain(world, ask, autojump_clock):
    answer = await ask(chain, product="NIFTY")
    held = world.live.chain("NIFTY")
    assert (answer["product"], answer["count"], answer["cursor"]) == ("NIFTY", 1, None)
    [shown] = answer["chains"]
    assert ns(shown["timestamp"]) == held.message.ts_event // 1000 * 1000
    assert [row["strike"] for row in shown["calls"]] == held.message.strikes.tolist()
    meta = answer["meta"]
    assert meta["source"] == "live"
    assert meta["position"] == {
        "topic": "enriched.chain.NIFTY", "epoch": held.position.epoch, "seq": held.position.seq,
    }  # fmt: skip
    assert meta["as_of"] == {"quotes": shown["timestamp"], "open_interest": shown["oi_as_of"]}
    assert set(meta["definitions"]) <= set(shown) | set(shown["calls"][0])
    assert meta["definitions"]["call_buildup_otm"] == "oi.call_otm_sum/1"


async def test_the_present_chain_is_rendered_once(world, autojump_clock):
    first = await world.call(chain, product="NIFTY")
    assert await world.call(chain, product="NIFTY") is first
    assert await world.call(chain, product="nifty") is first
    assert first.cache_key is not None
    others = [
        await world.call(chain, product="NIFTY", **given)
        for given in (
            {"layout": "columns"},
            {"window": 2},
            {"delta_min": 0.3},
            {"media": CSV},
            {"media": ARROW},
        )
    ]
    every = [first, *others]
    assert len({answer.etag for answer in every}) == len({answer.cache_key for answer in every}) == len(every)
    await world.feed()
    after = await world.call(chain, product="NIFTY")
    assert after.etag != first.etag
    assert after.cache_key != first.cache_key


async def test_a_flag_that_comes_makes_another_answer(world, autojump_clock):
    first = await world.call(chain, product="NIFTY")
    await trio.sleep(1000.0)
    stale = await world.call(chain, product="NIFTY")
    assert stale.etag != first.etag
    assert msgspec.json.decode(stale.body)["meta"]["flags"] == ["stale"]


async def test_a_chain_that_has_expired_since_says_so(world, ask, autojump_clock):
    held = world.live.chain("NIFTY")
    world.clock.advance((held.message.expiry_ts - world.clock.now_ns()) / 1e9)
    answer = await ask(chain, product="NIFTY", expiry=dt.date.fromisoformat(held.message.expiry))
    assert answer["meta"]["flags"] == ["stale", "expired"]
    assert answer["chains"][0]["flags"] == ["expired"]


async def test_layouts_and_tables_agree_over_the_route(world, ask, autojump_clock):
    rows = (await ask(chain, product="SPY", window=3))["chains"][0]
    columns = (await ask(chain, product="SPY", window=3, layout="columns"))["chains"][0]
    assert [row["iv"] for row in rows["calls"]] == columns["calls"]["iv"]
    answer = await world.call(chain, product="SPY", window=3, media=CSV)
    read = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert [float(one["delta"]) for one in read] == [row["delta"] for row in [*rows["calls"], *rows["puts"]]]
    assert {one["spot_price"] for one in read} == {repr(rows["spot_price"])}
    answer = await world.call(chain, product="SPY", window=3, media=ARROW)
    table = pa.ipc.open_stream(answer.body).read_all()
    assert table.column("symbol").to_pylist() == [one["symbol"] for one in read]
    meta = msgspec.json.decode(table.schema.metadata[b"meta"])
    assert meta["position"]["seq"] == world.live.chain("SPY").position.seq


async def test_windows_that_contradict(refused, autojump_clock):
    assert field(await refused(chain, product="NIFTY", window=1, delta_max=0.5)) == [
        ("query", "window", "conflict")
    ]
    assert field(await refused(chain, product="NIFTY", delta_min=0.6, delta_max=0.5)) == [
        ("query", "delta_max", "order")
    ]


async def test_a_chain_of_the_past(world, ask, autojump_clock):
    held = world.live.chain("NIFTY").message
    fed = await fed_chains(world, "NIFTY", held.expiry)
    assert len(fed) == 3
    for one in fed:
        answer = await ask(chain, product="NIFTY", at=Instant(one.ts_event))
        [shown] = answer["chains"]
        assert (shown["spot_price"], shown["expiry"]) == (one.spot, one.expiry)
        assert shown["max_pain_strike"] == one.max_pain_strike
        assert answer["meta"]["source"] == "store"
        assert answer["meta"]["position"] is None
    live = (await ask(chain, product="NIFTY"))["chains"]
    assert answer["chains"] == live


async def test_a_range_of_chains(world, ask, refused, autojump_clock):
    held = world.live.chain("NIFTY").message
    expiry = dt.date.fromisoformat(held.expiry)
    fed = await fed_chains(world, "NIFTY", held.expiry)
    start = Instant(fed[0].ts_event)
    whole = await ask(chain, product="NIFTY", expiry=expiry, start=start)
    assert [one["spot_price"] for one in whole["chains"]] == [one.spot for one in fed]
    assert whole["count"] == 3
    paged, cursor = [], None
    while True:
        answer = await ask(chain, product="NIFTY", expiry=expiry, start=start, limit=2, cursor=cursor)
        paged += answer["chains"]
        if (cursor := answer["cursor"]) is None:
            break
    assert paged == whole["chains"]
    table = await world.call(chain, product="NIFTY", expiry=expiry, start=start, limit=2, media=CSV)
    read = list(csv.DictReader(io.StringIO(table.body.decode(), newline="")))
    assert len(read) == 2 * 2 * len(held.strikes)
    [(name, cursor)] = table.headers
    assert name == "x-next-cursor"
    rest = await ask(chain, product="NIFTY", expiry=expiry, cursor=cursor)
    assert rest["chains"] == whole["chains"][2:]
    assert field(await refused(chain, product="NIFTY", start=start)) == [("query", "expiry", "required")]
    nothing = await ask(chain, product="NIFTY", expiry=expiry, start=Instant(0), end=Instant(1))
    assert (nothing["count"], nothing["chains"]) == (0, [])


async def test_an_unknown_expiry_is_told_the_known_ones(world, refused, autojump_clock):
    known = ", ".join(sorted({held.message.expiry for held in world.live.chains("NIFTY")}))
    day = dt.date(2031, 1, 1)
    for given in ({}, {"start": Instant(0)}, {"at": Instant(world.clock.now_ns())}):
        problem = await refused(chain, product="NIFTY", expiry=day, **given)
        assert problem.code == "not_found"
        assert problem.detail == (f"NIFTY has no chain that expires on 2031-01-01. Known expiries: {known}.")
        problem = await refused(chain, product="NIFTY", root="NIFTYW", expiry=day, **given)
        assert problem.detail == "NIFTY has no root 'NIFTYW'. Known roots: NIFTY."


async def test_two_roots_of_one_expiry(world, ask, autojump_clock, enriched):
    now = world.clock.now_ns()
    for n, root in enumerate(("SPXW", "SPX")):
        await world.append(enriched(product="SPX", root=root, ts=now - n, expiry_ts=now + DAY + n))
    await world.settle()
    world.clock.advance(1.0)
    day = dt.date(2026, 11, 24)
    now = Instant(world.clock.now_ns())
    for given in ({}, {"at": now}, {"start": Instant(0)}):
        answer = await ask(chain, product="SPX", expiry=day, **given)
        assert [one["root"] for one in answer["chains"]] == ["SPX"]
        assert answer["meta"]["flags"] == ["several_roots"]
        answer = await ask(chain, product="SPX", expiry=day, root="SPXW", **given)
        assert [one["root"] for one in answer["chains"]] == ["SPXW"]
        assert answer["meta"]["flags"] == []
    assert (await ask(chain, product="SPX"))["chains"][0]["root"] == "SPXW"
    listed = await ask(expiries, product="SPX")
    assert listed["expiries"] == ["2026-11-24"]
    assert [one["root"] for one in listed["series"]] == ["SPXW", "SPX"]


async def test_a_quote(world, ask, autojump_clock):
    message = world.live.chain("SPY").message
    for i in (0, 7, len(message.strikes) - 1):
        for side, prefix in (("C", "call_"), ("P", "put_")):
            strike = message.strikes[i]
            symbol = f"SPY-{message.expiry.replace('-', '')}-{strike:g}-{side}"
            answer = await ask(quote, symbol=symbol)
            assert (answer["symbol"], answer["product"], answer["strike"]) == (symbol, "SPY", strike)
            assert answer["option_type"] == side
            assert (answer["bid"], answer["open_interest"], answer["gamma"]) == tuple(
                None if math.isnan(message[prefix + name][i]) else message[prefix + name][i]
                for name in ("bid", "oi", "gamma")
            )
            assert (answer["spot_price"], answer["expiry"]) == (message.spot, message.expiry)
            assert answer["meta"]["flags"] == list(message.flags) == ["european_approximation"]
            then = await ask(quote, symbol=symbol, at=Instant(message.ts_event))
            assert then.pop("meta")["source"] == "store"
            assert answer.pop("meta")["source"] == "live"
            assert then == answer
    assert await world.call(quote, symbol=symbol) is await world.call(quote, symbol=symbol.lower())


async def test_symbols_with_odd_strikes(world, ask, refused, autojump_clock, enriched):
    now = world.clock.now_ns()
    await world.append(enriched(product="ODD", root="O-D.D", ts=now, strikes=(0.5, 2.25, 1_000_000.125)))
    await world.settle()
    for written in ("0.5", "0.50", "00.5", "2.25", "1000000.125"):
        answer = await ask(quote, symbol=f"O-D.D-20261124-{written}-C")
        assert answer["strike"] == float(written)
    assert answer["symbol"] == "O-D.D-20261124-1000000.125-C"
    problem = await refused(quote, symbol="O-D.D-20261124-3-C")
    assert problem.detail == "The chain of O-D.D for 2026-11-24 lists no strike 3."
    for symbol in (
        *(
            "NIFTY",
            "NIFTY-20261124-0-C",
            "NIFTY-20261324-1-C",
            "NIFTY-20261124-1-X",
            f"N-20261124-{'9' * 400}-C",
        ),
        *("NIFTY-20261124-1e5-C", "NIFTY-20261124--1-C", "-20261124-1-C", "N F-20261124-1-C", "é"),
    ):
        problem = await refused(quote, symbol=symbol)
        assert (problem.code, field(problem)) == ("invalid_request", [("path", "symbol", "symbol")])
    assert (await refused(quote, symbol="ÉÉ-20261124-1-C")).code == "not_found"


async def test_a_quote_of_a_series_that_has_expired(world, ask, autojump_clock):
    message = world.live.chain("NIFTY").message
    after = message.expiry_ts + 1
    await world.append(UnderlyingTick(product="NIFTY", price=1.0, ts_event=after, ts_recv=after))
    await world.settle()
    answer = await ask(quote, symbol=f"NIFTY-{message.expiry.replace('-', '')}-{message.strikes[0]:g}-P")
    assert answer["meta"]["source"] == "store"
    assert answer["bid"] == message["put_bid"][0]
    answer = await ask(chain, product="NIFTY", expiry=dt.date.fromisoformat(message.expiry))
    assert answer["meta"]["source"] == "store"
