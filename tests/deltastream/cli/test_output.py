"""Numbers, sizes and times as people read them."""

from __future__ import annotations

import pytest

from deltastream.cli._output import age, clean, exact, instant, iso, number, percent, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (2 << 30, "2.0 GiB"),
        (1 << 60, "1048576.0 TiB"),
    ],
)
def test_size(count: int, text: str):
    assert size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (-0.5, "0.0 s"),
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 m 0 s"),
        (3599, "59 m 59 s"),
        (3600, "1 h 0 m"),
        (90_000, "1 d 1 h"),
    ],
)
def test_age(seconds: float | None, text: str):
    assert age(seconds) == text


def test_numbers_and_instants():
    assert (number(None), number(1234.5), number(0.5, 3)) == ("-", "1,234.50", "0.500")
    assert iso(1_795_000_000_000_000_001) == "2026-11-18T11:06:40.000000001Z"
    assert iso(-1) == "1969-12-31T23:59:59.999999999Z"
    assert instant(1_795_000_000_123_456_789) == "2026-11-18 11:06:40.123Z"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (26183.25, "26183.25"),
        (0.1 + 0.2, "0.3"),
        (26197.0, "26197"),
        (123456789.05, "123456789.05"),
        (1234567890123.0, "1234567890123"),
        (0.0, "0"),
        (1e30, "1e+30"),
        (float("nan"), "nan"),
    ],
)
def test_exact(value: float, text: str):
    assert exact(value) == text


def test_percent():
    assert (percent(None), percent(0.12345)) == ("-", "12.35%")


def test_clean_text_has_no_control_characters():
    assert clean("a\x1b[31m\nb\u202eé").plain == "a�[31m�b�é"
