# /// script
# requires-python = ">=3.11"
# dependencies = ["exchange_calendars>=4.13"]
# ///
"""Write the calendar tables of `deltastream/market/tables` (a tool: requires exchange_calendars).

    uv run deploy/make_tables.py [--nse-holidays nse_holiday_master_2026.json]

Holidays and early closes come from exchange_calendars; what it does not know (Muhurat and weekend
sessions, changed hours, holidays of years not yet announced) stands below as dated facts. The
contract table (`contracts.toml`) holds facts kept by hand and is not written here.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = Path(__file__).resolve().parent.parent / "deltastream" / "market" / "tables"
FIRST = dt.date(2017, 1, 1)
INDIA_ANNOUNCED = dt.date(2026, 12, 31)
INDIA_LAST = dt.date(2031, 12, 31)
US_ANNOUNCED = dt.date(2028, 12, 31)
US_LAST = dt.date(2031, 12, 31)

# Sessions outside the weekly pattern, equity derivatives, IST. A day that is also a holiday stays
# one: nothing expires on it. 2 March and 18 May 2024 had a break; the outer hours are given.
INDIA_SPECIAL = {
    "2017-10-19": ("18:30", "19:30", "Muhurat"),
    "2018-11-07": ("17:30", "18:30", "Muhurat"),
    "2019-10-27": ("18:15", "19:15", "Muhurat"),
    "2020-02-01": ("09:15", "15:30", "Union Budget, Saturday"),
    "2020-11-14": ("18:15", "19:15", "Muhurat"),
    "2021-11-04": ("18:15", "19:15", "Muhurat"),
    "2022-10-24": ("18:15", "19:15", "Muhurat"),
    "2023-11-12": ("18:15", "19:15", "Muhurat"),
    "2024-01-20": ("09:15", "15:30", "full Saturday session"),
    "2024-03-02": ("09:15", "12:30", "disaster recovery drill, Saturday"),
    "2024-05-18": ("09:15", "12:40", "disaster recovery drill, Saturday"),
    "2024-11-01": ("18:00", "19:00", "Muhurat"),
    "2025-02-01": ("09:15", "15:30", "Union Budget, Saturday"),
    "2025-10-21": ("13:45", "14:45", "Muhurat"),
    "2026-02-01": ("09:15", "15:30", "Union Budget, Sunday"),
}
INDIA_HOURS = [("2017-01-01", "09:15", "15:30"), ("2026-08-03", "09:15", "15:40")]
# Holidays with a fixed date (and Good Friday): all that is known of a year not yet announced.
INDIA_FIXED = [(1, 26), (4, 14), (5, 1), (8, 15), (10, 2), (12, 25)]


@dataclass
class Table:
    """One calendar table on its way to a file."""

    name: str
    tz: str
    confirmed_through: dt.date
    covers_through: dt.date
    hours: list[tuple[str, str, str]]
    closed: list[dt.date]
    special: dict[str, tuple[str, str, str]] = field(default_factory=dict)

    def toml(self) -> str:
        lines = [
            "# Written by deploy/make_tables.py; change the facts there.",
            f'name = "{self.name}"',
            f'tz = "{self.tz}"',
            f"covers_from = {FIRST}",
            f"confirmed_through = {self.confirmed_through}",
            f"covers_through = {self.covers_through}",
            "",
            "# Weekdays without a regular session; later than confirmed_through only those already certain.",
            "closed = [",
            *(f"    {', '.join(map(str, year))}," for year in _by_year(self.closed)),
            "]",
        ]
        for start, opens, closes in self.hours:
            lines += ["", "[[hours]]", f"from = {start}", f"open = {opens}:00", f"close = {closes}:00"]
        for day, (opens, closes, note) in sorted(self.special.items()):
            lines += ["", "[[special]]", f"date = {day}", f"open = {opens}:00", f"close = {closes}:00"]
            lines += [f'note = "{note}"']
        return "\n".join(lines) + "\n"


def _by_year(days: list[dt.date]) -> Iterator[list[dt.date]]:
    for year in sorted({day.year for day in days}):
        yield [day for day in sorted(days) if day.year == year]


def _weekdays(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    for offset in range((last - first).days + 1):
        day = first + dt.timedelta(days=offset)
        if day.weekday() < 5:
            yield day


def _good_friday(year: int) -> dt.date:
    """Two days before Easter Sunday, by the anonymous Gregorian algorithm."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    w = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * w) // 451
    month, day = divmod(h + w - 7 * m + 114, 31)
    return dt.date(year, month, day + 1) - dt.timedelta(days=2)


def _india(name: str, announced: set[dt.date] | None) -> Table:
    import exchange_calendars

    source = exchange_calendars.get_calendar("XBOM", start=str(FIRST), end=str(INDIA_ANNOUNCED))
    sessions = {stamp.date() for stamp in source.sessions}
    closed = [day for day in _weekdays(FIRST, INDIA_ANNOUNCED) if day not in sessions]
    if announced is not None:
        theirs = {day for day in announced if day.weekday() < 5}
        years = {day.year for day in theirs}
        closed = sorted(theirs | {day for day in closed if day.year not in years})
    for year in range(INDIA_ANNOUNCED.year + 1, INDIA_LAST.year + 1):
        fixed = [dt.date(year, month, day) for month, day in INDIA_FIXED] + [_good_friday(year)]
        closed += sorted({day for day in fixed if day.weekday() < 5})
    return Table(name, "Asia/Kolkata", INDIA_ANNOUNCED, INDIA_LAST, INDIA_HOURS, closed, INDIA_SPECIAL)


def _united_states() -> Table:
    import exchange_calendars

    source = exchange_calendars.get_calendar("XNYS", start=str(FIRST), end=str(US_LAST))
    sessions = {stamp.date() for stamp in source.sessions}
    early = {
        str(stamp.date()): ("09:30", "13:00", "early close")
        for stamp in source.early_closes
        if stamp.date() >= FIRST
    }
    closed = [day for day in _weekdays(FIRST, US_LAST) if day not in sessions]
    hours = [("2017-01-01", "09:30", "16:00")]
    return Table("XNYS", "America/New_York", US_ANNOUNCED, US_LAST, hours, closed, early)


def main() -> None:
    """Write XNSE.toml, XBOM.toml and XNYS.toml."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nse-holidays", type=Path, help="holiday master JSON of the exchange; overrides")
    arguments = parser.parse_args()
    announced = None
    if arguments.nse_holidays:
        rows = json.loads(arguments.nse_holidays.read_text())["FO"]
        announced = {dt.datetime.strptime(row["tradingDate"], "%d-%b-%Y").date() for row in rows}
    for table in (_india("XNSE", announced), _india("XBOM", announced), _united_states()):
        path = TABLES / f"{table.name}.toml"
        path.write_text(table.toml())
        print(f"{path.name}: {len(table.closed)} closed days, {len(table.special)} special", file=sys.stderr)


if __name__ == "__main__":
    main()
