"""Black-Scholes-Merton: European options on a spot with a continuous dividend yield.

With spot ``S``, strike ``K``, years to expiry ``T``, volatility ``sigma``, continuously compounded rate ``r``
and dividend yield ``q``: Black's formula on the forward ``F = S exp((r - q) T)``::

    d1 = (ln(F/K) + sigma**2 T / 2) / (sigma sqrt(T)),  d2 = d1 - sigma sqrt(T)
    call = exp(-q T) S N(d1) - exp(-r T) K N(d2),  put = exp(-r T) K N(-d2) - exp(-q T) S N(-d1)

Source: R. C. Merton, "Theory of rational option pricing", Bell Journal of Economics 4 (1973). Derivatives
hold the others of ``S, r, q, sigma, T`` fixed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltastream.pricing import _calls
from deltastream.pricing._results import AllGreeks, Greeks, ImpliedVolatility

__all__ = ["all_greeks", "greeks", "implied_volatility", "price"]

_NAMES: Final = ("spot", "strike", "t", "sigma", "rate", "dividend_yield")
_QUOTED: Final = ("price", "spot", "strike", "t", "rate", "dividend_yield")


def price(
    spot: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    out: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Prices of calls and puts, discounted.

    The relative error is at most 1e-12 wherever the price is above 1e-200 of the forward and what rounding
    the arguments causes. The value of
    the out-of-the-money side is computed as such, never as a difference of large numbers: method after
    P. Jaeckel, "Let's Be Rational", Wilmott 2015.

    Args:
        spot: price of the underlying; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
        dividend_yield: per year, continuously compounded.
        is_call: True for a call, False for a put.
        out: ``float64`` array of the result's shape, C-contiguous, to be filled and returned; it must not
            overlap an input.

    Returns:
        ``float64`` array of the broadcast shape, an ``np.float64`` where all inputs are scalars. In the unit
        of the underlying. At ``t = 0`` or ``sigma = 0`` the discounted intrinsic value; NaN where an input
        is NaN or outside the domain.

    Raises:
        TypeError: an argument holds something else than real numbers, ``is_call`` something else than
            booleans, or ``out`` is no array of float64; the argument and its dtype are named.
        ValueError: shapes do not broadcast (both are named), or ``out`` has another shape, is not contiguous,
            is read-only, overlaps an input, or is in use by another thread.

    Example:
        >>> from deltastream.pricing import bsm
        >>> bsm.price(100.0, [90.0, 100.0, 110.0], 0.5, 0.2, 0.03, 0.01, True).round(4)
        array([12.3918,  6.0901,  2.4606])
    """
    values = (spot, strike, t, sigma, rate, dividend_yield)
    return _calls.price("bsm", _NAMES, values, is_call, out)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    raw: bool = False,
    out: Greeks | None = None,
) -> Greeks:
    """Prices, delta, gamma, vega, theta and rho.

    Error at most 1e-10 of (the value plus its natural scale).

    Args:
        spot: price of the underlying; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
        dividend_yield: per year, continuously compounded.
        is_call: True for a call, False for a put.
        raw: plain derivatives instead of those in the units of `Greeks`.
        out: a result of an earlier call, or `Greeks.empty`, to be filled and returned; see `price`.

    Returns:
        The struct of arrays; formulas and units are at `Greeks`, limits at expiry, zero volatility and zero
        strike in ``docs/pricing.md``.

    Raises:
        TypeError: as `price`.
        ValueError: as `price`; two fields of ``out`` overlap.

    Example:
        >>> from deltastream.pricing import bsm
        >>> result = bsm.greeks(100.0, 100.0, 0.5, 0.2, 0.03, 0.01, [True, False])
        >>> result.delta.round(4)
        array([ 0.5535, -0.4416])
    """
    values = (spot, strike, t, sigma, rate, dividend_yield)
    return _calls.greeks("bsm", _NAMES, values, is_call, raw, out)


def all_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    raw: bool = False,
    out: AllGreeks | None = None,
) -> AllGreeks:
    """Everything of `greeks`, and vanna, charm, vomma, veta, speed, zomma, color, ultima, forward delta.

    Args:
        spot: price of the underlying; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
        dividend_yield: per year, continuously compounded.
        is_call: True for a call, False for a put.
        raw: plain derivatives instead of those in the units of `AllGreeks`.
        out: a result of an earlier call, or `AllGreeks.empty`, to be filled and returned; see `price`.

    Returns:
        The struct of arrays; formulas and units are at `AllGreeks`.

    Raises:
        TypeError: as `price`.
        ValueError: as `price`; two fields of ``out`` overlap.
    """
    values = (spot, strike, t, sigma, rate, dividend_yield)
    return _calls.all_greeks("bsm", _NAMES, values, is_call, raw, out)


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    rate: ArrayLike,
    dividend_yield: ArrayLike,
    is_call: ArrayLike,
    *,
    out: ImpliedVolatility | None = None,
) -> ImpliedVolatility:
    """Volatilities that reproduce prices.

    Always ends, after a bounded number of steps; the volatility is as exact as the digits of the price allow.
    Method after P. Jaeckel, "Let's Be Rational", Wilmott 2015, on the out-of-the-money equivalent.

    Args:
        price: discounted prices, as `price` gives them; NaN where there is none.
        spot: price of the underlying; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        rate: per year, continuously compounded, 0.05 for 5 %.
        dividend_yield: per year, continuously compounded.
        is_call: True for a call, False for a put.
        out: a result of an earlier call, or `ImpliedVolatility.empty`, to be filled and returned; see
            `price`.

    Returns:
        Volatility and status of each price. The volatility is NaN unless the status is 0.

    Raises:
        TypeError: as `price`.
        ValueError: as `price`; the fields of ``out`` overlap.

    Example:
        >>> from deltastream.pricing import bsm
        >>> result = bsm.implied_volatility([5.5, 0.0], 100.0, [100.0, 90.0], 0.5, 0.03, 0.01, True)
        >>> result.sigma.round(4)
        array([0.1788,    nan])
        >>> list(result.reason)
        ['converged', 'below_intrinsic']
    """
    values = (price, spot, strike, t, rate, dividend_yield)
    return _calls.implied_volatility("bsm", _QUOTED, values, is_call, out)
