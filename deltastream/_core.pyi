"""Option mathematics: prices, Greeks, implied volatilities, chain sweeps, max pain and bars; columns as sent.

This is the private side; `deltastream.pricing` is the public one, which takes any numbers and broadcasts.

Every function is pure and gives the same bits on every machine. Arrays must be C-contiguous and aligned NumPy
arrays of exactly the dtype stated. From 16 elements on the GIL is released while computing options.

Conventions: ``r`` is continuously compounded, ``T`` is in years (ACT/365 to the expiry instant), prices are
``exp(-r T)`` times Black's formula on the forward ``F``. Theta is per calendar day that passes (``-dV/dT /
365``), vega per 0.01 of volatility, rho per 0.01 of rate; a derivative holds the model's other inputs fixed.

Raises (all functions):
    TypeError: an argument is not a NumPy array, or its dtype is not the one stated.
    ValueError: wrong number of dimensions, shapes that do not belong together (both are named), an array that
        is not C-contiguous, or one that a call in another thread is writing to.
"""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Bars",
    "ColumnNames",
    "Summary",
    "__version__",
    "all_greeks",
    "build_profile",
    "greeks",
    "implied_volatility",
    "levels",
    "max_pain",
    "ohlc",
    "price",
    "sweep",
]

__version__: Final[str]
"""Version of the package this extension was built from."""

_Number: TypeAlias = float | NDArray[np.float64]
_Flag: TypeAlias = bool | NDArray[np.bool_]

build_profile: Final[str]
"""``"release"`` or ``"debug"``: how the extension was compiled. Benchmarks refuse anything but a release."""

def levels() -> tuple[str, ...]:
    """Instruction sets that the kernels are compiled for and this processor has, the best one last.

    Of ``"baseline"``, ``"avx2"``, ``"avx512"``. Results are the same bits on each.
    """

def price(
    model: str,
    underlying: _Number,
    strike: _Number,
    t: _Number,
    sigma: _Number,
    rate: _Number,
    dividend_yield: _Number,
    is_call: _Flag,
    out: NDArray[np.float64],
    level: str | None = None,
    /,
) -> None:
    """Prices options.

    Each argument up to ``is_call`` is one value for all options, a Python float or bool, or an array of one
    for each: float64 or bool, with as many elements as ``out``, of any shape. Arrays are read where they are,
    not copied: no other thread may write to them during the call.

    Relative error below 1e-12 wherever the price is above 1e-200 of the forward. An element is NaN where an
    argument is out of the domain: underlying not finite and positive; strike, ``t`` or ``sigma`` negative or
    not finite; a rate that gives no finite positive discount factor; anything NaN.

    Args:
        model: ``"black76"`` or ``"bsm"`` (Black-Scholes-Merton).
        underlying: Forward price for the expiry (black76), price of the underlying (bsm).
        strike: A strike of 0 is a strike.
        t: Years to expiry; at 0 the price is the intrinsic value.
        sigma: Volatility per square root of a year.
        rate: Continuously compounded rate per year.
        dividend_yield: Continuously compounded yield per year; not used by black76.
        is_call: True for a call, False for a put.
        out: ``float64[n]`` of any shape, to be written; must overlap no input.
        level: One of `levels` to compute with; None for the best.

    Raises:
        ValueError: ``out`` is read-only or overlaps an input; an unknown model or level.
    """

def greeks(
    model: str,
    underlying: _Number,
    strike: _Number,
    t: _Number,
    sigma: _Number,
    rate: _Number,
    dividend_yield: _Number,
    is_call: _Flag,
    raw: bool,
    out: tuple[NDArray[np.float64], ...],
    level: str | None = None,
    /,
) -> None:
    """Computes prices and the usual sensitivities; other arguments and errors as of `price`.

    Args:
        raw: Plain derivatives: per year, per 1.00 of volatility and rate, the signs as they are.
        out: Six arrays that overlap neither an input nor one another: price, delta, gamma, vega, theta, rho.
    """

