"""The inputs of the core's benchmark: options, a chain, open interest. The same in every run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["chain", "open_interest", "options"]

Floats = NDArray[np.float64]
SEED = 20261120
DAY = 1 / 365
TICK = 0.05


def options(count: int) -> dict[str, NDArray[np.float64] | NDArray[np.bool_]]:
    """Distinct European options as liquid markets list them, whose prices determine their volatilities.

    Spot, strike, time (a day to two years), volatility (5 % to 80 %), rate and yield differ from option to
    option; strikes lie up to three standard deviations of ``ln(S_T)`` on either side of the forward; every
    second is a call.

    Returns:
        ``spot, strike, t, sigma, rate, dividend_yield, forward``, each ``float64[count]``, and ``is_call``,
        ``bool[count]``.
    """
    rng = np.random.default_rng(SEED)
    spot = rng.uniform(18_000, 26_000, count)
    t = rng.uniform(DAY, 2, count)
    sigma = rng.uniform(0.05, 0.8, count)
    rate = rng.uniform(0.0, 0.08, count)
    dividend_yield = rng.uniform(0.0, 0.04, count)
    forward = spot * np.exp((rate - dividend_yield) * t)
    return {
        "spot": spot,
        "strike": forward * np.exp(rng.uniform(-3, 3, count) * sigma * np.sqrt(t)),
        "t": t,
        "sigma": sigma,
        "rate": rate,
        "dividend_yield": dividend_yield,
        "forward": forward,
        "is_call": np.arange(count) % 2 == 0,
    }


def chain(
    price: Callable[[float, Floats, float, Floats, float, bool], Floats], strikes: int = 60
) -> tuple[Floats, dict[str, float], dict[str, Floats]]:
    """A quoted chain of a fortnight with a smile, every quote two-sided, prices on the tick.

    Args:
        price: discounted Black-76 prices from forward, strikes, t, sigmas, rate and whether calls.
        strikes: their number.

    Returns:
        The columns of `deltastream._core.sweep`, ``float64[23, strikes]``; its market arguments; for peers
        ``strike, forward, t, rate, sigma, call, put`` (mids), each ``float64[strikes]``.
    """
    rng = np.random.default_rng(SEED)
    spot, forward, t, rate = 24_012.35, 24_065.0, 14 * DAY, 0.065
    strike = np.asarray(24_000.0 + 50.0 * (np.arange(strikes) - strikes // 2), dtype=np.float64)
    sigma = 0.13 + 0.9 * (strike / forward - 1) ** 2 - 0.15 * (strike / forward - 1)
    columns = np.full((23, strikes), np.nan)
    columns[0] = strike
    mids = []
    for first, is_call in ((1, True), (12, False)):
        fair = price(forward, strike, t, sigma, rate, is_call)
        bid = np.floor(fair * 0.995 / TICK) * TICK
        ask = np.ceil(fair * 1.005 / TICK) * TICK
        oi, volume, before = 75.0 * rng.integers(1, 50_000, (3, strikes))
        size = 75.0 * rng.integers(1, 60, (2, strikes))
        last_trade, vendor = np.full(strikes, 1.7e15), sigma
        columns[first : first + 11] = (
            [bid, size[0], ask, size[1], bid, volume, oi, ask, before, last_trade, vendor]
        )  # fmt: skip
        mids.append((bid + ask) / 2)
    market = {"spot": spot, "future": forward, "t": t, "rate": rate, "tick_size": TICK, "lot": 75.0}
    whole = {"forward": forward, "t": t, "rate": rate}
    peers = {name: np.full(strikes, value) for name, value in whole.items()}
    return columns, market, peers | {"strike": strike, "sigma": sigma, "call": mids[0], "put": mids[1]}


def open_interest(strikes: int = 500) -> tuple[Floats, Floats, Floats]:
    """Strikes ascending and the open interest of their calls and puts, each ``float64[strikes]``."""
    rng = np.random.default_rng(SEED)
    strike = np.asarray(24_000.0 + 50.0 * (np.arange(strikes) - strikes // 2), dtype=np.float64)
    calls, puts = 75.0 * rng.integers(0, 50_000, (2, strikes))
    return strike, calls, puts
