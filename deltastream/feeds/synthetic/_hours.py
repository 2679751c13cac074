"""When a synthetic market trades: by the exchange's calendar, or day after day around the clock."""

from __future__ import annotations

import datetime as dt

from deltastream.market import Calendar, Session

__all__ = ["Hours"]


class Hours:
    """Sessions of one product; around the clock they are the exchange's calendar days."""

    def __init__(self, calendar: Calendar, *, around_the_clock: bool) -> None:
        self._calendar, self.around_the_clock = calendar, around_the_clock
        self._held: Session | None = None

    def at(self, now: int) -> Session | None:
        """The session that contains `now`."""
        held = self._held
        if held and held.open_ns <= now < held.close_ns:
            return held
        if self.around_the_clock:
            day = self._calendar.date_of(now)
            following = day + dt.timedelta(days=1)
            session: Session | None = Session(
                day, self._calendar.midnight(day), self._calendar.midnight(following)
            )
        else:
            session = self._calendar.session_at(now)
        self._held = session or held
        return session

    def latest(self, now: int) -> Session:
        """The session that contains `now`, else the one that ended last before it."""
        if session := self.at(now):
            return session
        day = self._calendar.date_of(now)
        session = self._calendar.session(day)
        while session is None or session.open_ns > now:
            day = self._calendar.previous_session(day)
            session = self._calendar.session(day)
        return session

    def next_open(self, now: int) -> int:
        """The first instant from `now` on at which it trades."""
        return now if self.around_the_clock else self._calendar.next_open(now)

    def regular_s(self, day: dt.date) -> float:
        """Seconds of a regular session of the exchange at that date."""
        opens, closes = self._calendar.regular_hours(day)
        return (closes - opens) / 1e9

    def date_of(self, now: int) -> dt.date:
        """The exchange's own date."""
        return self._calendar.date_of(now)

    def reason(self, now: int) -> str:
        """Why it trades or not: a code."""
        if self.at(now):
            return "around_the_clock" if self.around_the_clock else "in_session"
        day = self._calendar.date_of(now)
        if session := self._calendar.session(day):
            return "before_open" if now < session.open_ns else "after_close"
        return "weekend" if day.weekday() >= 5 else "holiday"