def all_greeks(
    model: str,
    underlying: _Number,
    strike: _Number,
    t: _Number,
    sigma: _Number,
    rate: _Number,
    dividend_yield: _Number,
    is_call: _Flag,
    raw: bool,
    out: tuple[NDArray[np.float64], ...],
    level: str | None = None,
    /,
) -> None:
    """Computes prices and all sensitivities; other arguments and errors as of `greeks`.

    Args:
        out: Fifteen arrays: those of `greeks`, then vanna, charm, vomma, veta, speed, zomma, color, ultima,
            forward delta. Formulas and units: `deltastream.pricing.AllGreeks`.
    """

def implied_volatility(
    model: str,
    price: _Number,
    underlying: _Number,
    strike: _Number,
    t: _Number,
    rate: _Number,
    dividend_yield: _Number,
    is_call: _Flag,
    sigma_out: NDArray[np.float64],
    status_out: NDArray[np.uint8],
    level: str | None = None,
    /,
) -> None:
    """Finds the volatilities that reproduce prices; other arguments and errors as of `price`.

    Method of Jaeckel, "Let's Be Rational" (Wilmott 2015), on the out-of-the-money equivalent; always ends.

    Args:
        price: Discounted prices; NaN where there is none.
        sigma_out: ``float64[n]``, to be written: per square root of a year, NaN unless converged.
        status_out: ``uint8[n]``, to be written: 0 converged, 1 no price, 2 below the discounted intrinsic
            value, 3 at or above what infinite volatility gives, 4 so near one of these bounds that the digits
            of the price determine no volatility, 5 ``t`` is not positive, 6 the underlying is not finite and
            positive, 7 a strike, time or rate for which there is none.
    """

