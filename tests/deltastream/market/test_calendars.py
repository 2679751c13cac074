"""Sessions of the exchanges."""

from __future__ import annotations

import datetime as dt
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.market import calendar

IST, ET = ZoneInfo("Asia/Kolkata"), ZoneInfo("America/New_York")
DAYS = st.dates(dt.date(2017, 2, 1), dt.date(2031, 11, 30))
NAMES = st.sampled_from(["XNSE", "XBOM", "XNYS", "24x7"])


def ns(year, month, day, hour, minute, zone):
    return int(dt.datetime(year, month, day, hour, minute, tzinfo=zone).timestamp()) * 10**9


@pytest.mark.parametrize("name", ["XNSE", "XBOM"])
@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        (dt.date(2025, 12, 5), (9, 15), (15, 30)),
        (dt.date(2026, 7, 31), (9, 15), (15, 30)),
        (dt.date(2026, 8, 3), (9, 15), (15, 40)),
        (dt.date(2026, 11, 20), (9, 15), (15, 40)),
        (dt.date(2025, 10, 21), (13, 45), (14, 45)),  # Muhurat
        (dt.date(2023, 11, 12), (18, 15), (19, 15)),  # Muhurat on a Sunday
        (dt.date(2024, 1, 20), (9, 15), (15, 30)),  # Saturday
        (dt.date(2026, 2, 1), (9, 15), (15, 30)),  # budget Sunday
    ],
)
def test_indian_sessions(name, day, opens, closes):
    session = calendar(name).session(day)
    assert session.open_ns == ns(day.year, day.month, day.day, *opens, IST)
    assert session.close_ns == ns(day.year, day.month, day.day, *closes, IST)


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("XNSE", dt.date(2026, 1, 15)),  # declared late
        ("XNSE", dt.date(2024, 1, 22)),
        ("XNSE", dt.date(2026, 11, 24)),
        ("XNSE", dt.date(2026, 11, 21)),  # Saturday
        ("XNSE", dt.date(2029, 12, 25)),  # not announced yet, but certain
        ("XNYS", dt.date(2026, 6, 19)),
        ("XNYS", dt.date(2026, 11, 26)),
        ("XNYS", dt.date(2018, 12, 5)),  # day of mourning
        ("XNYS", dt.date(2025, 1, 9)),  # day of mourning
    ],
)
def test_closed_days(name, day):
    assert calendar(name).session(day) is None
    assert not calendar(name).is_trading_day(day)


def test_muhurat_is_a_session_but_no_trading_day():
    day = dt.date(2025, 10, 21)
    assert calendar("XNSE").session(day).note == "Muhurat"
    assert not calendar("XNSE").is_trading_day(day)
    assert calendar("XNSE").last_trading_day(day) == dt.date(2025, 10, 20)


def test_new_york_follows_summer_time_and_early_closes():
    new_york = calendar("XNYS")
    assert new_york.session(dt.date(2026, 8, 21)).close_ns == ns(2026, 8, 21, 20, 0, dt.UTC)
    assert new_york.session(dt.date(2026, 11, 20)).close_ns == ns(2026, 11, 20, 21, 0, dt.UTC)
    assert new_york.session(dt.date(2026, 11, 27)).close_ns == ns(2026, 11, 27, 13, 0, ET)
    assert new_york.session(dt.date(2026, 12, 24)).close_ns == ns(2026, 12, 24, 13, 0, ET)


def test_open_is_inclusive_and_close_exclusive():
    nse = calendar("XNSE")
    session = nse.session(dt.date(2026, 11, 20))
    assert nse.is_open(session.open_ns)
    assert not nse.is_open(session.open_ns - 1)
    assert nse.is_open(session.close_ns - 1)
    assert not nse.is_open(session.close_ns)


def test_next_open_over_a_long_weekend():
    nse = calendar("XNSE")
    friday_night = ns(2026, 10, 16, 20, 0, IST)
    assert nse.next_open(friday_night) == ns(2026, 10, 19, 9, 15, IST)
    after_monday = ns(2026, 10, 19, 15, 40, IST)
    assert nse.next_open(after_monday) == ns(2026, 10, 21, 9, 15, IST)  # Dussehra between
    inside = ns(2026, 10, 21, 10, 0, IST)
    assert nse.next_open(inside) == inside


def test_previous_session_counts_special_ones():
    assert calendar("XNSE").previous_session(dt.date(2026, 2, 2)) == dt.date(2026, 2, 1)
    assert calendar("XNSE").previous_session(dt.date(2025, 10, 23)) == dt.date(2025, 10, 21)
    assert calendar("XNYS").previous_session(dt.date(2026, 11, 27)) == dt.date(2026, 11, 25)


def test_around_the_clock_has_no_gap():
    always = calendar("24x7")
    session, following = (always.session(dt.date(2026, 12, day)) for day in (25, 26))
    assert session.close_ns - session.open_ns == 86_400 * 10**9
    assert session.close_ns == following.open_ns
    assert always.session(dt.date(2026, 11, 22)) is not None


def test_days_beyond_the_tables_follow_the_weekday():
    nse = calendar("XNSE")
    assert nse.confirmed_through == dt.date(2026, 12, 31)
    assert dt.date(2027, 12, 31) <= nse.covers_through
    assert nse.session(dt.date(2040, 1, 2)) is not None  # Monday
    assert nse.session(dt.date(2040, 1, 1)) is None  # Sunday
    assert calendar("XNYS").covers_from <= dt.date(2017, 1, 1)


def test_unknown_calendar():
    with pytest.raises(KeyError, match="XLON"):
        calendar("XLON")


@given(NAMES, DAYS)
def test_sessions_are_ordered_and_on_their_day(name, day):
    this = calendar(name)
    session = this.session(day)
    if session is None:
        following = this.next_open(this.midnight(day))
        assert this.date_of(following) > day
        assert this.is_open(following)
        assert this.next_open(following - 1) == following
    else:
        assert session.open_ns < session.close_ns
        assert this.date_of(session.open_ns) == day
        assert this.date_of(session.close_ns - 1) == day
    previous = this.session(this.previous_session(day))
    assert previous.day < day
    assert this.last_trading_day(day) <= day


def test_holidays_of_2026_are_the_exchange_s_own(recorded):
    rows = json.loads(recorded("nse_holiday_master_2026.json").read_text())["FO"]
    theirs = {dt.datetime.strptime(row["tradingDate"], "%d-%b-%Y").date() for row in rows}
    nse = calendar("XNSE")
    year = [dt.date(2026, 1, 1) + dt.timedelta(days=n) for n in range(365)]
    ours = {day for day in year if day.weekday() < 5 and not nse.is_trading_day(day)}
    assert ours == {day for day in theirs if day.weekday() < 5}
