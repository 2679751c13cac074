"""Terms, lots, steps and expiry instants."""

from __future__ import annotations

import csv
import datetime as dt
import json
import math
from zoneinfo import ZoneInfo

import pytest

from deltastream.market import calendar, expiry_instant, product, products, strike_step, terms

D = dt.date
IST, ET = ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")


def ns(day, hour, minute, zone):
    return int(dt.datetime.combine(day, dt.time(hour, minute), zone).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("root", "expiry", "on", "lot"),
    [
        # On 5 December 2025 lots of 75 and 65 traded side by side.
        ("NIFTY", D(2025, 12, 30), D(2025, 12, 5), 75),
        ("NIFTY", D(2026, 1, 6), D(2025, 12, 5), 65),
        ("NIFTY", D(2026, 1, 27), D(2025, 12, 5), 65),
        ("NIFTY", D(2026, 2, 24), D(2025, 12, 5), 65),
        ("NIFTY", D(2026, 3, 31), D(2025, 12, 5), 75),
        ("NIFTY", D(2029, 12, 24), D(2025, 12, 30), 75),
        ("NIFTY", D(2029, 12, 24), D(2025, 12, 31), 65),
        ("NIFTY", D(2026, 11, 23), None, 65),
        ("NIFTY", D(2024, 11, 28), None, 25),
        ("NIFTY", D(2025, 1, 2), None, 75),
        ("NIFTY", D(2025, 1, 30), None, 25),
        ("NIFTY", D(2024, 5, 2), D(2024, 4, 25), 50),
        ("NIFTY", D(2024, 5, 2), D(2024, 4, 26), 25),
        ("BANKNIFTY", D(2026, 11, 23), None, 30),
        ("BANKNIFTY", D(2025, 12, 30), None, 35),
        ("BANKNIFTY", D(2024, 11, 13), None, 15),
        ("FINNIFTY", D(2026, 11, 23), None, 60),
        ("FINNIFTY", D(2025, 12, 30), None, 65),
        ("FINNIFTY", D(2024, 7, 23), None, 40),
        ("MIDCPNIFTY", D(2026, 11, 23), None, 120),
        ("MIDCPNIFTY", D(2025, 12, 30), None, 140),
        ("NIFTYNXT50", D(2026, 11, 23), None, 25),
        ("NIFTYFPI", D(2026, 8, 25), None, 1100),
        ("SENSEX", D(2026, 11, 26), None, 20),
        ("SENSEX", D(2024, 11, 29), None, 10),
        ("BANKEX", D(2026, 11, 26), None, 30),
        ("SPY", D(2026, 11, 20), None, 100),
        ("SPX", D(2026, 11, 20), None, 100),
        ("BTC", D(2026, 11, 27), None, 1),
    ],
)
def test_lots(root, expiry, on, lot):
    found = terms(root, expiry, on=on)
    assert found.multiplier == lot
    assert not found.assumed


def test_lot_from_before_the_tables_is_assumed():
    assert terms("BANKNIFTY", D(2020, 3, 26)).assumed


@pytest.mark.parametrize(
    ("root", "currency", "exercise", "settlement", "tick", "cadence", "name"),
    [
        ("NIFTY", "INR", "european", "cash", 0.05, "3min", "XNSE"),
        ("SENSEX", "INR", "european", "cash", 0.05, "3min", "XBOM"),
        ("SPX", "USD", "european", "cash", 0.05, "daily", "XNYS"),
        ("SPXW", "USD", "european", "cash", 0.05, "daily", "XNYS"),
        ("SPY", "USD", "american", "physical", 0.01, "daily", "XNYS"),
        ("TSLA", "USD", "american", "physical", 0.01, "daily", "XNYS"),
        ("BTC", "BTC", "european", "cash", 0.0001, "live", "24x7"),
    ],
)
def test_terms(root, currency, exercise, settlement, tick, cadence, name):
    found = terms(root, D(2026, 12, 18))
    assert (found.currency, found.exercise, found.settlement) == (currency, exercise, settlement)
    assert (found.tick_size, found.oi_cadence, found.calendar) == (tick, cadence, name)
    assert found.tz == calendar(name).tz
    assert found.tick_steps[0] == (0.0, tick)


def test_an_unknown_root_is_a_stock_and_says_so():
    found = terms("MSFT", D(2026, 12, 18))
    assert found.assumed
    assert (found.product, found.exercise, found.settlement) == ("MSFT", "american", "physical")
    assert found.multiplier == 100
    indian = terms("RELIANCE", D(2026, 11, 23), exchange="NSE")
    assert indian.assumed
    assert (indian.currency, indian.settlement) == ("INR", "physical")
    assert math.isnan(indian.multiplier)
    with pytest.raises(KeyError, match="LSE"):
        terms("VOD", D(2026, 12, 18), exchange="LSE")


def test_a_known_name_on_another_exchange_is_another_root():
    assert terms("NIFTY", D(2026, 12, 18), exchange="OPRA").assumed


