"""The routes of analytics against plain Python on the messages that the host was fed."""

import json
import math
from datetime import date, datetime

import msgspec
import pytest

from deltastream.gateway.instants import instant_of
from deltastream.gateway.problems import Problem
from deltastream.gateway.routes.analytics import ROUTES
from deltastream.messages import OptionChain

PCR, MAX_PAIN, _, SURFACE, OI, GREEKS, _ = ROUTES


async def asked(world, route, **given):
    return json.loads((await world.call(route, **given)).body)


def stamp(text):
    """The instant that an answer tells, to the microsecond."""
    return instant_of(text)


def shown_at(ts):
    """A time as answers tell it: its nanoseconds are cut off."""
    return ts // 1000 * 1000


def sent_chains(world, product):
    return [one for one in world.sent if isinstance(one, OptionChain) and one.product == product]


def latest_of(chains, until=math.inf):
    latest = {}
    for chain in sorted(chains, key=lambda one: one.ts_event):
        if chain.ts_event <= until:
            latest[chain.root, chain.expiry] = chain
    return sorted(latest.values(), key=lambda one: one.expiry_ts)


def stated(column):
    return [value for value in column.tolist() if not math.isnan(value)]


def put_call(chains):
    sums = {
        f"total_{side}_{name}": sum(sum(stated(chain[f"{side}_{name}"])) for chain in chains)
        for side in ("call", "put")
        for name in ("oi", "volume")
    }
    return sums | {
        "pcr_oi": sums["total_put_oi"] / sums["total_call_oi"],
        "pcr_volume": sums["total_put_volume"] / sums["total_call_volume"],
    }


def plain_max_pain(chain):
    """Every settlement at a strike, the cost of it: O(n^2), and the strikes of the least."""

    def pain(x):
        rows = zip(chain.strikes.tolist(), chain["call_oi"].tolist(), chain["put_oi"].tolist(), strict=True)
        return sum(call * max(0.0, x - k) + put * max(0.0, k - x) for k, call, put in rows)

    pains = {x: pain(x) for x in chain.strikes.tolist()}
    least = min(pains.values())
    strikes = [x for x, value in pains.items() if value == least]
    return least, (min(strikes), max(strikes))


async def test_pcr_now_is_of_each_expiry_and_of_all_together(autojump_clock, world):
    shown = await asked(world, PCR, product="nifty")
    chains = latest_of(sent_chains(world, "NIFTY"))
    assert [one["expiry"] for one in shown["expiries"]] == [chain.expiry for chain in chains]
    for one, chain in zip(shown["expiries"], chains, strict=True):
        assert {name: one[name] for name in put_call([chain])} == pytest.approx(put_call([chain]))
        assert stamp(one["timestamp"]) == shown_at(chain.ts_event)
    whole = shown["all"]
    assert {name: whole[name] for name in put_call(chains)} == pytest.approx(put_call(chains))
    changes = {
        side: sum(
            sum(
                now - before
                for now, before in zip(
                    chain[f"{side}_oi"].tolist(), chain[f"{side}_prev_oi"].tolist(), strict=True
                )
            )
            for chain in chains
        )
        for side in ("call", "put")
    }
    assert whole["net_oi_change"] == pytest.approx(changes["put"] - changes["call"])
    assert whole["pcr_oi_change"] == pytest.approx(changes["put"] / changes["call"])
    assert whole["root"] is whole["expiry"] is None
    assert whole["reasons"] == {}


async def test_pcr_trend_of_all_follows_every_chain(autojump_clock, world):
    shown = await asked(world, PCR, product="NIFTY")
    chains = sent_chains(world, "NIFTY")
    assert shown["data_points"] == len(shown["pcr_trend"]) == len(chains) == 6
    for point, chain in zip(shown["pcr_trend"], sorted(chains, key=lambda one: one.ts_event), strict=True):
        known = latest_of(chains, chain.ts_event)
        expected = put_call(known)
        assert stamp(point["timestamp"]) == shown_at(chain.ts_event)
        assert {name: point[name] for name in expected} == pytest.approx(expected)
        assert (point["expiry"], point["series"]) == (None, len(known))


