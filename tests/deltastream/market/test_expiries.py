"""Listed expiries."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.market import calendar, expiry_instant, listed_expiries, product, products, root_expiries

D = dt.date
TUESDAY, WEDNESDAY, THURSDAY = 1, 2, 3

ALL_NSE = [
    ("nse_chain_NIFTY_20251014_1026IST_expiryday.json", D(2025, 10, 14)),
    ("nse_chain_NIFTY_20251014_1530IST_fetched1129UTC.json", D(2025, 10, 14)),
    ("nse_chain_NIFTY_20251014_1530IST_fetched1402UTC.json", D(2025, 10, 14)),
    ("nse_chain_NIFTY_20251205_1301IST.json", D(2025, 12, 5)),
    ("nse_chain_NIFTY_20251205_1530IST_close.json", D(2025, 12, 5)),
]


@pytest.mark.parametrize(("name", "on"), ALL_NSE)
def test_nifty_list_is_the_exchange_s_own(recorded, name, on):
    records = json.loads(recorded(name).read_text())["records"]
    theirs = {dt.datetime.strptime(text, "%d-%b-%Y").date() for text in records["expiryDates"]}
    ours = set(listed_expiries("NIFTY", on))
    # 31 March 2026 was made a holiday after these lists: the contract moved to the 30th.
    assert theirs ^ ours == {D(2026, 3, 30), D(2026, 3, 31)}
    for expiry in theirs - {D(2026, 3, 31)}:
        assert calendar("XNSE").is_trading_day(expiry)
        assert expiry_instant("NIFTY", expiry) == calendar("XNSE").session(expiry).close_ns


def test_nifty_list_of_august_2026(recorded):
    with recorded("nse_fo_bhavcopy_udiff_20260813_subset.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["TckrSymb"] == "NIFTY"]
    theirs = {D.fromisoformat(row["XpryDt"]) for row in rows if row["FinInstrmTp"] == "IDO"}
    assert theirs == set(listed_expiries("NIFTY", D(2026, 8, 13)))


@pytest.mark.parametrize("symbol", ["SPY", "IWM"])
def test_us_lists_of_august_2026(recorded, symbol):
    with gzip.open(recorded(f"us_chain_{symbol}_20260814.csv.gz"), "rt") as file:
        theirs = {D.fromisoformat(row["expiry"]) for row in csv.DictReader(file)}
    ours = root_expiries(symbol, D(2026, 8, 17))
    assert sorted(theirs) == [day for day in ours if day <= max(theirs)]


def test_a_holiday_moves_an_expiry_to_the_trading_day_before():
    assert D(2025, 10, 20) in listed_expiries("NIFTY", D(2025, 10, 14))
    assert D(2025, 10, 21) not in listed_expiries("NIFTY", D(2025, 10, 14))
    for symbol in ("NIFTY", "BANKNIFTY", "FINNIFTY"):
        assert listed_expiries(symbol, D(2026, 11, 20))[0] == D(2026, 11, 23)
    assert D(2029, 12, 24) in listed_expiries("NIFTY", D(2026, 11, 20))
    assert D(2026, 6, 18) in root_expiries("SPX", D(2026, 6, 1))
    assert D(2026, 6, 19) not in listed_expiries("SPX", D(2026, 6, 1))


def test_weekdays_change_on_their_dates():
    def weeklies(symbol, on):
        return {day.weekday() for day in listed_expiries(symbol, on)[:3]}

    assert weeklies("NIFTY", D(2025, 6, 2)) == {THURSDAY}
    assert weeklies("NIFTY", D(2025, 9, 1)) == {TUESDAY}
    assert weeklies("SENSEX", D(2025, 6, 2)) == {TUESDAY}
    assert weeklies("SENSEX", D(2025, 9, 1)) == {THURSDAY}


@pytest.mark.parametrize(
    ("symbol", "last"),
    [
        ("BANKNIFTY", D(2024, 11, 13)),
        ("FINNIFTY", D(2024, 11, 19)),
        ("MIDCPNIFTY", D(2024, 11, 18)),
        ("BANKEX", D(2024, 11, 18)),
    ],
)
def test_last_weeklies(symbol, last):
    monthly = {D(2024, 11, 25), D(2024, 11, 26), D(2024, 11, 27)}
    november = [day for day in listed_expiries(symbol, D(2024, 11, 11)) if day.month == 11]
    assert november[-2] == last
    assert november[-1] in monthly
    assert not [day for day in listed_expiries(symbol, last + dt.timedelta(days=1)) if day.month == 11][1:]


@pytest.mark.parametrize("symbol", ["BANKNIFTY", "FINNIFTY", "MIDCPNIFTY", "NIFTYNXT50", "BANKEX"])
def test_no_weeklies_today(symbol):
    expiries = listed_expiries(symbol, D(2026, 11, 20))
    assert len({(day.year, day.month) for day in expiries}) == len(expiries)


def test_counts():
    assert len(listed_expiries("NIFTY", D(2026, 11, 20))) == 4 + 3 + 3 + 8
    assert len(listed_expiries("BANKNIFTY", D(2026, 11, 20))) == 3 + 3
    assert len(listed_expiries("FINNIFTY", D(2026, 11, 20))) == 3


def test_index_options_of_both_settlements_on_third_fridays():
    september = D(2026, 9, 18)
    assert september in root_expiries("SPX", D(2026, 8, 17))
    assert september in root_expiries("SPXW", D(2026, 8, 17))
    assert expiry_instant("SPX", september) < expiry_instant("SPXW", september)


def test_stocks_expire_on_mondays_and_wednesdays_since_2026():
    january = listed_expiries("AAPL", D(2026, 1, 20))
    assert {day.weekday() for day in january[:4]} == {4}
    november = listed_expiries("AAPL", D(2026, 11, 9))
    assert november[:3] == [D(2026, 11, 9), D(2026, 11, 11), D(2026, 11, 13)]
    # Monday 7 September 2026 is Labor Day: no expiry then.
    assert D(2026, 9, 7) not in listed_expiries("AAPL", D(2026, 9, 1))
    assert D(2026, 9, 8) not in listed_expiries("AAPL", D(2026, 9, 1))


def test_deribit_days_weeks_months_and_quarters():
    near = [D(2026, 8, day) for day in (22, 23, 24, 25, 28)]
    later = [D(2026, 9, 4), D(2026, 9, 11), D(2026, 9, 25), D(2026, 10, 30), D(2026, 12, 25)]
    assert listed_expiries("BTC", D(2026, 8, 22)) == [*near, *later, D(2027, 3, 26), D(2027, 6, 25)]


def test_unknown_names():
    with pytest.raises(KeyError, match="MSFT"):
        listed_expiries("MSFT", D(2026, 8, 17))
    with pytest.raises(KeyError, match="MSFT"):
        root_expiries("MSFT", D(2026, 8, 17))


@given(
    st.sampled_from([one.symbol for one in products()]),
    st.dates(D(2024, 6, 3), D(2030, 12, 31)),
)
def test_listed_expiries_are_trading_days_ahead(symbol, on):
    expiries = listed_expiries(symbol, on)
    sessions = calendar(product(symbol).calendar)
    assert expiries == sorted(set(expiries))
    assert all(expiry >= on and sessions.is_trading_day(expiry) for expiry in expiries)
    assert len(expiries) >= 3 or symbol == "NIFTYFPI"
