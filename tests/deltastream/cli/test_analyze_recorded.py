"""Every recorded chain against a calculation of its own: plain Python on the raw file.

Nothing of DeltaStream is used to get the expected numbers but the expiry instants and the rate, both of
which the output states and `test_expiry_instants` checks.
"""

import csv
import json
import math
from collections import defaultdict
from datetime import date, datetime, time
from pathlib import Path
from statistics import NormalDist, median
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from deltastream.cli import cli

DATA = Path(__file__).parents[4] / "shared" / "data"
FILES = sorted(
    path.name
    for pattern in ("nse_chain_*.json", "cboe_quotedata_*.csv", "cboe_delayed_*.json")
    for path in DATA.glob(pattern)
)
EASTERN, INDIA = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
TAKEN = {
    "cboe_quotedata_SPX_20220712_1155EDT_intraday.csv": datetime(2022, 7, 12, 11, 55, tzinfo=EASTERN),
    "cboe_quotedata_AMD_20230820_weekend.csv": datetime(2023, 8, 20, 22, 35, tzinfo=EASTERN),
    "cboe_quotedata_TSLA_20230820_weekend.csv": datetime(2023, 8, 20, 22, 38, tzinfo=EASTERN),
    "cboe_quotedata_XSP_20230914_1630EDT.csv": datetime(2023, 9, 14, 16, 30, tzinfo=EASTERN),
    "cboe_quotedata_NVDA_20250106_afterclose.csv": datetime(2025, 1, 6, 21, 30, tzinfo=EASTERN),
    "cboe_quotedata_SPX_20250903_ptBR_header.csv": datetime(2025, 9, 3, 16, 18, tzinfo=EASTERN),
    "cboe_quotedata_SPY_20250925_afterclose.csv": datetime(2025, 9, 25, 21, 5, tzinfo=EASTERN),
    "nse_chain_NIFTY_20251014_1026IST_expiryday.json": datetime(2025, 10, 14, 10, 26, 17, tzinfo=INDIA),
    "nse_chain_NIFTY_20251014_1530IST_fetched1129UTC.json": datetime(2025, 10, 14, 15, 30, tzinfo=INDIA),
    "nse_chain_NIFTY_20251014_1530IST_fetched1402UTC.json": datetime(2025, 10, 14, 15, 30, tzinfo=INDIA),
    "nse_chain_NIFTY_20251205_1301IST.json": datetime(2025, 12, 5, 13, 1, 51, tzinfo=INDIA),
    "nse_chain_NIFTY_20251205_1530IST_close.json": datetime(2025, 12, 5, 15, 30, tzinfo=INDIA),
}
pytestmark = pytest.mark.skipif(not FILES, reason="recorded data are not beside the repository")
recorded = pytest.mark.parametrize("name", FILES)
cdf = NormalDist().cdf


class Side:
    """One option as the raw file has it; 0 means absent in every format here."""

    def __init__(self, bid=0.0, ask=0.0, last=0.0, volume=0.0, oi=0.0):
        self.bid, self.ask, self.last, self.volume, self.oi = bid, ask, last, volume, oi

    @property
    def mid(self):
        return (self.bid + self.ask) / 2 if 0 < self.bid <= self.ask else None


def read_nse(path):
    document = json.loads(path.read_text())
    chains = defaultdict(dict)
    for row in document["records"]["data"]:
        expiry = datetime.strptime(row["expiryDate"], "%d-%b-%Y").date()
        chains["NIFTY", expiry.isoformat()][row["strikePrice"]] = [
            Side(
                leg["bidprice"],
                leg["askPrice"],
                leg["lastPrice"],
                leg["totalTradedVolume"],
                leg["openInterest"],
            )
            if (leg := row.get(side))
            else None
            for side in ("CE", "PE")
        ]
    return document["records"]["underlyingValue"], chains


def key_of(symbol):
    day = datetime.strptime(symbol[-15:-9], "%y%m%d").date()
    return (symbol[:-15], day.isoformat()), int(symbol[-8:]) / 1000


def table(path):
    return list(csv.reader(path.read_text(encoding="utf-8").splitlines()))


def read_table(path):
    chains = defaultdict(dict)
    rows = table(path)
    for row in rows:
        if len(row) == 22 and row[1][-8:].isdigit():
            key, strike = key_of(row[1])
            sides = [[float(x or 0) for x in row[at : at + 9]] for at in (2, 13)]
            chains[key][strike] = [Side(s[2], s[3], s[0], s[4], s[8]) for s in sides]
    spot = next(float(cell.removeprefix("Last:")) for row in rows for cell in row if cell.startswith("Last:"))
    return spot, chains


