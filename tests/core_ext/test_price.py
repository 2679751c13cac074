"""Prices against mpmath, within bounds that follow from the doubles the caller hands over.

``eps = 2**-52``. A product, a quotient or a sum is off by eps/2 of its result; a term ``y`` that was rounded
before it is used shows up in the price as ``|dV/dy|`` times that. Nothing after the inputs can undo it:

* Black-76: relative error at most 1e-12 where the price is above 1e-200 of the forward; absolute error at
  most 1e-15 of the forward, or of the price where that is the larger one. ``r T`` is rounded: eps/2 ``|r T|``
  of the price.
* Black-Scholes-Merton prices the forward ``S exp((r - q) T)``, which is no double. Its log-moneyness
  ``x = ln(S / K) + (r - q) T`` is a sum of rounded terms, off by `log_moneyness_error`, and a price moves by
  ``S |delta|`` times that. The discount factors add eps/2 ``(|r| + |q|) T`` of the price.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

EPS = 2.0**-52
SMALLEST_NORMAL = 2.0**-1022


def log_moneyness_error(g: dict[str, np.ndarray]) -> np.ndarray:
    """Of ``ln(S/K) + (r - q) T``: 2 eps of the logarithm, eps of the carry, eps/2 of the sum."""
    logarithm = np.log(g["underlying"] / g["strike"])
    carry = (g["rate"] - g["dividend_yield"]) * g["t"]
    return EPS * (2 * np.abs(logarithm) + np.abs(carry) + 0.5 * np.abs(logarithm + carry))


@pytest.fixture(scope="module")
def prices(golden: Callable[[str], dict[str, Any]], kernels: Any) -> dict[str, np.ndarray]:
    """The golden table with both sides below one another, and what the kernels make of it."""
    g = golden("prices")
    sides = {name: np.concatenate((column, column)) for name, column in g.items()}
    sides["exact"] = np.concatenate((g["call"], g["put"]))
    sides["is_call"] = np.arange(len(sides["exact"])) < len(g["call"])
    sides["computed"] = np.full(len(sides["exact"]), np.nan)
    sides["delta"] = np.full(len(sides["exact"]), np.nan)
    for model in ("black76", "bsm"):
        of = sides["model"] == model
        contract = [
            sides[name][of]
            for name in ("underlying", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
        ]
        sides["computed"][of] = kernels.price(model, *contract)
        sides["delta"][of] = kernels.greeks(model, *contract)["delta"]
    return sides


def of_model(
    prices: dict[str, np.ndarray], model: str, also: np.ndarray | bool = True
) -> dict[str, np.ndarray]:
    of = (prices["model"] == model) & also
    return {name: column[of] for name, column in prices.items()}


def forward(g: dict[str, np.ndarray]) -> np.ndarray:
    carry = np.where(g["model"] == "bsm", (g["rate"] - g["dividend_yield"]) * g["t"], 0.0)
    return g["underlying"] * np.exp(carry)


def relative(prices: dict[str, np.ndarray], model: str) -> dict[str, np.ndarray]:
    """The rows whose price must be right to relative accuracy."""
    threshold = np.maximum(1e-200 * forward(prices), SMALLEST_NORMAL)
    return of_model(prices, model, prices["exact"] > threshold)


def worst(error: np.ndarray, bound: np.ndarray | float, g: dict[str, np.ndarray]) -> str:
    """The row nearest its bound, for the message of a failure."""
    i = int(np.nanargmax(error / bound))
    return f"{error[i]:.3g}: " + " ".join(f"{name}={column[i]}" for name, column in g.items())


def test_black76_relative_error(prices: dict[str, np.ndarray], measured: Callable[..., None]) -> None:
    g = relative(prices, "black76")
    error = np.abs(g["computed"] - g["exact"]) / g["exact"]
    assert len(error) > 900
    measured("Black-76, relative", "price", error.max(), "of the price")
    near = g["exact"] > 1e-16 * g["underlying"]
    measured("Black-76, relative, V > 1e-16 F", "price", error[near].max(), "of the price")
    assert np.all(error <= 1e-12), worst(error, 1e-12, g)


def test_black76_absolute_error(prices: dict[str, np.ndarray], measured: Callable[..., None]) -> None:
    g = of_model(prices, "black76")
    error = np.abs(g["computed"] - g["exact"])
    discounting = EPS / 2 * np.abs(g["rate"] * g["t"]) * g["exact"]
    bound = 1e-15 * np.maximum(g["underlying"], g["exact"]) + discounting
    measured(
        "Black-76, absolute", "price", (error / np.maximum(g["underlying"], g["exact"])).max(), "of max(F, V)"
    )
    assert np.all(error <= bound), worst(error, bound, g)


def forced(g: dict[str, np.ndarray]) -> np.ndarray:
    """What rounding forces on a Black-Scholes-Merton price."""
    discounting = EPS / 2 * (np.abs(g["rate"]) + np.abs(g["dividend_yield"])) * g["t"] * g["exact"]
    return g["underlying"] * np.abs(g["delta"]) * log_moneyness_error(g) + discounting


def test_bsm_relative_error(prices: dict[str, np.ndarray], measured: Callable[..., None]) -> None:
    g = relative(prices, "bsm")
    error = np.abs(g["computed"] - g["exact"])
    bound = 1e-12 * g["exact"] + forced(g)
    assert len(error) > 900
    measured("Black-Scholes-Merton, bound", "price", (error / bound).max(), "of the bound")
    within = forced(g) < 1e-13 * g["exact"]
    measured(
        "Black-Scholes-Merton, forced < 1e-13", "price", (error / g["exact"])[within].max(), "of the price"
    )
    assert np.all(error <= bound), worst(error, bound, g)


def test_bsm_absolute_error(prices: dict[str, np.ndarray], measured: Callable[..., None]) -> None:
    g = of_model(prices, "bsm")
    error = np.abs(g["computed"] - g["exact"])
    scale = np.maximum(g["underlying"] * np.exp(-g["dividend_yield"] * g["t"]), g["exact"])
    bound = 1e-15 * scale + forced(g)
    measured("Black-Scholes-Merton, absolute", "price", (error / bound).max(), "of the bound")
    assert np.all(error <= bound), worst(error, bound, g)


def test_a_price_too_small_to_write_is_zero_or_subnormal(prices: dict[str, np.ndarray]) -> None:
    tiny = prices["exact"] < SMALLEST_NORMAL
    assert tiny.sum() >= 10
    assert np.all(prices["computed"][tiny] >= 0.0)
    assert np.all(prices["computed"][tiny] <= 2 * SMALLEST_NORMAL)
