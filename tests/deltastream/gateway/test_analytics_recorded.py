"""Analytics of chains that exchanges published, against their totals and plain Python on the raw files."""

import csv
import json
import math
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

import pytest

from deltastream.feeds.recorded import read_file
from deltastream.gateway.routes.analytics import ROUTES

PCR, MAX_PAIN, STRADDLE, SURFACE, OI, GREEKS, _ = ROUTES
DATA = Path(__file__).parents[4] / "shared" / "data"
NSE = sorted(DATA.glob("nse_chain_*.json"))
SPX = DATA / "cboe_quotedata_SPX_20220712_1155EDT_intraday.csv"
pytestmark = pytest.mark.skipif(not NSE, reason="recorded data are not beside the repository")


async def asked(world, route, **given):
    return json.loads((await world.call(route, **given)).body)


async def feed(world, path):
    recorded = read_file(path, ts_recv=world.clock.now_ns())
    for chain in recorded.chains:
        await world.append(chain)
        await world.settle()
    return recorded


def pain(strikes, calls, puts, x):
    return sum(
        c * max(0.0, x - k) + p * max(0.0, k - x) for k, c, p in zip(strikes, calls, puts, strict=True)
    )


def least(rows):
    """Interval of least pain and the pain there, by trying every strike: O(n^2)."""
    strikes = sorted(rows)
    calls, puts = ([rows[k].get(side, 0.0) for k in strikes] for side in ("C", "P"))
    pains = {x: pain(strikes, calls, puts, x) for x in strikes}
    fewest = min(pains.values())
    where = [x for x, value in pains.items() if value == fewest]
    return [min(where), max(where)], fewest


@pytest.mark.parametrize("path", NSE, ids=lambda path: path.stem.removeprefix("nse_chain_"))
async def test_nse(autojump_clock, empty_world, path):
    world, raw = empty_world, json.loads(path.read_text())
    await feed(world, path)
    filtered = raw["filtered"]
    (nearest,) = {datetime.strptime(row["expiryDate"], "%d-%b-%Y").date() for row in filtered["data"]}
    shown = await asked(world, PCR, product="NIFTY", expiry=nearest)
    assert shown["all"]["total_call_oi"] == filtered["CE"]["totOI"]
    assert shown["all"]["total_put_oi"] == filtered["PE"]["totOI"]
    assert shown["all"]["total_call_volume"] == filtered["CE"]["totVol"]
    assert shown["all"]["total_put_volume"] == filtered["PE"]["totVol"]
    assert shown["all"]["pcr_oi"] == pytest.approx(
        filtered["PE"]["totOI"] / filtered["CE"]["totOI"], rel=1e-15
    )
    assert shown["pcr_trend"][-1]["pcr_oi"] == shown["all"]["pcr_oi"]

    rows = defaultdict(lambda: defaultdict(dict))
    sums = {"call_oi_change": 0.0, "put_oi_change": 0.0}
    for row in raw["records"]["data"]:
        expiry = datetime.strptime(row["expiryDate"], "%d-%b-%Y").date().isoformat()
        for leg, side, name in (("CE", "C", "call_oi_change"), ("PE", "P", "put_oi_change")):
            if leg in row:
                rows[expiry][row["strikePrice"]][side] = row[leg]["openInterest"]
                if expiry == nearest.isoformat():
                    sums[name] += row[leg]["changeinOpenInterest"]
    assert {name: shown["all"][name] for name in sums} == sums

    shown = await asked(world, MAX_PAIN, product="NIFTY")
    assert len(shown["expiries"]) > 10
    for one in shown["expiries"]:
        interval, fewest = least(rows[one["expiry"]])
        if not any(leg for sides in rows[one["expiry"]].values() for leg in sides.values()):
            assert one["reasons"]["max_pain_strike"] == "no_open_interest"
            continue
        assert one["max_pain_interval"] == interval
        assert one["max_pain_value"] == pytest.approx(fewest, rel=1e-12)
        spot = raw["records"]["underlyingValue"]
        assert one["distance_from_spot"] == pytest.approx(min(max(spot, interval[0]), interval[1]) - spot)

    shown = await asked(world, STRADDLE, product="NIFTY")
    flat = {
        (datetime.strptime(row["expiryDate"], "%d-%b-%Y").date().isoformat(), row["strikePrice"]): row
        for row in raw["records"]["data"]
    }
    quoted = 0
    for one in shown["expiries"]:
        row = flat[one["expiry"], one["atm_strike"]]
        sides = [row.get(leg, {}) for leg in ("CE", "PE")]
        ends = [side.get(name, 0) for side in sides for name in ("bidprice", "askPrice")]
        if all(ends):
            quoted += 1
            assert one["atm_straddle_price"] == pytest.approx(sum(ends) / 2, rel=1e-12)
        low, high = one["expected_move"] or (0, math.inf)
        assert low < one["forward"] < high
    assert quoted >= 3

    shown = await asked(world, OI, product="NIFTY", expiry=nearest, top=3)
    own, spot = rows[nearest.isoformat()], raw["records"]["underlyingValue"]
    calls = {k: sides.get("C", 0) for k, sides in own.items() if k >= spot}
    puts = {k: sides.get("P", 0) for k, sides in own.items() if k <= spot}
    (one,) = shown["expiries"]
    assert [level["strike"] for level in one["resistance"]] == sorted(calls, key=lambda k: (-calls[k], k))[:3]
    assert [level["strike"] for level in one["support"]] == sorted(puts, key=lambda k: (-puts[k], -k))[:3]
    assert one["resistance"][0]["strength"] == pytest.approx(max(calls.values()) / filtered["CE"]["totOI"])


