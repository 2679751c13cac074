"""All listed options of one root and expiry: their quotes, trades and open interest over time."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deltastream.feeds.synthetic._arithmetic import ln, uniforms
from deltastream.feeds.synthetic._profiles import Profile
from deltastream.market import Session, Terms
from deltastream.messages import CHAIN_ROWS, SIDE_COLUMNS, OptionChain
from deltastream.pricing import black76

__all__ = ["Series", "State"]

Floats = NDArray[np.float64]

YEAR_NS: Final = 365 * 86_400 * 10**9
_SIDES: Final = len(SIDE_COLUMNS)
_BID, _BID_SIZE, _ASK, _ASK_SIZE, _LAST, _VOLUME, _OI, _PREV_CLOSE, _PREV_OI, _LAST_TRADE_US = range(10)
_REFRESH_NS: Final = {"live": 1, "3min": 180 * 10**9, "daily": 0}
_IS_CALL: Final = np.array([[True], [False]])
# Trading centres out of the money: calls above the forward, puts below, in standard deviations.
_CENTRE: Final = np.array([[-0.5], [0.5]])
_REQUOTED: Final = 0.6  # share of quotes renewed from chain to chain
_WIDEST: Final = 0.35  # half spread beyond the tick, as a share of the premium
_OI_VOL: Final = 0.7  # full range of a session's change in open interest, as a share of its target
_DRAWS: Final = 10
_BOOK_ROWS: Final = CHAIN_ROWS + 10  # edges 4, live oi 2, its target 2, last trading 1, ln(strike) 1


@dataclass(frozen=True, slots=True)
class State:
    """The underlying as its options see it: price (not rounded) and volatility level."""

    price: float
    level: float


class Series:
    """The contracts of one root and expiry.

    State is kept for every strike that was ever in the window; one outside of it catches up on
    its trading when it comes back. `chain` works on the window alone.

    Laws: volume never falls within a session, open interest is never negative, and no more
    contracts are opened or closed than traded.
    """

    def __init__(
        self,
        profile: Profile,
        terms: Terms,
        expiry: dt.date,
        expiry_ts: int,
        *,
        step: float,
        strikes: int,
        bits: np.random.PCG64,
        session: Session,
        opened: State,
    ) -> None:
        """Args: opened: the underlying at the session's beginning; step: between listed strikes."""
        self.terms, self.expiry, self.expiry_ts = terms, expiry, expiry_ts
        self._profile, self._step, self._size, self._bits = profile, step, strikes, bits
        self._ticks = tuple((price, float(round(1.0 / tick))) for price, tick in terms.tick_steps)
        self._refresh_ns = _REFRESH_NS[terms.oi_cadence]
        self._session, self._opened, self._oi_as_of = session, opened, session.open_ns
        forward = self._forward(opened.price, (expiry_ts - session.open_ns) / YEAR_NS)
        self._first = max(round(forward / step) - strikes // 2, 1)
        self._lo = 0
        self._adopt(self._listed(self._first, strikes))

    def begin_session(self, session: Session, opened: State) -> None:
        """Settle every strike at the state of the market now, and begin the session's counts."""
        self._session, self._opened = session, opened
        self._oi_as_of = session.open_ns
        sides = self._sides
        sides[:, _PREV_OI] = sides[:, _OI] if self._refresh_ns == 0 else self._live
        sides[:, _OI] = self._live
        sides[:, _VOLUME] = 0.0
        sides[:, _PREV_CLOSE] = self._settled(
            self._model(self._table[0], self._log_strikes, opened, session.open_ns)[0]
        )
        self._since[:] = 0.0

    def mids(self, strikes: Floats, state: State, ts: int) -> Floats:
        """Model prices before any spread and rounding: float64[2, n], calls and puts."""
        return self._model(strikes, _logs(strikes), state, ts)[0]

    def chain(self, product: str, state: State, spot: float, ts: int) -> OptionChain:
        """The chain at `ts`, which lies before the expiry and not before the chain given last."""
        self._follow(self._forward(state.price, (self.expiry_ts - ts) / YEAR_NS))
        window = slice(self._lo, self._lo + self._size)
        strikes = self._table[0, window]
        mid, z, deviation = self._model(strikes, self._log_strikes[window], state, ts)
        shifted = z + _CENTRE
        active = self._depth(ts) / (1.0 + shifted * shifted)
        draws = uniforms(self._bits, (_DRAWS, 2, self._size))
        self._quote(window, mid, active, deviation, draws[:5])
        self._trade(window, active, draws[5:], ts)
        self._publish_oi(ts)
        return OptionChain(
            product=product,
            root=self.terms.root,
            expiry=self.expiry.isoformat(),
            expiry_ts=self.expiry_ts,
            ts_event=ts,
            ts_recv=ts,
            spot=spot,
            currency=self.terms.currency,
            multiplier=self.terms.multiplier,
            exercise=self.terms.exercise,
            settlement=self.terms.settlement,
            oi_unit="contracts",
            volume_unit="contracts",
            oi_cadence=self.terms.oi_cadence,
            oi_as_of=self._oi_as_of,
            lot=1.0,
            tick_size=self.terms.tick_size,
            columns=self._table[:, window].copy(),
        )

    def _quote(self, window: slice, mid: Floats, active: Floats, deviation: float, draws: Floats) -> None:
        """Renew a share of the quotes around the mid; never crossed, bid absent where worthless."""
        sides, edges, tick = self._sides[:, :, window], self._edges[:, :, window], self.terms.tick_size
        renewed = draws[0] < _REQUOTED
        np.copyto(edges, draws[1:3], where=renewed)
        half = (
            np.minimum(np.sqrt(1.0 / active) * (self._profile.width * deviation), mid * _WIDEST) + 0.5 * tick
        )
        reach = 0.5 * half + tick
        bid, ask = mid - (half + edges[0] * reach), mid + (half + edges[1] * reach)
        bid, ask = self._on_tick(bid, np.floor), self._on_tick(ask, np.ceil)
        missing = bid <= 0.0
        bid[missing] = np.nan
        sides[:, _BID], sides[:, _ASK] = bid, ask
        sizes = np.floor(draws[3:5] * active * (0.004 * self._profile.daily_volume)) + 1.0
        renewed |= np.isnan(sides[:, _BID_SIZE])
        np.copyto(sides[:, _BID_SIZE], sizes[0], where=renewed)
        np.copyto(sides[:, _ASK_SIZE], sizes[1], where=renewed)
        sides[:, _BID_SIZE][missing] = np.nan

    def _trade(self, window: slice, active: Floats, draws: Floats, ts: int) -> None:
        """Trade since each strike's last trade time, and open or close positions with it."""
        sides, live, target = self._sides[:, :, window], self._live[:, window], self._target[:, window]
        elapsed = (ts - self._session.open_ns) / 1e9
        session_s = (self._session.close_ns - self._session.open_ns) / 1e9
        share = (elapsed - self._since[window]) / session_s
        self._since[window] = elapsed
        traded = np.floor(active * (share * (2.0 * self._profile.daily_volume)) * draws[0] + draws[1])
        sides[:, _VOLUME] += traded
        wander = (draws[2] - 0.5) * (_OI_VOL * np.sqrt(share)) * target
        change = np.floor(wander + (target - live) * np.minimum(share, 1.0) + draws[3])
        live += np.minimum(np.maximum(change, -traded), traded)
        np.maximum(live, 0.0, out=live)
        bid, ask = sides[:, _BID], sides[:, _ASK]
        price = np.where((draws[4] < 0.5) | np.isnan(bid), ask, bid)
        happened = traded > 0.0
        np.copyto(sides[:, _LAST], price, where=happened)
        np.copyto(sides[:, _LAST_TRADE_US], float(ts // 1000), where=happened)

    def _publish_oi(self, ts: int) -> None:
        """Show the open interest as often as the exchange does."""
        if self._refresh_ns:
            as_of = max(ts - ts % self._refresh_ns, self._session.open_ns)
            if as_of > self._oi_as_of:
                self._sides[:, _OI] = self._live
                self._oi_as_of = as_of

    def _follow(self, forward: float) -> None:
        """Move the window when the forward has left its middle, listing strikes where there are none."""
        number = round(forward / self._step)
        if abs(number - (self._first + self._lo + self._size // 2)) <= max(1, self._size // 8):
            return
        first = max(number - self._size // 2, 1)
        end = self._first + self._book.shape[1]
        before = self._listed(first, max(self._first - first, 0))
        after = self._listed(end, max(first + self._size - end, 0))
        self._first = min(self._first, first)
        self._lo = first - self._first
        self._adopt(np.hstack((before, self._book, after)))

    def _adopt(self, book: Floats) -> None:
        """Take a matrix of `_BOOK_ROWS` rows as the state, and name its parts."""
        listed = book.shape[1]
        self._book, self._table = book, book[:CHAIN_ROWS]
        self._sides = book[1:CHAIN_ROWS].reshape(2, _SIDES, listed)
        own = book[CHAIN_ROWS:]
        self._edges = own[:4].reshape(2, 2, listed)
        self._live, self._target, self._since, self._log_strikes = own[4:6], own[6:8], own[8], own[9]

    def _listed(self, first: int, count: int) -> Floats:
        """The state of `count` strikes from number `first` on, as their session began."""
        book = np.full((_BOOK_ROWS, count), np.nan)
        if count == 0:
            return book
        numbers = np.arange(first, first + count)
        book[0] = numbers * self._step
        sides, own = book[1:CHAIN_ROWS].reshape(2, _SIDES, count), book[CHAIN_ROWS:]
        own[8], own[9] = 0.0, _logs(book[0])
        mid, z, _ = self._model(book[0], own[9], self._opened, self._session.open_ns)
        draws = uniforms(self._bits, (8, count))
        own[:4] = draws[:4]
        round_numbers = np.where(numbers % 10 == 0, 1.8, np.where(numbers % 5 == 0, 1.3, 1.0))
        shifted = z + _CENTRE
        busy = self._depth(self._session.open_ns) / (1.0 + shifted * shifted) * round_numbers
        own[6:8] = busy * self._profile.open_interest * (0.5 + draws[4:6])
        own[4:6] = np.floor(own[6:8] * (0.75 + 0.5 * draws[6:8]))
        sides[:, _OI] = sides[:, _PREV_OI] = own[4:6]
        if self._refresh_ns == 0:
            sides[:, _PREV_OI] = np.floor(own[6:8] * (0.75 + 0.5 * draws[2:4]))
        sides[:, _VOLUME] = 0.0
        sides[:, _PREV_CLOSE] = self._settled(mid)
        return book

    def _model(self, strikes: Floats, logs: Floats, state: State, ts: int) -> tuple[Floats, Floats, float]:
        """(mids float64[2, n], log-moneyness in standard deviations, the forward's standard deviation)."""
        t = (self.expiry_ts - ts) / YEAR_NS
        forward = self._forward(state.price, t)
        theta = self._profile.smile.theta(t, state.level)
        k = logs - ln(forward)
        deviations = np.sqrt(self._profile.smile.total_variance(k, theta))
        sigmas = deviations * (1.0 / math.sqrt(t))
        mids = black76.price(forward, strikes, t, sigmas, self._profile.rate, _IS_CALL)
        return mids, k / deviations, forward * math.sqrt(theta)

    def _forward(self, price: float, t: float) -> float:
        return price * (1.0 + self._profile.carry * t)

    def _depth(self, ts: int) -> float:
        """Activity of this expiry: 1 for the nearest, falling with the time that is left."""
        return 1.0 / (1.0 + 12.0 * ((self.expiry_ts - ts) / YEAR_NS))

    def _settled(self, mid: Floats) -> Floats:
        return np.maximum(self._on_tick(mid, np.rint), self.terms.tick_size)

    def _on_tick(self, prices: Floats, rounding: np.ufunc) -> Floats:
        """Prices on the tick that holds at their level; steps are given as steps per unit."""
        per_unit: float | Floats = self._ticks[0][1]
        for price, coarser in self._ticks[1:]:
            per_unit = np.where(prices < price, per_unit, coarser)
        on_tick: Floats = rounding(prices * per_unit) / per_unit
        return on_tick


def _logs(strikes: Floats) -> Floats:
    return np.array([ln(strike) for strike in strikes.tolist()])
