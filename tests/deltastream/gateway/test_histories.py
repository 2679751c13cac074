"""Straddles, expected moves, and how everything went through the day, against plain Python and mpmath."""

import json
import math
from datetime import date

import mpmath
import msgspec
import pytest
import trio

from deltastream.bus import Record
from deltastream.gateway.instants import instant_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.analytics import ROUTES
from deltastream.messages import EnrichedChain, OptionChain, Position

PCR, MAX_PAIN, STRADDLE, *_ = ROUTES
S = 10**9


async def asked(world, route, **given):
    return json.loads((await world.call(route, **given)).body)


async def enriched_chains(world, product="NIFTY"):
    """Every chain that the enricher has published, oldest first."""
    records = await world.bus.last(f"enriched.chain.{product}", limit=1000)
    return [record.message for record in records if isinstance(record.message, EnrichedChain)]


def plain_straddle(chain):
    """Mids of both sides at the listed strike nearest the forward."""
    strikes = chain.strikes.tolist()
    at = min(range(len(strikes)), key=lambda i: (abs(strikes[i] - chain.forward), strikes[i]))
    mids = [(chain[f"{side}_bid"][at] + chain[f"{side}_ask"][at]) / 2 for side in ("call", "put")]
    return strikes[at], sum(mids)


async def test_the_straddle_and_the_expected_move_of_each_expiry(autojump_clock, world):
    shown = await asked(world, STRADDLE, product="nifty")
    assert (shown["product"], shown["method"], shown["z"]) == ("NIFTY", "lognormal", 1.0)
    assert shown["history"] is None
    chains = [held.message for held in world.live.chains("NIFTY")]
    assert len(chains) == len(shown["expiries"]) == 2
    for one, chain in zip(shown["expiries"], chains, strict=True):
        strike, price = plain_straddle(chain)
        assert one["reasons"] == {}
        assert (one["root"], one["expiry"]) == (chain.root, chain.expiry)
        assert one["atm_strike"] == strike
        assert one["atm_straddle_price"] == pytest.approx(price, rel=1e-12)
        assert one["straddle_pct"] == pytest.approx(100 * price / chain.spot, rel=1e-12)
        years = (chain.expiry_ts - chain.ts_event) / (365 * 86_400 * S)
        assert one["t"] == pytest.approx(years, rel=1e-12)
        with mpmath.workdps(40):
            s = mpmath.mpf(one["atm_iv"]) * mpmath.sqrt(years)
            band = [float(one["forward"] * mpmath.exp(sign * s)) for sign in (-1, 1)]
            coverage = float(mpmath.ncdf(1 + s / 2) + mpmath.ncdf(1 - s / 2) - 1)
        assert one["expected_move"] == pytest.approx(band, rel=1e-12)
        assert one["expected_move_coverage"] == pytest.approx(coverage, rel=1e-9)
        # at the forward a straddle is worth 2 F (2 N(s / 2) - 1), discounted; beside it a little more
        rough = 2 * one["forward"] * math.erf(float(s) / 2**1.5)
        assert one["atm_straddle_price"] == pytest.approx(rough, rel=0.1)


@pytest.mark.parametrize("lacking", ["time", "quotes", "forward"])
async def test_without_a_volatility_there_is_no_band(autojump_clock, world, lacking):
    chain = [one for one in world.sent if isinstance(one, OptionChain) and one.product == "SPY"][-1]
    changed = msgspec.structs.replace(
        chain, columns=chain.columns.copy(), ts_event=chain.ts_event + S, future=None
    )
    if lacking == "time":
        changed = msgspec.structs.replace(changed, flags=("timestamp_unknown",))
    else:
        for name in ("call_bid", "call_ask", "put_bid", "put_ask"):
            changed[name][:] = math.nan
    if lacking == "forward":
        changed = msgspec.structs.replace(changed, spot=None)
    await world.append(changed)
    await world.settle()
    expiry = date.fromisoformat(chain.expiry)
    (one,) = (await asked(world, STRADDLE, product="SPY", expiry=expiry))["expiries"]
    assert one["expected_move"] is one["expected_move_coverage"] is one["atm_iv"] is None
    reason = {
        "time": "timestamp_unknown",
        "quotes": "no_volatility_around_forward",
        "forward": "no_two_sided_quotes_and_no_spot",
    }[lacking]
    assert one["reasons"]["expected_move"] == one["reasons"]["expected_move_coverage"] == reason
    assert {name for name, value in one.items() if value is None} == set(one["reasons"])
    if lacking == "time":
        assert one["t"] is None
        assert one["atm_straddle_price"] > 0