async def test_pcr_trend_of_one_expiry(autojump_clock, world):
    chains = sent_chains(world, "SPY")
    expiry = max(chain.expiry for chain in chains)
    shown = await asked(world, PCR, product="SPY", expiry=date.fromisoformat(expiry))
    own = [chain for chain in chains if chain.expiry == expiry]
    assert [stamp(point["timestamp"]) for point in shown["pcr_trend"]] == [
        shown_at(one.ts_event) for one in own
    ]
    assert [point["pcr_oi"] for point in shown["pcr_trend"]] == pytest.approx(
        [put_call([one])["pcr_oi"] for one in own]
    )
    assert {point["expiry"] for point in shown["pcr_trend"]} == {expiry}
    assert shown["all"] == shown["expiries"][0] | {"root": None, "expiry": None}


@pytest.mark.parametrize("one_expiry", [False, True])
@pytest.mark.parametrize("limit", [1, 4])
async def test_a_trend_continues_by_its_cursor(autojump_clock, world, one_expiry, limit):
    chains = sent_chains(world, "NIFTY")
    given = {"product": "NIFTY", "limit": limit}
    if one_expiry:
        given["expiry"] = date.fromisoformat(chains[0].expiry)
    whole = await asked(world, PCR, **given | {"limit": 1000})
    await world.feed(1)  # what comes meanwhile is not of the range
    page = await asked(world, PCR, **given, at=stamp(whole["all"]["timestamp"]))
    points = page["pcr_trend"]
    for _ in range(20):
        if page["cursor"] is None:
            break
        assert 1 <= page["data_points"] <= limit
        page = await asked(world, PCR, **given, cursor=page["cursor"])
        points += page["pcr_trend"]
    assert points == whole["pcr_trend"]


async def test_a_trend_begins_with_what_was_known_before(autojump_clock, world):
    chains = sorted(sent_chains(world, "NIFTY"), key=lambda one: one.ts_event)
    span = (chains[-1].ts_event - chains[-2].ts_event) / 2 / 3600e9
    shown = await asked(world, PCR, product="NIFTY", hours=span)
    (point,) = shown["pcr_trend"]
    assert (await asked(world, PCR, product="NIFTY", hours=5e-324))["pcr_trend"] == [point]
    assert point["series"] == 2
    assert point["pcr_oi"] == pytest.approx(put_call(latest_of(chains))["pcr_oi"])


@pytest.mark.parametrize("cursor", ["x", "1.2.3", "0.ff.99999999999999999999", "-1.zz.4", "1.2.\u0663"])
async def test_a_cursor_that_is_none_is_the_clients_mistake(autojump_clock, world, cursor):
    for route in (PCR, MAX_PAIN):
        with pytest.raises(Problem) as raised:
            await world.call(route, product="NIFTY", expiry=date(2026, 11, 23), cursor=cursor)
        assert raised.value.code == "invalid_request"
    if cursor != "1.2.3":
        with pytest.raises(Problem) as raised:
            await world.call(PCR, product="NIFTY", cursor=cursor)
        assert raised.value.code == "invalid_request"


async def test_max_pain_is_where_writers_pay_least(autojump_clock, world):
    shown = await asked(world, MAX_PAIN, product="SPY")
    chains = latest_of(sent_chains(world, "SPY"))
    for one, chain in zip(shown["expiries"], chains, strict=True):
        least, (low, high) = plain_max_pain(chain)
        assert one["max_pain_value"] == pytest.approx(least)
        assert one["max_pain_interval"] == [low, high]
        assert one["max_pain_strike"] == min(max(chain.spot, low), high)
        assert one["distance_from_spot"] == pytest.approx(one["max_pain_strike"] - chain.spot)
        assert one["distance_pct"] == pytest.approx(100 * (one["max_pain_strike"] / chain.spot - 1))
        assert one["oi_coverage"] == 1.0
    weights = [sum(stated(chain["call_oi"])) + sum(stated(chain["put_oi"])) for chain in chains]
    weights = [weight * chain.multiplier * chain.spot for weight, chain in zip(weights, chains, strict=True)]
    mean = sum(w * one["max_pain_strike"] for w, one in zip(weights, shown["expiries"], strict=True)) / sum(
        weights
    )
    assert shown["weighted_mean"] == pytest.approx(mean)
    assert shown["history"] is None