async def test_cboe_with_two_roots(autojump_clock, empty_world):
    world = empty_world
    recorded = await feed(world, SPX)
    raw = defaultdict(lambda: defaultdict(dict))
    with SPX.open(newline="") as file:
        lines = list(csv.reader(file))
    head = next(at for at, line in enumerate(lines) if "Strike" in line)
    for line in lines[head + 1 :]:
        if len(line) < len(lines[head]):
            continue
        strike = float(line[lines[head].index("Strike")])
        for at, side in ((1, "C"), (lines[head].index("Puts") if "Puts" in lines[head] else 12, "P")):
            symbol = line[at]
            key = symbol[:-15], datetime.strptime(symbol[-15:-9], "%y%m%d").date().isoformat()
            raw[key][strike][side] = float(line[lines[head].index("Open Interest", at)])
    assert {(chain.root, chain.expiry) for chain in recorded.chains} == set(raw)

    pcr = await asked(world, PCR, product="SPX")
    total = {
        side: sum(sides.get(side, 0.0) for rows in raw.values() for sides in rows.values()) for side in "CP"
    }
    assert pcr["all"]["total_call_oi"] == total["C"]
    assert pcr["all"]["pcr_oi"] == pytest.approx(total["P"] / total["C"], rel=1e-15)
    shared = [date.fromisoformat(one["expiry"]) for one in pcr["expiries"] if one["root"] == "SPX"]
    for expiry in shared:
        one = (await asked(world, PCR, product="SPX", expiry=expiry))["expiries"][0]
        assert one["root"] == "SPX"
    weekly = await asked(world, MAX_PAIN, product="SPX", root="SPXW")
    assert {one["root"] for one in weekly["expiries"]} == {"SPXW"}
    for one in weekly["expiries"]:
        rows = raw[one["root"], one["expiry"]]
        if sum(leg for sides in rows.values() for leg in sides.values()):
            interval, fewest = least(rows)
            assert one["max_pain_interval"] == interval
            assert one["max_pain_value"] == pytest.approx(fewest)

    greeks = await asked(world, GREEKS, product="SPX", profile=True)
    assert greeks["all"]["coverage"] > 0.9
    gamma = 0.0
    for held in world.live.chains("SPX"):
        chain = held.message
        values = zip(chain["call_gamma"].tolist(), chain["call_oi"].tolist(), strict=True)
        gamma += math.fsum(
            g * oi * chain.multiplier for g, oi in values if not math.isnan(g) and not math.isnan(oi)
        )
    assert greeks["all"]["call_gamma_oi"] == pytest.approx(gamma, rel=1e-12)
    assert greeks["all"]["call_gex"] == pytest.approx(
        gamma * greeks["all"]["spot_price"] ** 2 / 100, rel=1e-9
    )
    surface = await asked(world, SURFACE, product="SPX")
    assert sum(len(one["strikes"]) for one in surface["expiries"]) > 3000