async def test_the_straddle_has_a_history(autojump_clock, world):
    chains = [chain for chain in await enriched_chains(world) if chain.expiry == "2026-12-01"]
    given = {"product": "NIFTY", "expiry": date(2026, 12, 1)}
    shown = (await asked(world, STRADDLE, **given, hours=1.0, limit=2))["history"]
    assert (shown["root"], shown["expiry"], shown["data_points"]) == ("NIFTY", "2026-12-01", 2)
    more = (await asked(world, STRADDLE, **given, cursor=shown["cursor"]))["history"]
    assert more["cursor"] is None
    points = shown["points"] + more["points"]
    assert len(points) == len(chains) == 3
    for point, chain in zip(points, chains, strict=True):
        assert instant_of(point.pop("timestamp")) == chain.ts_event // 1000 * 1000
        assert point.pop("spot_price") == chain.spot
        assert point == {name: getattr(chain, name) for name in point}
    nearest = (await asked(world, STRADDLE, product="NIFTY", hours=1.0))["history"]
    assert nearest["expiry"] == min(chain.expiry for chain in await enriched_chains(world))


# A market that goes on for a while


STEPS = 72
EXPIRIES = {"2026-11-20": 180, "2026-11-24": 4 * 86_400, "2026-12-29": 40 * 86_400}
"""In seconds from the beginning; the first ends before the rest."""


@pytest.fixture
async def past(empty_world, enriched):
    """What the store holds of three expiries, each a little after the one before, every five seconds."""
    begin = empty_world.clock.now_ns() // (60 * S) * 60 * S
    chains = []
    for step in range(STEPS):
        for number, (expiry, end_s) in enumerate(EXPIRIES.items()):
            ts, end = begin + step * 5 * S + number * S // 4, begin + end_s * S
            if ts < end and (number != 1 or step != 10):
                base = chains[number] if step else enriched(expiry=expiry, expiry_ts=end, ts=ts)
                chains.append(_changed(base, ts, 1 + step * (number + 1)))
    records = [
        Record("enriched.chain.NIFTY", Position("e", seq), chain) for seq, chain in enumerate(chains, start=1)
    ]
    await empty_world.store.apply("tests", records)
    empty_world.clock.advance(5 * STEPS + 60)
    await trio.sleep(2)  # the gateway looks every second what the store holds
    return chains


def _changed(base, ts, n):
    """Numbers that tell which chain they are of."""
    low = 25_000.0 + n % 50
    return msgspec.structs.replace(
        base,
        ts_event=ts,
        spot=26_000.0 + n,
        total_call_oi=1000.0 + n,
        total_put_oi=900.0 + 2 * n,
        total_call_volume=10.0 * n,
        total_put_volume=7.0 * n,
        max_pain_strike=low + 5,
        max_pain_interval=(low, low + 10),
    )


def known(chains, ts):
    """The latest of each expiry that has not ended by then."""
    latest = {chain.expiry: chain for chain in chains if chain.ts_event <= ts}
    return [chain for chain in latest.values() if chain.expiry_ts > ts]


def mean_of(chains):
    weights = [(chain.total_call_oi + chain.total_put_oi) * chain.multiplier * chain.spot for chain in chains]
    strikes = [chain.max_pain_strike for chain in chains]
    return sum(w * k for w, k in zip(weights, strikes, strict=True)) / sum(weights)


