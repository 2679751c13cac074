"""Trading sessions of an exchange, day by day."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from deltastream.market import _tables

__all__ = ["Calendar", "Session", "calendar", "to_ns"]

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_DAY: Final = dt.timedelta(days=1)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_LONGEST_CLOSURE: Final = 30
ALWAYS_OPEN: Final = "24x7"
_ALWAYS: Final[Mapping[str, Any]] = {
    "tz": "UTC",
    "covers_from": dt.date.min,
    "confirmed_through": dt.date.max,
    "covers_through": dt.date.max,
}


def to_ns(moment: dt.datetime) -> int:
    """An aware moment as nanoseconds since the epoch, UTC; exact."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


@dataclass(frozen=True, slots=True)
class Session:
    """Continuous trading on one day.

    Attributes:
        day: trade date, in exchange time.
        open_ns: first instant, nanoseconds UTC; close_ns: first instant after it.
        note: why it is not a regular session, such as "Muhurat"; "" for a regular one.
    """

    day: dt.date
    open_ns: int
    close_ns: int
    note: str = ""


class Calendar:
    """When one exchange trades; get one from `calendar`.

    Attributes:
        name: market identifier code, or "24x7".
        tz: time zone name.
        covers_from: before this day only the weekday rule is known.
        confirmed_through: later days are provisional: only holidays on fixed dates are known.
        covers_through: later days follow the weekday rule alone.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._sessions: dict[dt.date, Session | None] = {}
        table = _ALWAYS if name == ALWAYS_OPEN else _tables.read(name)
        self.tz: str = table["tz"]
        self.covers_from: dt.date = table["covers_from"]
        self.confirmed_through: dt.date = table["confirmed_through"]
        self.covers_through: dt.date = table["covers_through"]
        self._zone = ZoneInfo(self.tz)
        self._closed = frozenset(table.get("closed", ()))
        self._hours = sorted(table.get("hours", ()), key=lambda row: row["from"], reverse=True)
        self._special = {row["date"]: row for row in table.get("special", ())}

    def __repr__(self) -> str:
        return f"calendar({self.name!r})"

    def session(self, day: dt.date) -> Session | None:
        """The session of that trade date; None where there is none."""
        try:
            return self._sessions[day]
        except KeyError:
            if len(self._sessions) > 4096:
                self._sessions.clear()
            return self._sessions.setdefault(day, self._session(day))

    def is_trading_day(self, day: dt.date) -> bool:
        """Whether `day` is a regular trading day, one that contracts can expire on.

        A Muhurat session on a holiday and a session at a weekend do not make one.
        """
        return self.name == ALWAYS_OPEN or (day.weekday() < 5 and day not in self._closed)

    def session_at(self, ts_ns: int) -> Session | None:
        """The session that contains the instant; None when the market is closed."""
        session = self.session(self.date_of(ts_ns))
        return session if session and session.open_ns <= ts_ns < session.close_ns else None

    def is_open(self, ts_ns: int) -> bool:
        """Whether the instant (nanoseconds UTC) lies in a session."""
        return self.session_at(ts_ns) is not None

    def next_open(self, ts_ns: int) -> int:
        """The first instant from `ts_ns` on at which the market is open: `ts_ns` itself if it is.

        Raises:
            LookupError: no session within 30 days.
        """
        day = self.date_of(ts_ns)
        for offset in range(_LONGEST_CLOSURE):
            session = self.session(day + offset * _DAY)
            if session and ts_ns < session.close_ns:
                return max(ts_ns, session.open_ns)
        raise LookupError(f"{self.name} has no session within {_LONGEST_CLOSURE} days of {day}")

    def previous_session(self, day: dt.date) -> dt.date:
        """The last trade date before `day`.

        Raises:
            LookupError: no session within 30 days.
        """
        for offset in range(1, _LONGEST_CLOSURE):
            if self.session(day - offset * _DAY):
                return day - offset * _DAY
        raise LookupError(f"{self.name} has no session within {_LONGEST_CLOSURE} days before {day}")

    def last_trading_day(self, day: dt.date) -> dt.date:
        """`day`, or the regular trading day before it where `day` is none: where an expiry goes.

        Raises:
            LookupError: no trading day within 30 days.
        """
        for offset in range(_LONGEST_CLOSURE):
            if self.is_trading_day(day - offset * _DAY):
                return day - offset * _DAY
        raise LookupError(f"{self.name} has no trading day within {_LONGEST_CLOSURE} days before {day}")

    def date_of(self, ts_ns: int) -> dt.date:
        """The exchange's own date at an instant."""
        moment = _EPOCH + dt.timedelta(microseconds=ts_ns // 1000)
        return moment.astimezone(self._zone).date()

    def midnight(self, day: dt.date) -> int:
        """The beginning of that date in exchange time, nanoseconds UTC."""
        return self._at(day, dt.time())

    def regular_hours(self, day: dt.date) -> tuple[int, int]:
        """Open and close of a regular session on that date, whether or not it is a trading day."""
        if self.name == ALWAYS_OPEN:
            return self.midnight(day), self.midnight(day + _DAY)
        row = next((row for row in self._hours if row["from"] <= day), self._hours[-1])
        return self._at(day, row["open"]), self._at(day, row["close"])

    def _session(self, day: dt.date) -> Session | None:
        if special := self._special.get(day):
            opens, closes = special["open"], special["close"]
            return Session(day, self._at(day, opens), self._at(day, closes), special["note"])
        return Session(day, *self.regular_hours(day)) if self.is_trading_day(day) else None

    def _at(self, day: dt.date, time: dt.time) -> int:
        return to_ns(dt.datetime.combine(day, time, self._zone))


@functools.cache
def calendar(name: str) -> Calendar:
    """The calendar of that name: "XNSE", "XBOM", "XNYS" or "24x7".

    Raises:
        KeyError: no such calendar.
    """
    return Calendar(name)