@final
class Summary:
    """The numbers of a whole chain. Absent values are NaN; codes and counts are integers."""

    @property
    def forward(self) -> float:
        """Forward price; NaN without time to expiry or without any source."""
    @property
    def forward_error(self) -> float:
        """Median absolute deviation of the votes behind a parity forward, else NaN."""
    @property
    def forward_source(self) -> int:
        """0 put-call parity, 1 future, 2 spot, 3 none."""
    @property
    def atm_strike(self) -> float:
        """Listed strike nearest the forward (else the spot), the lower on a tie."""
    @property
    def atm_source(self) -> int:
        """What ``atm_strike`` is nearest to: 0 forward, 1 spot, 2 none."""
    @property
    def straddle(self) -> float:
        """Price of call plus put at ``atm_strike``."""
    @property
    def straddle_source(self) -> int:
        """0 both mids, 1 the last price for at least one side without a two-sided quote, 2 none."""
    @property
    def atm_iv(self) -> float:
        """Volatility at the forward, linear in total variance over ``ln(K/F)`` between the nearest strikes on
        either side that have one (out-of-the-money side first); NaN where either is missing."""
    @property
    def avg_iv(self) -> float:
        """Mean of the mid volatilities of the out-of-the-money quotes: puts below, others calls."""
    @property
    def call_oi(self) -> float:
        """Sum of the calls' open interest; NaN where no strike has any value."""
    @property
    def put_oi(self) -> float:
        """Sum of the puts' open interest; NaN where no strike has any value."""
    @property
    def call_volume(self) -> float:
        """Sum of the calls' volume; NaN where no strike has any value."""
    @property
    def put_volume(self) -> float:
        """Sum of the puts' volume; NaN where no strike has any value."""
    @property
    def call_oi_change(self) -> float:
        """Sum of the calls' ``oi - prev_oi``; NaN where no strike has both."""
    @property
    def put_oi_change(self) -> float:
        """Sum of the puts' ``oi - prev_oi``; NaN where no strike has both."""
    @property
    def pcr_oi(self) -> float:
        """``put_oi / call_oi``; NaN where either is absent or ``call_oi`` is zero."""
    @property
    def pcr_volume(self) -> float:
        """``put_volume / call_volume``; NaN where either is absent or ``call_volume`` is zero."""
    @property
    def max_pain_lo(self) -> float:
        """Lowest strike of the interval of least pain; NaN without open interest."""
    @property
    def max_pain_hi(self) -> float:
        """Highest strike of the interval of least pain."""
    @property
    def max_pain_strike(self) -> float:
        """Point of that interval nearest the spot (else the forward, else its lower end)."""
    @property
    def max_pain_value(self) -> float:
        """Pain there, in points times the unit of the open interest (multiplier 1)."""
    @property
    def strikes(self) -> int:
        """Number of strikes."""
    @property
    def two_sided(self) -> int:
        """Strikes whose call and put both have a two-sided quote that is not crossed."""
    @property
    def converged(self) -> int:
        """Quotes, calls and puts, whose own mid volatility converged."""
    @property
    def call_oi_count(self) -> int:
        """Calls with open interest stated."""
    @property
    def put_oi_count(self) -> int:
        """Puts with open interest stated."""
    @property
    def call_volume_count(self) -> int:
        """Calls with volume stated."""
    @property
    def put_volume_count(self) -> int:
        """Puts with volume stated."""
    @property
    def call_oi_change_count(self) -> int:
        """Calls with open interest stated now and for the previous session."""
    @property
    def put_oi_change_count(self) -> int:
        """Puts with open interest stated now and for the previous session."""
    @property
    def call_gex(self) -> float:
        """Gamma exposure of the calls, each with sign +1: sum of ``gamma * oi * m * S**2 / 100``, currency of
        delta per 1 % of the spot. This and the seven below are NaN where no contract of the side enters, or
        the multiplier is not known."""
    @property
    def put_gex(self) -> float:
        """Gamma exposure of the puts, each with sign +1."""
    @property
    def call_dex(self) -> float:
        """Delta exposure of the calls: sum of ``delta * oi * m * S``, currency of delta."""
    @property
    def put_dex(self) -> float:
        """Delta exposure of the puts, each with sign +1 (so it is negative, as their deltas are)."""
    @property
    def call_vex(self) -> float:
        """Vanna exposure of the calls: sum of ``vanna * oi * m * S``, as ``call_dex`` per vol point."""
    @property
    def put_vex(self) -> float:
        """Vanna exposure of the puts, each with sign +1."""
    @property
    def call_chex(self) -> float:
        """Charm exposure of the calls: sum of ``charm * oi * m * S``, currency of delta per calendar day."""
    @property
    def put_chex(self) -> float:
        """Charm exposure of the puts, each with sign +1."""
    @property
    def gex(self) -> float:
        """Net gamma exposure under the convention; this and the three below are NaN where a side is."""
    @property
    def dex(self) -> float:
        """Net delta exposure under the convention."""
    @property
    def vex(self) -> float:
        """Net vanna exposure under the convention."""
    @property
    def chex(self) -> float:
        """Net charm exposure under the convention."""
    @property
    def call_wall(self) -> float:
        """Strike of the largest gamma exposure of calls, multiplier or not; the lowest on a tie, NaN at 0."""
    @property
    def put_wall(self) -> float:
        """Strike of the largest gamma exposure among the puts."""
    @property
    def absolute_gamma_strike(self) -> float:
        """Strike of the largest sum of the magnitudes of both."""
    @property
    def exposure_count(self) -> int:
        """Contracts that entered the exposures: open interest stated, delta, gamma, vanna, charm finite."""
    @property
    def exposure_coverage(self) -> float:
        """Their share of all the open interest stated; NaN where that is none."""
    def as_tuple(self) -> tuple[float | int, ...]:
        """All values in the order of this listing."""

