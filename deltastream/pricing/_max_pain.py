"""Max pain of one chain."""

from __future__ import annotations

import math

import msgspec
from numpy.typing import ArrayLike

from deltastream import _core
from deltastream.pricing._arguments import vector

__all__ = ["MaxPain", "max_pain"]


class MaxPain(msgspec.Struct, frozen=True):
    """Where the writers of all open contracts would pay least. All NaN without any open interest.

    Attributes:
        low: lowest strike of the interval of least pain.
        high: its highest strike; pain is flat between the two.
        point: the point of the interval nearest the spot, its lower end where there is none.
        pain: what would be paid there, in points times the unit of the open interest.
    """

    low: float
    high: float
    point: float
    pain: float


def max_pain(strikes: ArrayLike, call_oi: ArrayLike, put_oi: ArrayLike, *, spot: float = math.nan) -> MaxPain:
    """Find the settlement prices that minimise what all open contracts are worth.

    ``pain(x) = sum(call_oi * max(0, x - K)) + sum(put_oi * max(0, K - x))`` is convex and linear between
    strikes; one pass over the slopes is exact. Slopes below 1e-9 of all open interest count as flat.

    Args:
        strikes: ``[n]``, finite, positive, strictly ascending.
        call_oi: ``[n]``, open interest of the calls; absent, negative and infinite values count as none.
        put_oi: ``[n]``, likewise of the puts.
        spot: price that selects the point of a flat interval.

    Returns:
        The interval, its point nearest the spot, and the pain there.

    Raises:
        TypeError: an argument holds something else than real numbers.
        ValueError: arrays of different lengths (both are named) or not of one dimension; strikes that are not
            finite, positive and ascending.

    Example:
        >>> from deltastream.pricing import max_pain
        >>> max_pain([90, 100, 110], call_oi=[0, 5, 20], put_oi=[20, 5, 0], spot=103.0)
        MaxPain(low=100.0, high=100.0, point=100.0, pain=0.0)
    """
    columns = (vector("strikes", strikes), vector("call_oi", call_oi), vector("put_oi", put_oi))
    return MaxPain(*_core.max_pain(*columns, float(spot)))
