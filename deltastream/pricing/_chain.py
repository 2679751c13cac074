"""Everything of one chain in one call, with named columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltastream import _core
from deltastream._core import Summary
from deltastream.messages.columns import CHAIN_ROWS, SIDE_COLUMNS
from deltastream.pricing._arguments import real, vector
from deltastream.pricing._results import Columns

__all__ = ["ChainSide", "ChainSweep", "Convention", "chain_columns", "sweep"]

Floats = NDArray[np.float64]
Convention = Literal["naive", "inverse", "short_all"]

_FIRST: Final = 11  # rows per side before those of second and third order
_HIGHER: Final = 8


class ChainSide(Columns, frozen=True, eq=False):
    """What the sweep finds for each strike of one side, all ``float64[n]``; NaN where there is nothing.

    Greeks are to the spot with the carry that the forward implies held fixed, in the units of `AllGreeks`.

    Attributes:
        bid_iv: volatility at the bid.
        iv: volatility at the mid.
        ask_iv: volatility at the ask.
        iv_status: of the mid, a code of `STATUSES` (1: no two-sided quote), plus 16 where the Greeks use the
            volatility of the other side at the same strike.
        delta: at `iv`, or where that is NaN at the other side's; so are all Greeks.
        gamma: see `AllGreeks`.
        theta: see `AllGreeks`.
        vega: see `AllGreeks`.
        rho: see `AllGreeks`.
        oi_change: open interest less the previous session's.
        buildup: 0 neutral, 1 long build-up, 2 short build-up, 3 short covering, 4 long unwinding.
        vanna: see `AllGreeks`.
        charm: see `AllGreeks`.
        vomma: see `AllGreeks`.
        veta: see `AllGreeks`.
        speed: see `AllGreeks`.
        zomma: see `AllGreeks`.
        color: see `AllGreeks`.
        ultima: see `AllGreeks`.
    """

    bid_iv: Floats
    iv: Floats
    ask_iv: Floats
    iv_status: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats
    oi_change: Floats
    buildup: Floats
    vanna: Floats
    charm: Floats
    vomma: Floats
    veta: Floats
    speed: Floats
    zomma: Floats
    color: Floats
    ultima: Floats


class ChainSweep(msgspec.Struct, frozen=True, eq=False):
    """A chain's numbers.

    Attributes:
        strikes: ``float64[n]``, as they were given.
        calls: per strike.
        puts: per strike.
        summary: forward, at the money, totals, ratios, max pain, exposures, walls: see `Summary`.
    """

    strikes: Floats
    calls: ChainSide
    puts: ChainSide
    summary: Summary


def chain_columns(
    strikes: ArrayLike, calls: Mapping[str, ArrayLike], puts: Mapping[str, ArrayLike]
) -> Floats:
    """Lay named columns out as the matrix that `sweep` takes.

    Args:
        strikes: ``[n]``, finite, positive, strictly ascending.
        calls: from names to ``[n]``, or one number for all strikes: ``bid``, ``bid_size``, ``ask``,
            ``ask_size``, ``last``, ``volume``, ``oi``, ``prev_close``, ``prev_oi``, ``last_trade_us``,
            ``vendor_iv``. A mapping, or a frame of pandas or polars. What is left out is absent.
        puts: likewise.

    Returns:
        ``float64[23, n]``: the strikes, eleven rows of the calls, eleven of the puts.

    Raises:
        TypeError: a column holds something else than real numbers.
        ValueError: a name that is not in the list, or a column of another length; it is named.
    """
    levels = vector("strikes", strikes)
    columns = np.full((CHAIN_ROWS, len(levels)), math.nan)
    columns[0] = levels
    _lay(columns[1 : 1 + len(SIDE_COLUMNS)], "calls", calls)
    _lay(columns[1 + len(SIDE_COLUMNS) :], "puts", puts)
    return columns


def sweep(
    columns: ArrayLike,
    *,
    t: float,
    rate: float,
    spot: float = math.nan,
    future: float = math.nan,
    tick_size: float = math.nan,
    lot: float = math.nan,
    multiplier: float = math.nan,
    convention: Convention = "naive",
) -> ChainSweep:
    """Compute the forward, volatilities, Greeks and metrics of one chain.

    A price is there when it is finite and positive, a quantity when it is finite and not negative. The
    forward is the median of put-call parity at the strikes nearest the spot; where there is none, the future,
    else the spot.

    Args:
        columns: ``[23, n]``, of `chain_columns`.
        t: years to the expiry instant; NaN or not positive: what depends on time is NaN, the rest is there.
        rate: per year, continuously compounded.
        spot: price of the underlying, or NaN.
        future: price of the future of the same expiry, or NaN.
        tick_size: smallest price step, the threshold of a price change; NaN counts as 0.
        lot: contract size in the unit of the open interest, the least threshold of its change; NaN counts
            as 0.
        multiplier: units of the underlying per unit of open interest; NaN: there are no exposures.
        convention: what dealers are taken to hold: ``"naive"`` long calls and short puts, ``"inverse"`` short
            calls and long puts, ``"short_all"`` short of both.

    Returns:
        The chain's numbers, by name.

    Raises:
        TypeError: the columns are not real numbers.
        ValueError: they are not 23 rows; strikes are not finite, positive and ascending; an unknown
            convention.
    """
    matrix = np.ascontiguousarray(real("columns", columns))
    values, summary = _core.sweep(
        matrix,
        spot=spot,
        future=future,
        t=t,
        rate=rate,
        tick_size=tick_size,
        lot=lot,
        multiplier=multiplier,
        convention=convention,
    )
    rows = list(values)
    calls, puts = rows[:_FIRST], rows[_FIRST : 2 * _FIRST]
    higher = rows[2 * _FIRST :]
    return ChainSweep(
        matrix[0],
        ChainSide(*calls, *higher[:_HIGHER]),
        ChainSide(*puts, *higher[_HIGHER:]),
        summary,
    )


def _lay(rows: Floats, side: str, given: Mapping[str, Any]) -> None:
    for name in getattr(given, "columns", given):  # a polars frame iterates over its columns, not their names
        if name not in SIDE_COLUMNS:
            raise ValueError(f"{side} have no column {name!r}; there are {', '.join(SIDE_COLUMNS)}")
        column = real(f"{side}[{name!r}]", given[name])
        if isinstance(column, np.ndarray) and column.shape != rows.shape[1:]:
            raise ValueError(
                f"{side}[{name!r}] has shape {column.shape}, but strikes has shape {rows.shape[1:]}"
            )
        rows[SIDE_COLUMNS.index(name)] = column