def sweep(
    columns: NDArray[np.float64],
    *,
    spot: float,
    future: float,
    t: float,
    rate: float,
    tick_size: float,
    lot: float,
    multiplier: float,
    convention: Literal["naive", "inverse", "short_all"],
    level: str | None = None,
) -> tuple[NDArray[np.float64], Summary]:
    """Computes everything the enricher needs of one chain, with the same bits on every level.

    A price is there when it is finite and positive, a quantity (volume, open interest) when it is finite and
    not negative; anything else is absent. The mid is ``(bid + ask) / 2`` of a quote with both that is not
    crossed.

    The forward is the median of ``K + exp(r T) (C - P)`` over mids at the 7 strikes nearest the spot (else
    the future, else the median strike) where both sides have one; where there is none, or it is not positive,
    the future; else the spot.

    Args:
        columns: ``float64[23, n]``: row 0 strikes, finite, positive, strictly ascending; rows 1-11 the calls,
            rows 12-22 the puts: bid, bid size, ask, ask size, last, volume, open interest, previous close,
            previous open interest, last-trade time (microseconds), vendor volatility.
        spot: Price of the underlying, or NaN.
        future: Price of the future of the same expiry, or NaN.
        t: Years to expiry; NaN or not positive: what depends on time is NaN, the rest is computed.
        rate: Continuously compounded rate per year.
        tick_size: Smallest price step, the threshold of a price change; NaN counts as 0.
        lot: Contract size in the unit of the open interest; the threshold of its change is the larger of one
            lot and 0.5 % of the previous value; NaN counts as 0.
        multiplier: Units of the underlying per unit of open interest; NaN: exposures are NaN.
        convention: Which side of every contract dealers are taken to hold, for the net exposures. "naive":
            long the calls, short the puts; "inverse": the other way round; "short_all": short both. These are
            conventions, not observations.
        level: Instruction set, one of those this processor has; None for the best.

    Returns:
        ``(values, summary)``. ``values`` is ``float64[38, n]``, rows 0-10 the calls, rows 11-21 the puts,
        then rows 22-29 the further Greeks of the calls, rows 30-37 those of the puts:

        ==  ===========  ==============================================================================
        0   bid_iv       volatility at the bid, NaN unless solvable
        1   iv           volatility at the mid, NaN unless converged
        2   ask_iv       volatility at the ask, NaN unless solvable
        3   iv_status    of the mid, as in `implied_volatility` (1: no two-sided quote), plus 16 where the
                         Greeks use the volatility of the other side at the same strike
        4   delta        Greeks at ``iv``, or where it is NaN at the other side's
        5   gamma
        6   theta
        7   vega
        8   rho
        9   oi_change    ``oi - prev_oi``, NaN where either is absent
        10  buildup      of ``last - prev_close`` and ``oi_change``: 0 neutral, 1 long build-up, 2 short
                         build-up, 3 short covering, 4 long unwinding; NaN where one of the four is absent
        22  vanna        ``d2V / dS dsigma``, per volatility point
        23  charm        ``-d2V / dS dT``, per calendar day
        24  vomma        ``d2V / dsigma2``, per volatility point squared
        25  veta         ``d2V / dsigma dT``, per volatility point and calendar day
        26  speed        ``d3V / dS3``
        27  zomma        ``d3V / dS2 dsigma``, per volatility point
        28  color        ``d3V / dS2 dT``, per calendar day
        29  ultima       ``d3V / dsigma3``, per volatility point cubed
        ==  ===========  ==============================================================================

    Raises:
        ValueError: a strike is not finite and positive, or not above the one before (it is named by its
            position); there is no such convention or level.
    """

def max_pain(
    strikes: NDArray[np.float64], call_oi: NDArray[np.float64], put_oi: NDArray[np.float64], spot: float
) -> tuple[float, float, float, float]:
    """Finds where the writers of all open contracts would pay least, in one pass.

    Pain is linear between strikes; slopes below 1e-9 of all open interest count as flat.

    Args:
        strikes: ``float64[n]``, finite, positive, strictly ascending.
        call_oi: ``float64[n]``; absent, negative and infinite values count as none.
        put_oi: ``float64[n]``, likewise.
        spot: Price that selects the point of the interval, or NaN for its lower end.

    Returns:
        ``(lo, hi, point, pain)``: the interval of least pain, its point nearest ``spot``, and the pain there
        in points times the unit of the open interest. All NaN without any open interest.

    Raises:
        ValueError: a strike is not finite and positive, or not above the one before.
    """

