"""The path of one underlying: geometric Brownian motion, its variance in proportion to trading time."""

from __future__ import annotations

import math
import random
from typing import Final

from deltastream.feeds.synthetic._arithmetic import normal
from deltastream.feeds.synthetic._profiles import Profile

__all__ = ["Factor", "Underlying"]

_LONGEST_STEP_S: Final = 86_400.0
_REVERSION: Final = 60.0
_LEVEL_VOL: Final = 2.0
_LOWEST_LEVEL, _HIGHEST_LEVEL = 0.5, 2.0


class Factor:
    """Brownian motion that the products of one country share, so that they move together.

    Attributes:
        value: now, in units of the square root of a trading year.
    """

    __slots__ = ("_at", "_rng", "_year_s", "value")

    def __init__(self, rng: random.Random, year_s: float, start: int) -> None:
        """Args: year_s: trading seconds per year; start: first instant, nanoseconds UTC."""
        self._rng, self._year_s, self._at = rng, year_s, start
        self.value = 0.0

    def advance(self, now: int, opened: int) -> None:
        """Move on to `now` in the session that began at `opened`; what lies before it does not count."""
        dt = _years(max(self._at, opened), now, self._year_s)
        if dt > 0.0:
            self.value += math.sqrt(dt) * normal(self._rng)
            self._at = now


class Underlying:
    """Price and volatility level of one product.

    A step of dt years multiplies the price by 1 + σ·dW, the Euler step of driftless geometric
    Brownian motion; at the feed's intervals σ√dt is of the order of 1e-5. dW is the country's
    factor, weighted by the profile's beta, and the product's own. The volatility level reverts
    to 1, correlated with the price by the profile's leverage.

    Attributes:
        at: instant of the present state, nanoseconds UTC.
        price: now, not rounded; level: scales the short end of the smile's variance.
        session_price: when the present session began; session_level alike.
    """

    __slots__ = (
        "_factor",
        "_opened",
        "_profile",
        "_rng",
        "_seen",
        "_year_s",
        "at",
        "level",
        "price",
        "session_level",
        "session_price",
    )

    def __init__(
        self, profile: Profile, rng: random.Random, factor: Factor, *, year_s: float, opened: int
    ) -> None:
        """Args: year_s: trading seconds per year; opened: beginning of the first session."""
        self._profile, self._rng, self._year_s = profile, rng, year_s
        self._factor, self._seen = factor, factor.value
        self.at = self._opened = opened
        self.price = self.session_price = profile.price
        self.level = self.session_level = 1.0

    def begin_session(self, opened: int) -> None:
        """A new session: no time has passed since the last one."""
        self.at = self._opened = opened
        self.session_price, self.session_level = self.price, self.level

    def advance(self, now: int) -> None:
        """Let trading time pass; more than a day counts as a day."""
        profile = self._profile
        dt = _years(self.at, now, self._year_s)
        if dt <= 0.0:
            return
        self._factor.advance(now, self._opened)
        root = math.sqrt(dt)
        own = math.sqrt(1.0 - profile.beta * profile.beta) * root * normal(self._rng)
        shock = profile.beta * (self._factor.value - self._seen) + own
        self.at, self._seen = now, self._factor.value
        self.price *= 1.0 + profile.vol * shock
        other = math.sqrt(1.0 - profile.leverage * profile.leverage) * root * normal(self._rng)
        pull = (1.0 - self.level) * min(_REVERSION * dt, 1.0)
        level = self.level + pull + _LEVEL_VOL * (profile.leverage * shock + other)
        self.level = min(max(level, _LOWEST_LEVEL), _HIGHEST_LEVEL)

    def published(self) -> float:
        """The price on its own tick."""
        per_unit = self._profile.per_unit
        return round(self.price * per_unit) / per_unit

    def traded(self, seconds: float, session_s: float) -> float | None:
        """Shares traded in so many seconds of a session; None for an index."""
        if self._profile.shares is None:
            return None
        expected = self._profile.shares * max(seconds, 0.0) / session_s
        return float(math.floor(expected * 2.0 * self._rng.random() + self._rng.random()))


def _years(since: int, now: int, year_s: float) -> float:
    return min((now - since) / 1e9, _LONGEST_STEP_S) / year_s
