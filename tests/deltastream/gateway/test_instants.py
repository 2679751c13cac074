"""Moments in requests: RFC 3339 with an offset, to the nanosecond."""

from __future__ import annotations

import datetime
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.gateway.instants import EARLIEST, LATEST, Instant, instant_of

UTC = datetime.UTC
offsets = st.integers(-1439, 1439).map(lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes)))
moments = st.datetimes(
    datetime.datetime(1901, 1, 1), datetime.datetime(2199, 1, 1), timezones=offsets, allow_imaginary=False
)


@given(moment=moments)
def test_agrees_with_datetime(moment):
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=UTC)
    microseconds = since // datetime.timedelta(microseconds=1)
    assert instant_of(moment.isoformat()) == 1000 * microseconds


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t05:30:00+05:30", 0),
        ("1970-01-01T00:00:00.000000001z", 1),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1970-01-01T00:00:00.1Z", 100_000_000),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1969-12-31T19:00:00-05:00", 0),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
        ("2017-01-01T05:29:60+05:30", 1_483_228_800_000_000_000),
        ("0000-02-29T00:00:00Z", EARLIEST),
        ("0001-01-01T00:00:00+23:59", EARLIEST),
        ("9999-12-31T23:59:59-23:59", LATEST),
    ],
)
def test_moments(text, nanoseconds):
    instant = instant_of(text)
    assert instant == nanoseconds
    assert type(instant) is Instant


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("2026-11-24T09:15:00", "has no offset from UTC: end it with Z or with one such as +05:30"),
        ("2026-11-24T09:15:00.123", "has no offset from UTC: end it with Z or with one such as +05:30"),
        ("2026-02-29T09:15:00Z", "names a day that no calendar has"),
        ("0001-02-29T09:15:00Z", "names a day that no calendar has"),
        ("2026-13-01T09:15:00Z", "names a day that no calendar has"),
        ("2026-11-24T24:00:00Z", "names a time that no clock shows"),
        ("2026-11-24T09:60:00Z", "names a time that no clock shows"),
        ("2026-11-24T09:15:60Z", "names a time that no clock shows"),
        ("2026-11-24T23:59:60+05:30", "names a time that no clock shows"),
        ("2026-11-24T23:59:61Z", "names a time that no clock shows"),
        ("2026-11-24T09:15:00+24:00", "names a time that no clock shows"),
        ("2026-11-24T09:15:00+05:60", "names a time that no clock shows"),
        ("2026-11-24", "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30"),
        ("2026-11-24T09:15Z", "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30"),
        ("1795491900", "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30"),
        (
            "２026-11-24T09:15:00Z",
            "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30",
        ),
        ("", "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30"),
        (
            "2026-11-24T09:15:00Z\n",
            "must be a date and time with an offset, such as 2026-11-24T09:15:00+05:30",
        ),
    ],
)
def test_what_is_no_moment(text, sentence):
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        instant_of(text)
