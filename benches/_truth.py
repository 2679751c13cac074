"""What the core's benchmark holds results against: the definitions, computed with mpmath to 40 digits."""

from __future__ import annotations

from collections.abc import Sequence

import mpmath as mp
import numpy as np
from numpy.typing import NDArray

__all__ = ["NAMES", "greeks", "volatility", "worst"]

NAMES = (
    "price", "delta", "gamma", "vega", "theta", "rho",
    "vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima", "forward_delta",
)  # fmt: skip
_CHANGING_SIGN = frozenset(NAMES[4:5] + NAMES[6:14])
# Derivatives by (S, sigma, T, r), and what one of them is divided by: volatility points, days, per cent.
_DERIVATIVES: dict[str, tuple[tuple[int, int, int, int], int]] = {
    "delta": ((1, 0, 0, 0), 1),
    "gamma": ((2, 0, 0, 0), 1),
    "vega": ((0, 1, 0, 0), 100),
    "theta": ((0, 0, 1, 0), -365),
    "rho": ((0, 0, 0, 1), 100),
    "vanna": ((1, 1, 0, 0), 100),
    "charm": ((1, 0, 1, 0), -365),
    "vomma": ((0, 2, 0, 0), 100**2),
    "veta": ((0, 1, 1, 0), 100 * 365),
    "speed": ((3, 0, 0, 0), 1),
    "zomma": ((2, 1, 0, 0), 100),
    "color": ((2, 0, 1, 0), 365),
    "ultima": ((0, 3, 0, 0), 100**3),
}


def greeks(option: Sequence[float], is_call: bool, names: Sequence[str] = NAMES) -> list[float]:
    """Price and Greeks of a Black-Scholes-Merton option, each the numerical derivative that it is defined as.

    Args:
        option: spot, strike, t, sigma, rate and dividend yield.
        is_call: whether it is a call.
        names: which, of `NAMES`.
    """
    with mp.workdps(40):
        s, k, t, sigma, r, q = map(mp.mpf, option)
        found = []
        for name in names:
            if name == "price":
                value = _price(s, k, t, sigma, r, q, is_call)
            elif name == "forward_delta":
                side = 1 if is_call else -1
                value = side * mp.ncdf(side * _d1(s, k, t, sigma, r, q))
            else:
                orders, unit = _DERIVATIVES[name]
                value = mp.diff(
                    lambda s, sigma, t, r: _price(s, k, t, sigma, r, q, is_call), (s, sigma, t, r), orders
                )
                value /= unit
            found.append(float(value))
        return found


def volatility(price: float, option: Sequence[float], is_call: bool) -> float:
    """Volatility at which the option is worth just this double, from the one close by in `option`."""
    with mp.workdps(40):
        s, k, t, sigma, r, q = map(mp.mpf, option)
        for _ in range(3):
            vega = mp.diff(lambda x: _price(s, k, t, x, r, q, is_call), sigma)
            sigma += (price - _price(s, k, t, sigma, r, q, is_call)) / vega
        return float(sigma)


def worst(values: NDArray[np.float64], truth: NDArray[np.float64], names: Sequence[str]) -> float:
    """Worst relative error, ``float64[names, options]`` both; of a Greek that changes sign, relative to its
    magnitude plus the median magnitude, for near its roots a relative error says nothing."""
    scale = np.abs(truth)
    for row, name in enumerate(names):
        if name in _CHANGING_SIGN:
            scale[row] += np.median(scale[row])
    return float(np.max(np.abs(values - truth) / scale))


def _d1(s: mp.mpf, k: mp.mpf, t: mp.mpf, sigma: mp.mpf, r: mp.mpf, q: mp.mpf) -> mp.mpf:
    return (mp.log(s / k) + (r - q + sigma**2 / 2) * t) / (sigma * mp.sqrt(t))


def _price(s: mp.mpf, k: mp.mpf, t: mp.mpf, sigma: mp.mpf, r: mp.mpf, q: mp.mpf, is_call: bool) -> mp.mpf:
    side = 1 if is_call else -1
    d1 = _d1(s, k, t, sigma, r, q)
    d2 = d1 - sigma * mp.sqrt(t)
    return side * (s * mp.exp(-q * t) * mp.ncdf(side * d1) - k * mp.exp(-r * t) * mp.ncdf(side * d2))