@final
class Bars:
    """Bars of one element per bar, ascending by ``start``; intervals without a tick have no bar.

    Unchangeable; each access to a column makes a new array. Equal where all bars and `interval_ns` are.
    """

    @property
    def interval_ns(self) -> int:
        """Length of each interval, nanoseconds."""
    @property
    def start(self) -> NDArray[np.int64]:
        """First nanosecond of the interval, a multiple of its length since the epoch."""
    @property
    def open(self) -> NDArray[np.float64]:
        """Price of the tick with the smallest ``(ts, order)``."""
    @property
    def high(self) -> NDArray[np.float64]:
        """Highest price."""
    @property
    def low(self) -> NDArray[np.float64]:
        """Lowest price."""
    @property
    def close(self) -> NDArray[np.float64]:
        """Price of the tick with the greatest ``(ts, order)``."""
    @property
    def count(self) -> NDArray[np.int64]:
        """Number of distinct ticks."""
    @property
    def first_ts(self) -> NDArray[np.int64]:
        """Time of the first tick, nanoseconds."""
    @property
    def first_order(self) -> NDArray[np.int64]:
        """Order of the first tick."""
    @property
    def last_ts(self) -> NDArray[np.int64]:
        """Time of the last tick, nanoseconds."""
    @property
    def last_order(self) -> NDArray[np.int64]:
        """Order of the last tick."""
    def merge(self, other: Bars) -> Bars:
        """The bars of the ticks of both, as one aggregation of all of them would give.

        Where both have a bar of the same interval: open of the smaller first and close of the greater last
        ``(ts, order)``, highest high, lowest low, sum of counts. The order of merging does not matter.

        Args:
            other: Bars of the same length, of other ticks. A tick that both hold would count twice; where it
                is the first or last of its bar on both sides, that is noticed.

        Raises:
            ValueError: the lengths differ (both are named), or a tick is noticed in both.
        """
    def __len__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...

def ohlc(
    ts_ns: NDArray[np.int64], order: NDArray[np.int64], price: NDArray[np.float64], interval_ns: int
) -> Bars:
    """Aggregates ticks, in any order, to bars aligned to the epoch.

    Ticks that come in ascending order of ``(ts, order)`` take one pass; others are sorted first, the quicker
    the fewer ascending runs they are made of.

    Args:
        ts_ns: ``int64[n]``, time of each tick in nanoseconds UTC.
        order: ``int64[n]``, order among ticks of the same time. A repeated ``(ts, order)`` counts once.
        price: ``float64[n]``.
        interval_ns: Length of a bar in nanoseconds.

    Returns:
        The bars; none for no ticks.

    Raises:
        ValueError: a price is not finite and positive, one ``(ts, order)`` has two prices, the interval is
            not positive, or a bar would begin before the earliest int64; the tick is named by its position.
    """

@final
class ColumnNames:
    """Names of columns, each with whether its numbers are whole; of 1 to 255 letters, digits and underscores.

    Columns are sent by name, as arrays. A number that is not finite is null. A whole one is an integer, up to
    2**53; any other a double, in JSON the shortest text that reads back as the same one.
    """

    def __new__(cls, columns: Sequence[tuple[str, bool]]) -> ColumnNames: ...
    def json(self, columns: NDArray[np.float64], which: Sequence[int] | None = None) -> bytes:
        """A JSON object of ``float64[k, n]``; ``which`` are their numbers (None: all), or `IndexError`."""
    def msgpack(self, columns: NDArray[np.float64], which: Sequence[int] | None = None) -> bytes:
        """Likewise a MessagePack map."""
    def differing(self, old: NDArray[np.float64], new: NDArray[np.float64]) -> tuple[list[int], list[int]]:
        """Numbers of the columns in which two ``float64[k, n]`` differ, and the places; NaN equals NaN."""
