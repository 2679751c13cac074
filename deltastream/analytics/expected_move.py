"""The expected move: how far an underlying is priced to go until an expiry."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from deltastream.pricing import black76

__all__ = ["ONE_SIGMA", "ExpectedMove", "lognormal"]

ONE_SIGMA: Final = 1.0


class ExpectedMove(msgspec.Struct, frozen=True, kw_only=True):
    """A band around the forward.

    Attributes:
        low, high: price points.
        coverage: probability that the price at expiry lies within, where it is lognormal about the forward.
    """

    low: float
    high: float
    coverage: float


def lognormal(forward: float, sigma: float, t: float, z: float = ONE_SIGMA) -> ExpectedMove | None:
    """The band ``F exp(-z s)`` to ``F exp(z s)`` with ``s = sigma sqrt(t)``, lognormal and so asymmetric.

    The logarithm of the price has its mean ``s^2 / 2`` below that of the forward, so that the band covers
    ``N(z + s/2) + N(z - s/2) - 1``: 0.6827 for one z and a short time, and less the longer it is.

    Args:
        forward: price for the expiry, positive.
        sigma: volatility at the money, per square root of a year.
        t: years to expiry.
        z: standard deviations on each side.

    Returns:
        The band, of the same bits on every machine; None where it has no width or no finite end.
    """
    s = sigma * math.sqrt(t)
    if not s > 0:
        return None
    # a call struck at 0 costs the forward, discounted: exp() as the core has it
    low, high = black76.price(forward, 0.0, 1.0, 0.0, [z * s, -z * s], is_call=True).tolist()
    if not (low > 0 and math.isfinite(high)):
        return None
    below = black76.all_greeks(forward, [low, high], t, sigma, 0.0, is_call=True).forward_delta  # N(d1)
    return ExpectedMove(low=low, high=high, coverage=float(below[0] - below[1]))
