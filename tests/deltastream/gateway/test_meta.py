"""Times as answers tell them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.instants import EARLIEST, LATEST
from deltastream.gateway.meta import iso, zone_of

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
ZONES = [
    ZoneInfo(name)
    for name in ("UTC", "Asia/Kolkata", "America/New_York", "Europe/Amsterdam", "Africa/Monrovia")
]


@given(st.integers(EARLIEST, LATEST), st.sampled_from(ZONES))
def test_a_time_is_what_the_calendar_says(ts, zone):
    moment = (EPOCH + dt.timedelta(microseconds=ts // 1000)).astimezone(zone)
    assert iso(ts, zone) == moment.isoformat(timespec="microseconds")


@pytest.mark.parametrize("hour", [5, 6])
def test_an_hour_that_comes_twice_is_told_apart(hour):
    """On 1 November 2026 New York's clocks go back from two to one."""
    moment = dt.datetime(2026, 11, 1, hour, 30, tzinfo=dt.UTC)
    text = iso(int(moment.timestamp()) * 10**9, zone_of("SPY"))
    assert text == f"2026-11-01T01:30:00.000000-0{hour - 1}:00"


def test_zones_of_products():
    assert zone_of("NIFTY").key == "Asia/Kolkata"
    assert zone_of("SPY").key == "America/New_York"
    assert zone_of("no such product").key == "UTC"
