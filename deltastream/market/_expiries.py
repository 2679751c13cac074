"""Which expiries an exchange lists, by its dated rules.

The `listing` of a root in the contract table names how many of each kind are open at a time:

- `weeklies` (that are no monthly), `monthlies`, then `quarterlies` after the last monthly and
  `half_yearlies` after the last quarterly: India, on the dated weekdays `weekly` and `monthly`.
- `daily` (the next trading days), `fridays`, `third_fridays`, `month_ends`, `quarter_ends`,
  `last_fridays`, `quarter_fridays`, and `short_weekdays` (weekdays of the next weeks, skipped on
  holidays): United States and Deribit.

A date that is no trading day moves to the one before it. Listings that hang on decisions of the
day (skipped around earnings, extra long-dated ones) are not in the rules: prefer a feed's own list.
"""

from __future__ import annotations

import calendar as months
import datetime as dt
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from deltastream.market import _tables
from deltastream.market._calendars import Calendar, calendar
from deltastream.market._products import product as find_product

__all__ = ["listed_expiries", "root_expiries"]

_DAY: Final = dt.timedelta(days=1)
_FRIDAY: Final = 4


def listed_expiries(product: str, on: dt.date) -> list[dt.date]:
    """Expiries of all roots of a product listed on a date (exchange time), ascending.

    An expiry on the date itself is still listed.

    Raises:
        KeyError: the tables do not know the product.
    """
    roots = find_product(product).roots
    return sorted({expiry for root in roots for expiry in root_expiries(root, on)})


@functools.lru_cache(maxsize=256)
def root_expiries(root: str, on: dt.date) -> tuple[dt.date, ...]:
    """Expiries of one root listed on a date (exchange time), ascending.

    Raises:
        KeyError: the tables do not know the root.
    """
    facts = _tables.contracts()["roots"].get(root)
    if facts is None:
        raise KeyError(f"the listed expiries of {root} are not in the tables")
    sessions = calendar(_tables.contracts()["venues"][facts["venue"]]["calendar"])
    listing = facts["listing"]
    found = {*_weekday_cycle(listing, sessions, on), *_short_weekdays(listing, sessions, on)}
    for kind, candidates in _KINDS.items():
        found.update(_upcoming(candidates(on), listing.get(kind, 0), sessions, on))
    return tuple(sorted(found))


def _upcoming(
    candidates: Iterable[dt.date], count: int, sessions: Calendar, on: dt.date
) -> Iterator[dt.date]:
    """The first `count` different candidates, moved to trading days, that are not before `on`."""
    moved = (sessions.last_trading_day(day) for day in candidates)
    return itertools.islice((day for day, _ in itertools.groupby(moved) if day >= on), count)


def _weekday_cycle(listing: Mapping[str, Any], sessions: Calendar, on: dt.date) -> Iterator[dt.date]:
    if "monthly" not in listing:
        return
    rules = listing["monthly"]
    monthlies = [*_upcoming(_month_lasts(on, rules), listing["monthlies"], sessions, on)]
    yield from monthlies
    if weekly := listing.get("weekly"):
        taken = {*_upcoming(_month_lasts(on, rules), 4, sessions, on)}
        candidates = (day for day in _days(on) if _weekday(weekly, day) == day.weekday())
        others = (day for day in candidates if sessions.last_trading_day(day) not in taken)
        yield from _upcoming(others, listing["weeklies"], sessions, on)
    after = monthlies[-1]
    for kind, cycle in (("quarterlies", 3), ("half_yearlies", 6)):
        lasts = _month_lasts(after + 7 * _DAY, rules)
        later = (day for day in lasts if day.month % cycle == 0 and day > after)
        chosen = [*_upcoming(later, listing.get(kind, 0), sessions, on)]
        yield from chosen
        after = chosen[-1] if chosen else after


def _short_weekdays(listing: Mapping[str, Any], sessions: Calendar, on: dt.date) -> Iterator[dt.date]:
    row = _tables.applicable(listing.get("short_weekdays", ()), on)
    if row:
        horizon = range(7 * row["weeks"])
        days = (on + offset * _DAY for offset in horizon)
        yield from (day for day in days if day.weekday() in row["weekdays"] and sessions.is_trading_day(day))


def _weekday(rules: Iterable[Mapping[str, Any]], day: dt.date) -> int | None:
    row = _tables.applicable(rules, day)
    return None if row is None else int(row["weekday"])


def _days(on: dt.date) -> Iterator[dt.date]:
    """Two years of days from one week before `on` (an expiry may move back past it)."""
    return ((on - 7 * _DAY) + offset * _DAY for offset in range(2 * 366))


def _months(on: dt.date) -> Iterator[tuple[int, int]]:
    return (divmod(on.year * 12 + on.month - 1 + offset, 12) for offset in range(10 * 12))


def _last(year: int, month0: int, weekday: int) -> dt.date:
    last = dt.date(year, month0 + 1, months.monthrange(year, month0 + 1)[1])
    return last - (last.weekday() - weekday) % 7 * _DAY


def _month_lasts(on: dt.date, rules: Iterable[Mapping[str, Any]]) -> Iterator[dt.date]:
    for year, month0 in _months(on):
        weekday = _weekday(rules, dt.date(year, month0 + 1, 1))
        if weekday is not None:
            yield _last(year, month0, weekday)


def _fridays(on: dt.date) -> Iterator[dt.date]:
    return (day for day in _days(on) if day.weekday() == _FRIDAY)


def _third_fridays(on: dt.date) -> Iterator[dt.date]:
    firsts = (dt.date(year, month0 + 1, 15) for year, month0 in _months(on))
    return (day + (_FRIDAY - day.weekday()) % 7 * _DAY for day in firsts)


def _month_ends(on: dt.date) -> Iterator[dt.date]:
    return (dt.date(year, month0 + 1, months.monthrange(year, month0 + 1)[1]) for year, month0 in _months(on))


def _last_fridays(on: dt.date) -> Iterator[dt.date]:
    return (_last(year, month0, _FRIDAY) for year, month0 in _months(on))


def _quarters(days: Iterator[dt.date]) -> Iterator[dt.date]:
    return (day for day in days if day.month % 3 == 0)


_KINDS: Final[Mapping[str, Callable[[dt.date], Iterator[dt.date]]]] = {
    "daily": _days,
    "fridays": _fridays,
    "third_fridays": _third_fridays,
    "month_ends": _month_ends,
    "quarter_ends": lambda on: _quarters(_month_ends(on)),
    "last_fridays": _last_fridays,
    "quarter_fridays": lambda on: _quarters(_last_fridays(on)),
}
