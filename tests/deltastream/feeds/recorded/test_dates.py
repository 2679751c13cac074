"""The date line of a quote table, in many languages and after many accidents."""

from datetime import UTC, datetime

import pytest

from deltastream.feeds.recorded._dates import read_date_line

SEPTEMBER_3 = datetime(2025, 9, 3, 20, 18, tzinfo=UTC)


def instant(text):
    ts = read_date_line(text)
    return None if ts is None else datetime.fromtimestamp(ts / 1e9, UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Date: July 12, 2022, 11:55 AM EDT", datetime(2022, 7, 12, 15, 55, tzinfo=UTC)),
        ("Date: January 6, 2025 at 9:30 PM EST", datetime(2025, 1, 7, 2, 30, tzinfo=UTC)),
        ("July 12, 2022, 12:05 AM EDT", datetime(2022, 7, 12, 4, 5, tzinfo=UTC)),
        ("July 12, 2022, 12:05 PM EDT", datetime(2022, 7, 12, 16, 5, tzinfo=UTC)),
        ("Jul 12, 2022 11:55:30", datetime(2022, 7, 12, 15, 55, 30, tzinfo=UTC)),
        ("January 6, 2025 at 9:30 PM", datetime(2025, 1, 7, 2, 30, tzinfo=UTC)),
        ("Sept. 3, 2025, 4:18 p.m. ET", SEPTEMBER_3),
        ("3 Sep 2025 21:18 GMT+1", SEPTEMBER_3),
        ("3 September 2025 at 20:18 UTC", SEPTEMBER_3),
        ("4 September 2025 at 01:48 GMT+5:30", SEPTEMBER_3),
        ("2025-09-03 16:18", SEPTEMBER_3),
        ("03.09.2025, 16:18", SEPTEMBER_3),
        ("9/23/2025, 4:18 PM EDT", datetime(2025, 9, 23, 20, 18, tzinfo=UTC)),
    ],
)
def test_english_and_numeric(text, expected):
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "3 de setembro de 2025 às 16:18 GMT-4",
        "3 de septiembre de 2025, 4:18 p. m. GMT-4",
        "3 septembre 2025 à 16:18 UTC−4",
        "3 sept. 2025 à 16 h 18",
        "3. September 2025 um 16:18 GMT-4",
        "3 settembre 2025 alle ore 16:18 GMT-4",
        "3 september 2025 om 16:18 GMT-4",
        "3. september 2025 kl. 16.18 GMT-4",
        "3. syyskuuta 2025 klo 16.18 UTC-4",
        "3 września 2025 16:18 GMT-4",
        "3. září 2025 v 16:18 GMT-4",
        "2025. szeptember 3. 16:18 GMT-4",
        "3 Eylül 2025 16:18 GMT-4",
        "3 сентября 2025 г. в 16:18 GMT-4",
        "3 вересня 2025 р. о 16:18 GMT-4",
        "3 Σεπτεμβρίου 2025 στις 4:18 μ.μ. GMT-4",
        "3 בספטמבר 2025 בשעה 16:18 GMT-4",
        "٣ سبتمبر ٢٠٢٥ في ٤:١٨ م GMT-4",
        "3 सितंबर 2025 को 4:18 pm GMT-4 बजे",
        "2025年9月3日 GMT-4 16:18",
        "2025年9月3日 下午4:18 [EDT]",
        "2025年9月3日 16:18 GMT-4",
        "2025년 9월 3일 오후 4:18 GMT-4",
        "lúc 16:18 GMT-4 3 tháng 9, 2025",
        "3 September 2025 pukul 16.18 GMT-4",
    ],
)
def test_languages(text):
    assert instant(text) == SEPTEMBER_3


@pytest.mark.parametrize(
    ("written", "taken_for"),
    [("utf-8", "cp1252"), ("utf-8", "latin-1"), ("cp1251", "cp1252"), ("cp1251", "latin-1")],
)
def test_cyrillic_read_in_the_wrong_encoding(written, taken_for):
    text = "3 сентября 2025 г. в 16:18 GMT-4".encode(written).decode(taken_for, errors="ignore")
    assert instant(text) in (SEPTEMBER_3, None)
    if (written, taken_for) != ("utf-8", "cp1252"):  # that one loses bytes
        assert instant(text) == SEPTEMBER_3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "09/03/2025, 4:18 PM",  # month or day first?
        "3 listopada 2025 16:18 GMT-5",  # November in Polish, October in Croatian
        "September 31, 2025 at 9:05 PM EDT",
        "July 12, 2022, 13:55 PM EDT",
        "July 12, 2022, 11:75 AM EDT",
        "July 12, 2022, 25:55 EDT",
        "July 12, 2022",
        "July 2022 11:55 AM EDT",
        "July August 12, 2022, 11:55 AM EDT",
        "3 กันยายน 2568 16:18 GMT-4",  # Buddhist year
        "July 12, 2022, 11:55 AM GMT+99",
        "3" * 5000,
    ],
)
def test_what_cannot_be_told_for_certain_is_not_told(text):
    assert instant(text) is None


def test_english_needs_no_locale_data(monkeypatch):
    monkeypatch.setattr("deltastream.feeds.recorded._dates._language", None)
    assert instant("September 3, 2025 at 4:18 PM EDT") == SEPTEMBER_3
