"""Black-76: European options on a forward.

With forward ``F``, strike ``K``, years to expiry ``T``, volatility ``sigma`` and continuously compounded
rate ``r``::

    d1 = (ln(F/K) + sigma**2 T / 2) / (sigma sqrt(T)),  d2 = d1 - sigma sqrt(T)
    call = exp(-r T) (F N(d1) - K N(d2)),  put = exp(-r T) (K N(-d2) - F N(-d1))

Source: F. Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976). Derivatives
hold the others of ``F, r, sigma, T`` fixed: rho is ``-T V``, theta is at a fixed forward. For derivatives by
the spot see `deltastream.pricing.bsm`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deltastream.pricing import _calls
from deltastream.pricing._results import AllGreeks, Greeks, ImpliedVolatility

__all__ = ["all_greeks", "greeks", "implied_volatility", "price"]

_NAMES: Final = ("forward", "strike", "t", "sigma", "rate", "dividend_yield")
_QUOTED: Final = ("price", "forward", "strike", "t", "rate", "dividend_yield")


def price(
    forward: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    out: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Prices of calls and puts, discounted.

    The relative error is at most 1e-12 wherever the price is above 1e-200 of the forward. The value of
    the out-of-the-money side is computed as such, never as a difference of large numbers: method after
    P. Jaeckel, "Let's Be Rational", Wilmott 2015.

    Args:
        forward: forward price for the expiry; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
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
        >>> from deltastream.pricing import black76
        >>> black76.price(100.0, [90.0, 100.0, 110.0], 0.5, 0.2, 0.03, True).round(4)
        array([11.5972,  5.5533,  2.1783])
    """
    values = (forward, strike, t, sigma, rate, 0.0)
    return _calls.price("black76", _NAMES, values, is_call, out)


def greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    raw: bool = False,
    out: Greeks | None = None,
) -> Greeks:
    """Prices, delta, gamma, vega, theta and rho.

    Error at most 1e-10 of (the value plus its natural scale).

    Args:
        forward: forward price for the expiry; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
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
        >>> from deltastream.pricing import black76
        >>> result = black76.greeks(100.0, 100.0, 0.5, 0.2, 0.03, [True, False])
        >>> result.delta.round(4)
        array([ 0.5203, -0.4648])
    """
    values = (forward, strike, t, sigma, rate, 0.0)
    return _calls.greeks("black76", _NAMES, values, is_call, raw, out)


def all_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    sigma: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    raw: bool = False,
    out: AllGreeks | None = None,
) -> AllGreeks:
    """Everything of `greeks`, and vanna, charm, vomma, veta, speed, zomma, color, ultima, forward delta.

    Args:
        forward: forward price for the expiry; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        sigma: volatility per square root of a year, 0.2 for 20 %.
        rate: per year, continuously compounded, 0.05 for 5 %.
        is_call: True for a call, False for a put.
        raw: plain derivatives instead of those in the units of `AllGreeks`.
        out: a result of an earlier call, or `AllGreeks.empty`, to be filled and returned; see `price`.

    Returns:
        The struct of arrays; formulas and units are at `AllGreeks`.

    Raises:
        TypeError: as `price`.
        ValueError: as `price`; two fields of ``out`` overlap.
    """
    values = (forward, strike, t, sigma, rate, 0.0)
    return _calls.all_greeks("black76", _NAMES, values, is_call, raw, out)


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    t: ArrayLike,
    rate: ArrayLike,
    is_call: ArrayLike,
    *,
    out: ImpliedVolatility | None = None,
) -> ImpliedVolatility:
    """Volatilities that reproduce prices.

    Always ends, after a bounded number of steps; the volatility is as exact as the digits of the price allow.
    Method after P. Jaeckel, "Let's Be Rational", Wilmott 2015, on the out-of-the-money equivalent.

    Args:
        price: discounted prices, as `price` gives them; NaN where there is none.
        forward: forward price for the expiry; real numbers of any shape that broadcasts with the others.
        strike: of each option.
        t: years to the expiry instant (ACT/365).
        rate: per year, continuously compounded, 0.05 for 5 %.
        is_call: True for a call, False for a put.
        out: a result of an earlier call, or `ImpliedVolatility.empty`, to be filled and returned; see
            `price`.

    Returns:
        Volatility and status of each price. The volatility is NaN unless the status is 0.

    Raises:
        TypeError: as `price`.
        ValueError: as `price`; the fields of ``out`` overlap.

    Example:
        >>> from deltastream.pricing import black76
        >>> result = black76.implied_volatility([5.5, 0.0], 100.0, [100.0, 90.0], 0.5, 0.03, True)
        >>> result.sigma.round(4)
        array([0.1981,    nan])
        >>> list(result.reason)
        ['converged', 'below_intrinsic']
    """
    values = (price, forward, strike, t, rate, 0.0)
    return _calls.implied_volatility("black76", _QUOTED, values, is_call, out)
