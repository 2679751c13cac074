"""The date line of a Cboe quote table, written in the language of whoever saved it.

Seen are ``July 12, 2022, 11:55 AM EDT``, ``September 25, 2025 at 9:05 PM EDT`` and ``3 de setembro
de 2025 às 16:18 GMT-4``. The site shows New York time whatever the language. Month names and halves
of the day come from CLDR (through Babel, imported only for other languages than English). Where a
date has two readings there is none: better no time than a wrong one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Set
from datetime import datetime, timedelta, timezone, tzinfo
from functools import cache
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

__all__ = ["NEW_YORK", "read_date_line"]

NEW_YORK: Final = ZoneInfo("America/New_York")
_YEARS: Final = range(1990, 2100)
_LANGUAGES: Final = """
    pt es fr de it nl sv nb da fi is pl cs sk hu ro bg ru uk be sr hr bs sl mk lt lv et el tr az kk ka hy
    he ar fa ur hi bn ta te mr gu th id ms fil ca eu gl af sw sq ga cy mn uz
"""
_ENGLISH: Final = "january february march april may june july august september october november december"
_ENGLISH_MONTHS: Final = {
    name[:length]: month
    for month, name in enumerate(_ENGLISH.split(), 1)
    for length in (3, 4 if month == 9 else 3, len(name))
}
_ZONES: Final[dict[str, tzinfo]] = {
    "ET": NEW_YORK,
    **{
        name: timezone(timedelta(hours=hours))
        for name, hours in (
            ("EDT", -4), ("EST", -5), ("CDT", -5), ("CST", -6),
            ("MDT", -6), ("MST", -7), ("PDT", -7), ("PST", -8),
        )
    },
}  # fmt: skip

_OFFSET: Final = re.compile(r"\b(?:GMT|UTC)\s*(?:([+-])(\d{1,2})(?::?(\d{2}))?)?", re.IGNORECASE)
_ZONE_NAME: Final = re.compile(rf"\b({'|'.join(_ZONES)})\b")
_TIMES: Final = (
    re.compile(r"(?<!\d)(\d{1,2}):(\d{2})(?::(\d{2}))?(?!\d)"),
    re.compile(r"(?<!\d)(\d{1,2}) ?h ?(\d{2})()(?!\d)"),
    re.compile(r"(?<![\d.])(\d{1,2})\.(\d{2})()(?![\d.])"),
)
_YEAR_FIRST: Final = (
    re.compile(r"(\d{4})\s*[年년]\s*(\d{1,2})\s*[月월]\s*(\d{1,2})"),
    re.compile(r"(?<!\d)(\d{4})[-/.]\s?(\d{1,2})[-/.]\s?(\d{1,2})(?!\d)"),
)
_DAY_FIRST: Final = (
    re.compile(r"(?<!\d)(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})(?!\d)"),
    re.compile(r"(\d{1,2}) tháng (\d{1,2}),? (?:năm )?(\d{4})"),
)
_EITHER_FIRST: Final = re.compile(r"(?<!\d)(\d{1,2})[/-](\d{1,2})[/-](\d{4})(?!\d)")
_NUMBERS: Final = re.compile(r"\d+")
_WORDS: Final = re.compile(r"[^\W\d_][^\s\d,]*")


class _Language(NamedTuple):
    """Folded words of one language: months by name, halves of the day."""

    months: dict[str, set[int]]
    morning: Set[str]
    afternoon: Set[str]


_ANY_LANGUAGE: Final = _Language({}, {"am", "上午", "午前", "오전"}, {"pm", "下午", "午後", "오후"})


def read_date_line(text: str) -> int | None:
    """Nanoseconds UTC of the instant in a date line; None where it cannot be told for certain.

    A line without a zone is in New York time.
    """
    for reading in _repairs(text):
        instant = _read(_plain(reading))
        if instant is not None:
            return instant
    return None


def _repairs(text: str) -> Iterator[str]:
    """The text, then what it may have been before it was read in the wrong encoding."""
    yield text
    for taken_for in ("cp1252", "latin-1"):
        for meant in ("utf-8", "cp1251", "cp1250"):
            try:
                yield text.encode(taken_for).decode(meant)
            except UnicodeError:
                continue


def _plain(text: str) -> str:
    """The same with ASCII digits, spaces and minus signs, without marks of direction."""
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"[\u200e\u200f\u061c]", "", re.sub(r"[\u2010-\u2015\u2212]", "-", text))
    return "".join(str(unicodedata.digit(c, c)) if c.isdigit() else c for c in text)


def _read(text: str) -> int | None:
    zone, text = _without_zone(text)
    time = next((found for pattern in _TIMES if (found := _last(pattern, text))), None)
    if zone is None or time is None:
        return None
    rest = f"{text[: time.start()]} {text[time.end() :]}"
    instants = {
        instant
        for year, month, day, language in _days(rest)
        if (hour := _hour(int(time[1]), rest, language)) is not None
        and (instant := _instant(year, month, day, hour, int(time[2]), int(time[3] or 0), zone)) is not None
    }
    return instants.pop() if len(instants) == 1 else None  # seam: there is one


def _instant(
    year: int, month: int, day: int, hour: int, minute: int, second: int, zone: tzinfo
) -> int | None:
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        return None
    return int(at.timestamp()) * 1_000_000_000 if year in _YEARS else None


def _without_zone(text: str) -> tuple[tzinfo | None, str]:
    """The zone that the text names (New York where it names none, None if impossible), and the rest."""
    if (found := _OFFSET.search(text)) is not None:
        away = timedelta(hours=int(found[2] or 0), minutes=int(found[3] or 0))
        zone: tzinfo | None = (
            timezone(-away if found[1] == "-" else away) if away < timedelta(days=1) else None
        )
    elif (found := _ZONE_NAME.search(text)) is not None:
        zone = _ZONES[found[1]]
    else:
        return NEW_YORK, text
    return zone, f"{text[: found.start()]} {text[found.end() :]}"


def _days(text: str) -> Iterator[tuple[int, int, int, _Language]]:
    """Every reading of the text as year, month and day, with the language it was read in."""
    for patterns, places in ((_YEAR_FIRST, (1, 2, 3)), (_DAY_FIRST, (3, 2, 1))):
        for pattern in patterns:
            if (found := pattern.search(text)) is not None:
                year, month, day = (int(found[place]) for place in places)
                yield year, month, day, _ANY_LANGUAGE
                return
    if (found := _EITHER_FIRST.search(text)) is not None:
        yield int(found[3]), int(found[1]), int(found[2]), _ANY_LANGUAGE
        yield int(found[3]), int(found[2]), int(found[1]), _ANY_LANGUAGE
        return
    numbers = _NUMBERS.findall(text)
    years = [number for number in numbers if len(number) == 4]
    days = [number for number in numbers if len(number) <= 2]
    if len(numbers) == 2 and len(years) == len(days) == 1:
        for month, language in _months(text):
            yield int(years[0]), month, int(days[0]), language


def _months(text: str) -> Iterator[tuple[int, _Language]]:
    words = _words(text)
    english = {month for name, month in _ENGLISH_MONTHS.items() if name in words}
    if english:
        for month in sorted(english):
            yield month, _ANY_LANGUAGE
        return
    for tag in _LANGUAGES.split():
        language = _language(tag)
        for name in sorted(language.months.keys() & words):
            for month in language.months[name]:
                yield month, language


def _words(text: str) -> set[str]:
    """Folded words, pairs of neighbours joined, for ``p. m.``, and Hebrew ones without their "in"."""
    words = [_folded(word) for word in _WORDS.findall(text)]
    return {*words, *(a + b for a, b in pairwise(words)), *(word.removeprefix("ב") for word in words)}


def _folded(word: str) -> str:
    return re.sub(r"[.\s'\u2019]", "", word).casefold()


def _hour(hour: int, text: str, language: _Language) -> int | None:
    """The hour of 24; None where it cannot be with its half of the day."""
    words = _words(text)
    morning = bool(words & (language.morning | _ANY_LANGUAGE.morning))
    afternoon = bool(words & (language.afternoon | _ANY_LANGUAGE.afternoon))
    if not morning and not afternoon:
        return hour
    if morning == afternoon or not 1 <= hour <= 12:
        return None
    return hour % 12 + (12 if afternoon else 0)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    return max(pattern.finditer(text), key=re.Match.start, default=None)


@cache
def _language(tag: str) -> _Language:
    from babel import Locale

    locale = Locale.parse(tag)
    months: dict[str, set[int]] = {}
    for names in (locale.months[use][width] for use in locale.months for width in ("wide", "abbreviated")):
        for month, name in names.items():
            months.setdefault(_folded(unicodedata.normalize("NFKC", name)), set()).add(month)
    halves: dict[str, set[str]] = {"am": set(), "pm": set()}
    for widths in locale.day_periods.values():
        for width in ("wide", "abbreviated"):
            for half, found in halves.items():
                if half in widths.get(width, {}):
                    found.add(_folded(unicodedata.normalize("NFKC", widths[width][half])))
    return _Language(months, halves["am"], halves["pm"])