def last_of_each(chains, every):
    """The instants that remain."""
    return list({chain.ts_event // (every * S): chain.ts_event for chain in chains}.values())


def stamps(points):
    return [instant_of(point["timestamp"]) for point in points]


async def whole(world, route, **given):
    """Every point of a history, page by page, and how many pages they were."""
    points, pages, cursor = [], 0, None
    while pages == 0 or cursor is not None:
        shown = await asked(world, route, product="NIFTY", **given, cursor=cursor)
        held = shown if route is PCR else shown["history"]
        assert held["data_points"] == len(points_of(held)) <= given.get("limit", 1000)
        points, pages, cursor = points + points_of(held), pages + 1, held["cursor"]
    return points, pages


def points_of(held):
    return held["pcr_trend"] if "pcr_trend" in held else held["points"]


@pytest.mark.parametrize("every", [None, 1, 7, 60, 86_400])
@pytest.mark.parametrize("limit", [10, 1000])
async def test_all_expiries_together_through_the_day(autojump_clock, empty_world, past, every, limit):
    thinned = past if every is None else None
    instants = [chain.ts_event for chain in past] if thinned else last_of_each(past, every)
    ratios, pages = await whole(empty_world, PCR, hours=1.0, every=every, limit=limit)
    assert stamps(ratios) == instants
    assert pages >= math.ceil(len(instants) / limit)
    if limit == 1000:
        assert pages == 1
    pains, _ = await whole(empty_world, MAX_PAIN, hours=1.0, every=every, limit=limit)
    assert stamps(pains) == instants
    for ts, pcr, pain in zip(instants, ratios, pains, strict=True):
        live = known(past, ts)
        puts, calls = (sum(getattr(one, f"total_{side}_oi") for one in live) for side in ("put", "call"))
        assert (pcr["series"], pcr["expiry"]) == (len(live), None)
        assert pcr["pcr_oi"] == pytest.approx(puts / calls, rel=1e-14)
        assert pain["weighted_mean"] == pytest.approx(mean_of(live), rel=1e-14)
        own = [one for one in live if one.expiry == "2026-11-24"]
        assert pain["max_pain_strike"] == (own[0].max_pain_strike if own else None)
        assert pain["max_pain_interval"] == (list(own[0].max_pain_interval) if own else None)


@pytest.mark.parametrize("every", [None, 30])
@pytest.mark.parametrize("limit", [7, 1000])
async def test_one_expiry_through_the_day(autojump_clock, empty_world, past, every, limit):
    own = [chain for chain in past if chain.expiry == "2026-12-29"]
    instants = [chain.ts_event for chain in own] if every is None else last_of_each(own, every)
    left = {chain.ts_event: chain for chain in own if chain.ts_event in instants}
    for route in (PCR, MAX_PAIN, STRADDLE):
        given = {"hours": 1.0, "every": every, "limit": limit, "expiry": date(2026, 12, 29)}
        points, pages = await whole(empty_world, route, **given)
        assert stamps(points) == instants
        assert pages == math.ceil(len(instants) / limit)
        for point, chain in zip(points, left.values(), strict=True):
            if route is PCR:
                assert point["pcr_oi"] == pytest.approx(chain.total_put_oi / chain.total_call_oi)
                continue
            assert point["spot_price"] == chain.spot
            if route is MAX_PAIN:
                assert (point["max_pain_strike"], point["weighted_mean"]) == (chain.max_pain_strike, None)


async def test_a_thinned_history_goes_on_only_as_it_began(autojump_clock, empty_world, past):
    given = {"hours": 1.0, "limit": 3, "expiry": date(2026, 12, 29)}
    for route in (PCR, STRADDLE):
        shown = await asked(empty_world, route, product="NIFTY", every=30, **given)
        held = shown if route is PCR else shown["history"]
        with pytest.raises(Problem) as raised:
            await asked(empty_world, route, product="NIFTY", every=60, **given, cursor=held["cursor"])
        assert raised.value.code == "invalid_request"