def read_delayed(path):
    document = json.loads(path.read_text())
    chains = defaultdict(lambda: defaultdict(lambda: [None, None]))
    for option in document["options"]:
        key, strike = key_of(option["option"])
        side = Side(0, 0, 0, option["volume"], option["open_interest"])
        chains[key][strike][option["option"][-9] == "P"] = side
    return document["current_price"], chains


def load(name):
    reader = read_nse if name.startswith("nse") else read_table if name.endswith("csv") else read_delayed
    return reader(DATA / name)


def analyse(name, *options):
    result = CliRunner().invoke(cli, ["analyze", "--json", *options, str(DATA / name)])
    assert result.exit_code == 0
    return {(row["root"], row["expiry"]): row for row in map(json.loads, result.stdout.splitlines())}


@pytest.fixture(scope="module")
def both():
    """What we say and what the raw file says, read once per file."""
    cache = {}

    def get(name):
        if name not in cache:
            cache[name] = (analyse(name), *load(name))
        return cache[name]

    return get


@recorded
def test_totals_and_ratios(both, name):
    ours, spot, chains = both(name)
    assert set(ours) == set(chains)
    for key, row in ours.items():
        legs = list(zip(*chains[key].values(), strict=True))
        for side, options in zip(("call", "put"), legs, strict=True):
            there = [option for option in options if option is not None]
            oi, volume = row[f"total_{side}_oi"], row[f"total_{side}_volume"]
            assert (oi or 0) == pytest.approx(math.fsum(option.oi for option in there), rel=1e-12)
            assert (volume or 0) == pytest.approx(math.fsum(option.volume for option in there), rel=1e-12)
            assert (oi is None) == (not there)
        for what in ("oi", "volume"):
            put, call = row[f"total_put_{what}"], row[f"total_call_{what}"]
            assert row[f"pcr_{what}"] == (put / call if put is not None and call else None)
        assert row["strikes"] == len(chains[key])
        assert row["rows_dropped"] == []
        assert row["spot_price"] == spot
        for field in ("pcr_oi", "pcr_volume", "max_pain_strike", "forward", "atm_iv", "atm_straddle_price"):
            assert (row[field] is None) == (field in row["reasons"])


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("nse")])
def test_the_exchanges_own_totals(both, name):
    filtered = json.loads((DATA / name).read_text())["filtered"]
    nearest = min(both(name)[0].values(), key=lambda row: row["expiry"])
    assert nearest["total_call_oi"] == filtered["CE"]["totOI"]
    assert nearest["total_put_oi"] == filtered["PE"]["totOI"]
    assert nearest["total_call_volume"] == filtered["CE"]["totVol"]
    assert nearest["total_put_volume"] == filtered["PE"]["totVol"]


@recorded
def test_max_pain_by_brute_force(both, name):
    ours, spot, chains = both(name)
    for key, row in ours.items():
        options = [
            (k, call.oi if call else 0, put.oi if put else 0) for k, (call, put) in chains[key].items()
        ]
        if not any(call or put for _, call, put in options):
            assert row["max_pain_interval"] is None
            continue
        pain = {
            x: sum(c * max(0, x - k) + p * max(0, k - x) for k, c, p in options) for x in sorted(chains[key])
        }
        least = min(pain.values())
        flat = [x for x, value in pain.items() if value <= least * (1 + 1e-12)]
        assert row["max_pain_interval"] == [flat[0], flat[-1]]
        assert row["max_pain_strike"] == min(max(spot, flat[0]), flat[-1])


@recorded
def test_times(both, name):
    for row in both(name)[0].values():
        if name not in TAKEN:
            assert row["timestamp"] is None
            assert "timestamp_unknown" in row["flags"]
            continue
        taken = datetime.fromisoformat(row["timestamp"])
        expires = datetime.fromisoformat(row["expiry_time"])
        assert taken == TAKEN[name]
        if expires <= taken:
            assert "expired" in row["flags"]
            assert row["t"] is None
        else:
            assert row["t"] == pytest.approx((expires - taken).total_seconds() / (365 * 86400), rel=1e-12)


@recorded
def test_expiry_instants(both, name):
    """Afternoons at the close, but the SPX root in the morning; no early close is in these files but one."""
    for (root, expiry), row in both(name)[0].items():
        day = date.fromisoformat(expiry)
        early = day in {date(2025, 11, 28)}  # the day after Thanksgiving
        hour = time(9, 30) if root == "SPX" else time(13) if early else time(16)
        zone = EASTERN
        if name.startswith("nse"):
            hour, zone = (time(15, 40) if day >= date(2026, 8, 3) else time(15, 30)), INDIA
        assert datetime.fromisoformat(row["expiry_time"]) == datetime.combine(day, hour, zone)


