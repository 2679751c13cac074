"""Every argument from a list of enemies, in all combinations: no crash, no warning, a documented result.

In the domain (`in_domain`) a price is a number between its bounds, the deltas lie in theirs, and a Greek is
NaN only at a kink or where an intermediate product leaves the range of a double. Outside, everything is NaN.
"""

import itertools
import math
import sys
from typing import Any

import numpy as np
import pytest

NAN, INF = math.nan, math.inf
NORMAL = sys.float_info.min
LEVELS = (NAN, INF, -INF, 0.0, -0.0, 5e-324, 1e-310, 1e-308, -1.0, 1.0, 100.0, 1e150, 1e308)
TIMES = (NAN, INF, -INF, 0.0, -0.0, 5e-324, 1e-308, -1.0, 0.25, 40.0, 1e308)
SIGMAS = (NAN, INF, -INF, 0.0, -0.0, 5e-324, 1e-160, -0.2, 0.2, 8.0, 1e99, 1e308)
RATES = (NAN, INF, -INF, 0.0, -1.0, 0.05, 1e-308, 17.0, -1e308)
YIELDS = (NAN, -INF, -0.0, 0.05, 1e308)
PRICES = (NAN, INF, -INF, 0.0, -0.0, 5e-324, 1e-308, -1.0, 1e-9, 1.0, 50.0, 1e150, 1e308)
SIDES = (True, False)


def combinations(*choices: tuple[Any, ...]) -> list[np.ndarray]:
    """All of them, a column per argument."""
    columns = [np.array(column) for column in choices]
    grids = np.meshgrid(*columns, indexing="ij")
    return [grid.ravel() for grid in grids]


def contracts(model: str) -> list[np.ndarray]:
    yields = YIELDS if model == "bsm" else (NAN,)
    return combinations(LEVELS, LEVELS, TIMES, SIGMAS, RATES, yields, SIDES)


def in_domain(
    model: str,
    underlying: np.ndarray,
    strike: np.ndarray,
    t: np.ndarray,
    sigma: np.ndarray,
    rate: np.ndarray,
    dividend_yield: np.ndarray,
) -> np.ndarray:
    """Positive normal underlying, forward, discount; finite strike and time >= 0; 0 <= sigma < 1e100."""
    with np.errstate(all="ignore"):
        discount = np.exp(-rate * t)
        forward = underlying * (np.exp((rate - dividend_yield) * t) if model == "bsm" else 1.0)
        finite = np.isfinite(discount) & np.isfinite(forward) & np.isfinite(strike) & np.isfinite(t)
        levels = (underlying >= NORMAL) & np.isfinite(underlying) & (forward >= NORMAL) & (discount >= NORMAL)
        return finite & levels & (strike >= 0) & (t >= 0) & (sigma >= 0) & (sigma < 1e100)


@pytest.mark.parametrize("model", ["black76", "bsm"])
def test_greeks(kernels: Any, model: str) -> None:
    columns = contracts(model)
    values = kernels.all_greeks(model, *columns)
    *contract, is_call = columns
    inside = in_domain(model, *contract)
    assert inside.sum() > 1000
    for name, column in values.items():
        assert np.all(np.isnan(column[~inside])), name
    underlying, strike, t, sigma, rate, dividend_yield = (column[inside] for column in contract)
    call = is_call[inside]
    carry = rate if model == "black76" else dividend_yield
    with np.errstate(all="ignore"):
        factor = np.exp(-carry * t)
        held, paid = underlying * factor, strike * np.exp(-rate * t)
        most = np.where(call, held, paid)
        least = np.maximum(np.where(call, held - paid, paid - held), 0.0)
        slack = 1e-14 * np.maximum(held, paid) * (1 + np.abs(rate * t) + np.abs(carry * t)) + 1e-322
    price = values["price"][inside]
    comparable = np.isfinite(held) & np.isfinite(paid)
    assert np.all(price >= 0.0)
    assert np.all(price[comparable] >= (least[comparable] - slack[comparable]))
    assert np.all(price[comparable] <= (most[comparable] + slack[comparable]))
    sign = np.where(call, 1.0, -1.0)
    forward_delta = sign * values["forward_delta"][inside]
    assert np.all((forward_delta >= 0.0) & (forward_delta <= 1.0))
    delta = sign * values["delta"][inside]
    ordinary = comparable & (factor > 1e-290) & (underlying > 1e-290)
    assert np.all(((delta >= 0.0) & (delta <= factor * (1 + 1e-13) * (1 + np.abs(carry * t))))[ordinary])
    alive = ordinary & (t > 1e-9) & (t < 1e3) & (sigma > 1e-9) & (sigma < 20) & (np.abs(rate) < 20)
    alive &= (underlying < 1e100) & (strike < 1e100) & (strike > 1e-100) & (np.abs(carry) < 20)
    assert alive.sum() > 100
    for name, column in values.items():
        assert np.all(np.isfinite(column[inside][alive])), name


@pytest.mark.parametrize("model", ["black76", "bsm"])
def test_prices_are_those_of_the_greeks(kernels: Any, model: str) -> None:
    columns = contracts(model)
    price = kernels.price(model, *columns)
    np.testing.assert_array_equal(price, kernels.greeks(model, *columns)["price"])
    np.testing.assert_array_equal(price, kernels.all_greeks(model, *columns)["price"])


@pytest.mark.parametrize("model", ["black76", "bsm"])
def test_implied_volatilities(kernels: Any, model: str) -> None:
    yields = YIELDS if model == "bsm" else (NAN,)
    price, *market = combinations(PRICES, LEVELS, LEVELS, TIMES, RATES, yields, SIDES)
    sigma, status = kernels.implied(model, price, *market)
    assert np.all(status <= 7)
    converged = status == 0
    assert converged.sum() > 100
    assert np.all(np.isnan(sigma[~converged]))
    assert np.all((sigma[converged] > 0.0) & np.isfinite(sigma[converged]))
    underlying, strike, t, rate, *_ = market
    assert np.all(status[(t <= 0) & ~np.isnan(t)] == 5)
    live = t > 0
    level = (underlying > 0) & np.isfinite(underlying)
    assert np.all(status[live & np.isfinite(t) & ~level] == 6)
    good_strike = (strike > 0) & np.isfinite(strike)
    assert np.all(status[live & level & ~good_strike] == 7)
    assert not np.any(converged & np.isnan(price))
    assert not np.any(converged & ~np.isfinite(rate))
    again = kernels.price(model, *(column[converged] for column in (*market[:3], sigma, *market[3:])))
    assert np.all(np.isfinite(again))


@pytest.mark.parametrize("level", list(itertools.product(("black76", "bsm"), (1, 63, 64, 65))))
def test_a_bad_neighbour_changes_nothing(kernels: Any, level: tuple[str, int]) -> None:
    """One NaN contract in a block of good ones."""
    model, n = level
    strikes = np.linspace(50.0, 150.0, n)
    alone = kernels.all_greeks(model, 100.0, strikes, 0.5, 0.2, 0.03, 0.01, True)
    for position in {0, n // 2, n - 1}:
        bad = strikes.copy()
        bad[position] = NAN
        mixed = kernels.all_greeks(model, 100.0, bad, 0.5, 0.2, 0.03, 0.01, True)
        good = np.arange(n) != position
        for name, column in mixed.items():
            assert math.isnan(column[position])
            np.testing.assert_array_equal(column[good], alone[name][good], err_msg=name)