async def test_max_pain_has_a_history(autojump_clock, world):
    chains = [one for one in sent_chains(world, "NIFTY") if one.expiry == "2026-12-01"]
    shown = await asked(world, MAX_PAIN, product="NIFTY", expiry=date(2026, 12, 1), hours=1.0, limit=2)
    history = shown["history"]
    points = list(history["points"])
    assert (history["expiry"], history["data_points"]) == ("2026-12-01", 2)
    more = await asked(world, MAX_PAIN, product="NIFTY", expiry=date(2026, 12, 1), cursor=history["cursor"])
    points += more["history"]["points"]
    assert more["history"]["cursor"] is None
    assert [stamp(point["timestamp"]) for point in points] == [shown_at(chain.ts_event) for chain in chains]
    assert [tuple(point["max_pain_interval"]) for point in points] == [
        plain_max_pain(one)[1] for one in chains
    ]
    assert [point["spot_price"] for point in points] == [chain.spot for chain in chains]


async def test_the_surface_is_of_out_of_the_money_quotes(autojump_clock, world):
    shown = await asked(world, SURFACE, product="NIFTY")
    chains = [held.message for held in world.live.chains("NIFTY")]
    for one, chain in zip(shown["expiries"], chains, strict=True):
        assert one["strikes"] == chain.strikes.tolist()
        assert one["forward"] == chain.forward
        assert (one["atm_iv"], one["avg_iv"], one["t"]) == (chain.atm_iv, chain.avg_iv, chain.t)
        side = ["put_iv" if k < chain.forward else "call_iv" for k in one["strikes"]]
        expected = [float(chain[name][i]) for i, name in enumerate(side)]
        assert one["ivs"] == [None if math.isnan(iv) else iv for iv in expected]
        assert one["log_moneyness"] == pytest.approx(
            [math.log(k / chain.forward) for k in one["strikes"]], abs=1e-15
        )
    assert stamp(shown["timestamp"]) == shown_at(max(chain.ts_event for chain in chains))


async def test_open_interest_by_strike_and_by_expiry(autojump_clock, world):
    shown = await asked(world, OI, product="NIFTY", expiry=date(2026, 12, 1), window=3, top=2)
    chain = world.live.chain("NIFTY", "2026-12-01").message
    strikes = chain.strikes.tolist()
    near = strikes.index(chain.atm_strike)
    assert [row["strike"] for row in shown["strikes"]] == strikes[near - 3 : near + 4]
    for row in shown["strikes"]:
        i = strikes.index(row["strike"])
        for side in ("call", "put"):
            now, before = float(chain[f"{side}_oi"][i]), float(chain[f"{side}_prev_oi"][i])
            assert row[f"{side}_open_interest"] == now
            assert row[f"{side}_oi_change"] == now - before
            assert row[f"{side}_oi_change_pct"] == pytest.approx(100 * (now - before) / before)
            moved = float(chain[f"{side}_last"][i]) - float(chain[f"{side}_prev_close"][i])
            assert row[f"{side}_price_change"] == moved
            assert row[f"{side}_buildup"] == buildup(chain, moved, now - before, before)
            assert row[f"{side}_oi_since"] is None
    (one,) = shown["expiries"]
    above = {k: oi for k, oi in zip(strikes, chain["call_oi"].tolist(), strict=True) if k >= chain.spot}
    below = {k: oi for k, oi in zip(strikes, chain["put_oi"].tolist(), strict=True) if k <= chain.spot}
    assert [level["strike"] for level in one["resistance"]] == sorted(above, key=lambda k: -above[k])[:2]
    assert [level["strike"] for level in one["support"]] == sorted(below, key=lambda k: -below[k])[:2]
    assert one["call_buildup_otm"] == sum(oi for k, oi in above.items() if k > chain.spot)
    assert len(shown["movers"]) == 2
    assert shown["since"] is None


