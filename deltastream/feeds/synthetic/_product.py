"""One product of the synthetic world: its sessions, its path, and the expiries listed on it."""

from __future__ import annotations

import datetime as dt
import random
from typing import Final

import numpy as np

from deltastream.feeds.synthetic._hours import Hours
from deltastream.feeds.synthetic._profiles import PROFILES
from deltastream.feeds.synthetic._series import Series, State
from deltastream.feeds.synthetic._underlying import Factor, Underlying
from deltastream.feeds.synthetic.settings import SyntheticSettings
from deltastream.market import Session, calendar, expiry_instant, product, root_expiries, strike_step, terms
from deltastream.messages import MarketStatus, OptionChain, UnderlyingTick

__all__ = ["ProductMarket"]

_TRADING_DAYS: Final = 252
_YEAR_S: Final = 365 * 86_400.0


class ProductMarket:
    """A product's market, moved on by whoever asks for its next tick or chain.

    It begins with the session that contains the first instant (or the last one before it) at the
    profile's price, so that quotes have a previous close and the session some history at once.
    The price moves in sessions only: there is no gap overnight. Time never goes back: where the
    clock does, the market stands still at the latest instant it has seen.
    """

    def __init__(
        self, symbol: str, settings: SyntheticSettings, now: int, factors: dict[str, Factor]
    ) -> None:
        """Args: factors: what products of one time zone share; made here where it is missing."""
        facts = product(symbol)
        around_the_clock = settings.session == "always"
        self.symbol = symbol
        self.hours = Hours(calendar(facts.calendar), around_the_clock=around_the_clock)
        self._roots, self._profile, self._settings = facts.roots, PROFILES[symbol], settings
        self._bits = np.random.PCG64(np.random.SeedSequence([settings.seed, list(PROFILES).index(symbol)]))
        self._session = self.hours.latest(now)
        year_s = _YEAR_S if around_the_clock else _TRADING_DAYS * self.hours.regular_s(self._session.day)
        opened = self._session.open_ns
        if facts.tz not in factors:
            factors[facts.tz] = Factor(random.Random(f"{settings.seed}/{facts.tz}"), year_s, opened)
        rng = random.Random(f"{settings.seed}/{symbol}")
        factor = factors[facts.tz]
        self._underlying = Underlying(self._profile, rng, factor, year_s=year_s, opened=opened)
        self._series: list[Series] = []
        self._listed_on: dt.date | None = None
        self._ticked = self._advance(min(now, self._session.close_ns))

    def is_open(self, now: int) -> bool:
        """Whether the product trades at `now`."""
        return self.hours.at(now) is not None

    def status(self, now: int) -> MarketStatus:
        """Open or closed, why, and since when."""
        is_open = self.is_open(now)
        session = self.hours.latest(now)
        return MarketStatus(
            product=self.symbol,
            status="open" if is_open else "closed",
            reason=self.hours.reason(now),
            since=session.open_ns if is_open else session.close_ns,
            ts_event=now,
            ts_recv=now,
        )

    def tick(self, now: int) -> UnderlyingTick:
        """The price at `now`, which lies in a session."""
        ts = self._advance(now)
        volume = self._underlying.traded((ts - self._ticked) / 1e9, self._session_s)
        self._ticked = ts
        price = self._underlying.published()
        return UnderlyingTick(product=self.symbol, price=price, volume=volume, ts_event=ts, ts_recv=ts)

    def chain(self, slot: int, now: int) -> OptionChain | None:
        """The chain of the slot-th listed expiry at `now`, which lies in a session.

        Where so many are not listed: None, in load mode the count begins again.
        """
        ts = self._advance(now)
        self._list(ts)
        count = len(self._series)
        if slot >= count and (count == 0 or self._settings.load_chains_per_s is None):
            return None
        series = self._series[slot % count]
        return series.chain(self.symbol, self._state(), self._underlying.published(), ts)

    @property
    def _session_s(self) -> float:
        return (self._session.close_ns - self._session.open_ns) / 1e9

    def _state(self) -> State:
        return State(self._underlying.price, self._underlying.level)

    def _advance(self, now: int) -> int:
        """Move the market on to `now`; gives the instant at which it stands."""
        now = max(now, self._underlying.at)
        session = self.hours.at(now)
        if session and session.open_ns > self._session.open_ns:
            self._begin(session)
        self._underlying.advance(now)
        return now

    def _begin(self, session: Session) -> None:
        self._session, self._ticked = session, session.open_ns
        self._underlying.begin_session(session.open_ns)
        self._series = [series for series in self._series if series.expiry_ts > session.open_ns]
        for series in self._series:
            series.begin_session(session, self._state())

    def _list(self, now: int) -> None:
        """List the nearest expiries anew on a new day and when one has passed."""
        on = self.hours.date_of(now)
        if on == self._listed_on and self._series and self._series[0].expiry_ts > now:
            return
        listed = ((root, expiry) for root in self._roots for expiry in root_expiries(root, on))
        alive = sorted((expiry_instant(*key), key) for key in listed if expiry_instant(*key) > now)
        known = {(series.terms.root, series.expiry): series for series in self._series}
        nearest = alive[: self._settings.expiries]
        self._series = [known.get(key) or self._new_series(*key, on) for _, key in nearest]
        self._listed_on = on

    def _new_series(self, root: str, expiry: dt.date, on: dt.date) -> Series:
        return Series(
            self._profile,
            terms(root, expiry, on=on),
            expiry,
            expiry_instant(root, expiry),
            step=strike_step(root, expiry, on=on),
            strikes=self._settings.strikes,
            bits=self._bits,
            session=self._session,
            opened=State(self._underlying.session_price, self._underlying.session_level),
        )
