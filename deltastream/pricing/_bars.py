"""Bars of ticks."""

from __future__ import annotations

from numpy.typing import ArrayLike

from deltastream import _core
from deltastream._core import Bars
from deltastream.pricing._arguments import integers, vector

__all__ = ["Bars", "ohlc"]


def ohlc(ts_ns: ArrayLike, order: ArrayLike, price: ArrayLike, interval_ns: int) -> Bars:
    """Aggregate ticks, in any order, to bars aligned to the epoch.

    Bars of parts of the ticks, such as those that came late, are joined by `Bars.merge`.

    Args:
        ts_ns: integers ``[n]``, time of each tick in nanoseconds UTC.
        order: integers ``[n]``, order among ticks of the same time, such as a sequence number. A repeated
            ``(ts, order)`` counts once.
        price: ``[n]``, finite and positive.
        interval_ns: length of a bar in nanoseconds.

    Returns:
        The bars as columns; none for no ticks.

    Raises:
        TypeError: times or orders are not integers, prices not real numbers.
        ValueError: arrays of different lengths; a price that is not finite and positive, one ``(ts, order)``
            with two prices, an interval that is not positive, or a bar that would begin before the earliest
            int64. The tick is named by its position.

    Example:
        >>> from deltastream.pricing import ohlc
        >>> bars = ohlc([3, 1, 12], [0, 0, 0], [101.0, 100.0, 99.5], interval_ns=10)
        >>> bars.start, bars.open, bars.close
        (array([ 0, 10]), array([100. ,  99.5]), array([101. ,  99.5]))
    """
    ticks = (integers("ts_ns", ts_ns), integers("order", order), vector("price", price))
    return _core.ohlc(*ticks, interval_ns)