@recorded
def test_forward_strike_and_straddle(both, name):
    ours, spot, chains = both(name)
    for key, row in ours.items():
        chain = chains[key]
        near = sorted(chain, key=lambda k: (abs(k - spot), k))
        mids = {
            k: (call.mid, put.mid)
            for k in near
            if (call := chain[k][0]) and (put := chain[k][1]) and call.mid and put.mid
        }
        if row["t"] is None:
            assert row["forward"] is None
            reference = spot
        elif mids:
            growth = math.exp(row["rate"] * row["t"])
            votes = [k + growth * (mids[k][0] - mids[k][1]) for k in list(mids)[:7]]
            assert row["forward"] == pytest.approx(median(votes), rel=1e-12)
            assert row["forward_source"] == "parity"
            reference = row["forward"]
        else:
            assert "forward_from_spot" in row["flags"] or row["forward"] is None
            reference = row["forward"] or spot
        atm = min(chain, key=lambda k: (abs(k - reference), k))
        assert row["atm_strike"] == atm
        prices = [side and (side.mid or side.last or None) for side in chain[atm]]
        if None in prices:
            assert row["atm_straddle_price"] is None
        else:
            assert row["atm_straddle_price"] == pytest.approx(sum(prices), rel=1e-12)
            from_last = any(side.mid is None for side in chain[atm])
            assert from_last == ("straddle_from_last" in row["flags"])


def black(forward, strike, t, sigma, rate, call):
    deviation = sigma * math.sqrt(t)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    d2 = d1 - deviation
    sign = 1 if call else -1
    return sign * math.exp(-rate * t) * (forward * cdf(sign * d1) - strike * cdf(sign * d2))


def implied(price, forward, strike, t, rate, call):
    low, high = 1e-4, 10.0
    if not black(forward, strike, t, low, rate, call) < price < black(forward, strike, t, high, rate, call):
        return None
    for _ in range(100):
        middle = (low + high) / 2
        if black(forward, strike, t, middle, rate, call) < price:
            low = middle
        else:
            high = middle
    return low


@recorded
def test_volatility_at_the_money_by_bisection(both, name):
    """The two strikes around the forward, out-of-the-money quotes, linear in total variance."""
    ours, _, chains = both(name)
    checked = 0
    for key, row in ours.items():
        if row["forward_source"] != "parity" or row["atm_iv"] is None:
            continue
        forward, t, rate, chain = row["forward"], row["t"], row["rate"], chains[key]
        below = max((k for k in chain if k < forward), default=None)
        above = min((k for k in chain if k >= forward), default=None)
        points = []
        for k, call in ((below, False), (above, True)):
            side = chain[k][0 if call else 1] if k is not None else None
            sigma = implied(side.mid, forward, k, t, rate, call) if side and side.mid else None
            points.append((math.log(k / forward), sigma) if sigma else None)
        if None in points:
            continue
        (x0, s0), (x1, s1) = points
        expected = math.sqrt(s0**2 + (s1**2 - s0**2) * (0 - x0) / (x1 - x0))
        assert row["atm_iv"] == pytest.approx(expected, rel=1e-6), key
        checked += 1
    if name in TAKEN:
        assert checked >= min(10, len(ours) // 2)
    else:
        assert checked == 0


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith("intraday.csv")])
def test_volatility_is_near_the_vendors(both, name):
    """Cboe's own volatility at the money; only where capture and quotes are of the same session."""
    vendor = {}
    for row in table(DATA / name):
        if len(row) == 22 and row[1][-8:].isdigit():
            vendor[key_of(row[1])] = (float(row[7]) + float(row[18])) / 2
    for key, row in both(name)[0].items():
        if 7 / 365 < row["t"] < 1 and row["atm_iv"] is not None:
            assert row["atm_iv"] == pytest.approx(vendor[key, row["atm_strike"]], abs=0.01)


@recorded
def test_late_and_expired_chains_keep_what_needs_no_time(both, name):
    now = both(name)[0]
    later = analyse(name, "--as-of", "2040-01-01T00:00:00Z")
    for key, row in later.items():
        assert "expired" in row["flags"]
        assert (row["forward"], row["atm_iv"], row["t"]) == (None, None, None)
        for field in ("total_call_oi", "total_put_oi", "pcr_oi", "pcr_volume", "max_pain_interval"):
            assert row[field] == now[key][field]