def buildup(chain, moved, change, before):
    """The class by the table of the definitions, with the thresholds of the house."""
    least = (
        max(chain.lot if chain.oi_unit == "units" else 1.0, 0.005 * before) if chain.lot else 0.005 * before
    )
    up, down = moved > chain.tick_size, moved < -chain.tick_size
    more, less = change > least, change < -least
    classes = {
        "long_buildup": up and more,
        "short_buildup": down and more,
        "short_covering": up and less,
        "long_unwinding": down and less,
    }
    return next((name for name, holds in classes.items() if holds), "neutral")


async def test_change_since_an_instant_is_not_told_within_the_cadence(autojump_clock, world):
    for product, reason in (("SPY", "oi_cadence_daily"), ("NIFTY", "oi_cadence_3min")):
        first = latest_of(sent_chains(world, product))[0]
        before = min(chain.ts_event for chain in sent_chains(world, product) if chain.expiry == first.expiry)
        shown = await asked(world, OI, product=product, since=instant(before))
        assert shown["since"]["reasons"] == {"call_oi_since": reason, "put_oi_since": reason}
        assert shown["since"]["call_oi_since"] is None
        early = await asked(world, OI, product=product, since=instant(before - 10**9))
        assert early["since"]["reasons"]["call_oi_since"] == "no_chain_by_then"


def instant(ts):
    moment = datetime.fromtimestamp(ts // 10**9).astimezone()
    return instant_of(moment.replace(microsecond=ts % 10**9 // 1000).isoformat(timespec="microseconds"))


async def test_change_since_an_instant(autojump_clock, world):
    before = world.live.chain("NIFTY", "2026-11-23").message
    later = msgspec.structs.replace(
        sent_chains(world, "NIFTY")[-2],
        ts_event=before.ts_event + 200 * 10**9,
        columns=sent_chains(world, "NIFTY")[-2].columns.copy(),
    )
    assert later.expiry == "2026-11-23"
    later["call_oi"][:] = before["call_oi"] + 5.0
    await world.append(later)
    await world.settle()
    world.clock.advance(300)
    shown = await asked(world, OI, product="NIFTY", since=instant(before.ts_event))
    assert {row["call_oi_since"] for row in shown["strikes"]} == {5.0}
    assert shown["since"] == {
        "timestamp": shown["since"]["timestamp"],
        "call_oi_since": 5.0 * len(before.strikes),
        "put_oi_since": 0.0,
        "reasons": {},
    }
    assert stamp(shown["since"]["timestamp"]) == shown_at(before.ts_event)


async def test_greeks_over_open_interest(autojump_clock, world):
    shown = await asked(world, GREEKS, product="SPY", convention="inverse", profile=True)
    whole = {}
    for one, held in zip(shown["expiries"], world.live.chains("SPY"), strict=True):
        chain = held.message
        for side in ("call", "put"):
            weights = (chain[f"{side}_oi"] * chain.multiplier).tolist()
            for name in ("delta", "gamma", "vega", "theta"):
                greeks = chain[f"{side}_{name}"].tolist()
                expected = math.fsum(g * w for g, w in zip(greeks, weights, strict=True) if not math.isnan(g))
                assert one[f"{side}_{name}_oi"] == pytest.approx(expected)
                whole[f"{side}_{name}_oi"] = whole.get(f"{side}_{name}_oi", 0.0) + expected
            assert one[f"{side}_gex"] == pytest.approx(one[f"{side}_gamma_oi"] * chain.spot**2 / 100)
            assert one[f"{side}_dex"] == pytest.approx(one[f"{side}_delta_oi"] * chain.spot)
        for name in ("gex", "dex", "vex", "chex"):
            assert one[name] == pytest.approx(one[f"put_{name}"] - one[f"call_{name}"])
        assert one["coverage"] == 1.0
    assert {name: shown["all"][name] for name in whole} == pytest.approx(whole)
    assert shown["meta"]["definitions"]["gex"] == "gex.inverse.notional_1pct/1"
    profile = shown["profile"]
    assert sum(row["call_gex"] for row in profile) == pytest.approx(shown["all"]["call_gex"])
    assert shown["all"]["call_wall"] == max(profile, key=lambda row: row["call_gex"])["strike"]
    assert shown["all"]["put_wall"] == max(profile, key=lambda row: row["put_gex"])["strike"]