@pytest.mark.parametrize(
    ("root", "expiry", "instant"),
    [
        ("NIFTY", D(2025, 12, 9), ns(D(2025, 12, 9), 15, 30, IST)),
        ("NIFTY", D(2026, 7, 28), ns(D(2026, 7, 28), 15, 30, IST)),
        ("NIFTY", D(2026, 8, 4), ns(D(2026, 8, 4), 15, 40, IST)),
        ("SENSEX", D(2026, 11, 26), ns(D(2026, 11, 26), 15, 40, IST)),
        ("SPX", D(2026, 9, 18), ns(D(2026, 9, 18), 13, 30, dt.UTC)),
        ("SPX", D(2026, 11, 20), ns(D(2026, 11, 20), 14, 30, dt.UTC)),
        ("SPXW", D(2026, 9, 18), ns(D(2026, 9, 18), 20, 0, dt.UTC)),
        ("SPY", D(2026, 11, 20), ns(D(2026, 11, 20), 21, 0, dt.UTC)),
        ("SPY", D(2026, 11, 27), ns(D(2026, 11, 27), 13, 0, ET)),
        ("MSFT", D(2026, 8, 21), ns(D(2026, 8, 21), 16, 0, ET)),
        ("BTC", D(2024, 12, 27), 1735286400000 * 10**6),
        # A holiday declared after listing, and a Saturday: the regular hours of that date.
        ("NIFTY", D(2026, 3, 31), ns(D(2026, 3, 31), 15, 30, IST)),
        ("SPY", D(2014, 12, 20), ns(D(2014, 12, 20), 16, 0, ET)),
        # An hour of Muhurat trading ends no contract.
        ("NIFTY", D(2025, 10, 21), ns(D(2025, 10, 21), 15, 30, IST)),
    ],
)
def test_expiry_instants(root, expiry, instant):
    assert expiry_instant(root, expiry) == instant


@pytest.mark.parametrize(
    ("root", "expiry", "on", "step"),
    [
        ("NIFTY", D(2026, 11, 23), D(2026, 11, 20), 50),
        ("NIFTY", D(2029, 12, 24), D(2025, 12, 5), 1000),
        ("NIFTY", D(2029, 12, 24), D(2026, 1, 5), 1500),
        ("BANKNIFTY", D(2026, 11, 23), D(2026, 11, 20), 100),
        ("FINNIFTY", D(2026, 11, 23), None, 50),
        ("MIDCPNIFTY", D(2026, 11, 23), None, 25),
        ("SENSEX", D(2026, 11, 26), None, 100),
        ("SENSEX", D(2027, 9, 30), D(2026, 11, 20), 1000),
        ("SPY", D(2026, 11, 20), None, 1),
        ("AAPL", D(2026, 11, 20), None, 2.5),
    ],
)
def test_strike_steps(root, expiry, on, step):
    assert strike_step(root, expiry, on=on) == step


def test_the_strike_step_of_an_unknown_root_is_not_guessed():
    with pytest.raises(KeyError, match="MSFT"):
        strike_step("MSFT", D(2026, 11, 20))


def test_products():
    symbols = [one.symbol for one in products()]
    assert {"NIFTY", "BANKNIFTY", "FINNIFTY", "SENSEX", "AAPL", "TSLA", "SPY", "QQQ", "SPX"} <= set(symbols)
    assert product("SPX").roots == ("SPX", "SPXW")
    assert product("SENSEX").calendar == "XBOM"
    assert (product("BTC").currency, product("BTC").tz) == ("USD", "UTC")
    with pytest.raises(KeyError, match="NOPE"):
        product("NOPE")
    for one in products():
        for root in one.roots:
            assert terms(root, D(2026, 12, 31)).product == one.symbol


def test_lots_of_a_recorded_bhavcopy(recorded):
    with recorded("nse_fo_bhavcopy_udiff_20260813_subset.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["TckrSymb"] == "NIFTY"]
    expiries = {D.fromisoformat(row["XpryDt"]): float(row["NewBrdLotQty"]) for row in rows}
    assert len(expiries) > 10
    for expiry, lot in expiries.items():
        assert terms("NIFTY", expiry, on=D(2026, 8, 13)).multiplier == lot
        assert calendar("XNSE").is_trading_day(expiry)


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("nse_chain_NIFTY_20251014_1026IST_expiryday.json", D(2025, 10, 14)),
        ("nse_chain_NIFTY_20251205_1301IST.json", D(2025, 12, 5)),
        ("nse_chain_NIFTY_20251205_1530IST_close.json", D(2025, 12, 5)),
    ],
)
def test_quantities_of_recorded_chains_are_multiples_of_the_lot(recorded, name, on):
    checked = 0
    for row in json.loads(recorded(name).read_text())["records"]["data"]:
        expiry = dt.datetime.strptime(row["expiryDate"], "%d-%b-%Y").date()
        lot = terms("NIFTY", expiry, on=on).multiplier
        for side in ("CE", "PE"):
            for field in ("bidQty", "askQty"):
                quantity = row.get(side, {}).get(field, 0)
                assert quantity % lot == 0, (expiry, side, field, quantity)
                checked += quantity > 0
    assert checked > 1000
