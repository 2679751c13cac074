"""Implied volatilities: round trips, every status, and what must not matter."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deltastream import _core

CONVERGED, NO_PRICE, BELOW, ABOVE, IMPRECISE, NO_TIME, NO_FORWARD, INVALID = range(8)
EPSILON = 2.0**-52


def solve(
    forward: float, strike: float, t: float, price: float, rate: float, is_call: bool
) -> tuple[float, int]:
    sigma, status = _core.implied_volatility(forward, np.array([strike]), t, np.array([price]), rate, is_call)
    return sigma[0], status[0]


def information(
    price: float, vega: float, sigma: float, forward: float, strike: float, is_call: bool
) -> float:
    """Relative error of the volatility that rounding its inputs causes (price and vega undiscounted)."""
    intrinsic = max(forward - strike, 0.0) if is_call else max(strike - forward, 0.0)
    return 2 * EPSILON + EPSILON * max(price, intrinsic) / (vega * sigma)


def test_golden_round_trip(golden_black: dict[str, np.ndarray]) -> None:
    g = golden_black
    solved = 0
    for i, forward in enumerate(g["forward"]):
        strike, t, sigma, rate = (g[name][i] for name in ("strike", "t", "sigma", "rate"))
        growth = math.exp(rate * t)
        for side, is_call in (("call", True), ("put", False)):
            price, vega = g[side][i], 100 * growth * g[f"{side}_vega"][i]
            if price < 1e-300 * forward or vega < 1e-300 * forward:
                continue
            limit = information(growth * price, vega, sigma, forward, strike, is_call)
            found, status = solve(forward, strike, t, price, rate, is_call)
            if limit > 1e-4:
                assert status in (CONVERGED, IMPRECISE, BELOW, ABOVE)
                continue
            assert status == CONVERGED, (i, side)
            assert found == pytest.approx(sigma, rel=8 * limit, abs=0.0), (i, side)
            solved += 1
    assert solved > 250


@given(
    st.floats(math.log(1e-4), math.log(6.0)),
    st.floats(-36.0, 36.0),
    st.floats(1e-3, 3.0),
    st.floats(-0.05, 0.2),
    st.booleans(),
)
def test_round_trip(log_sd: float, depth: float, t: float, rate: float, is_call: bool) -> None:
    sd = math.exp(log_sd)
    strike = 100.0 * math.exp(min(10.0, max(-10.0, depth * sd)))
    sigma = sd / math.sqrt(t)
    side = 0 if is_call else 1
    price = _core.black76_price(100.0, np.array([strike]), t, np.array([sigma]), rate)[side][0]
    vega = (
        100 * _core.black76_greeks(100.0, np.array([strike]), t, np.array([sigma]), rate, 100.0)[side][3, 0]
    )
    assume(vega > 1e-300 and price > 1e-300)
    limit = information(price, vega, sigma, 100.0, strike, is_call)
    assume(limit < 1e-4)
    found, status = solve(100.0, strike, t, price, rate, is_call)
    assert status == CONVERGED
    assert found == pytest.approx(sigma, rel=8 * limit, abs=0.0)


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(0.01, 2.0), st.integers(-20, 20))
def test_currency_does_not_matter(m: float, sigma: float, t: float, power: int) -> None:
    strike, scale = 100.0 * math.exp(m), 4.0**power
    price = _core.black76_price(100.0, np.array([strike]), t, np.array([sigma]), 0.0)[0][0]
    scaled = solve(scale * 100.0, scale * strike, t, scale * price, 0.0, True)
    np.testing.assert_array_equal(scaled, solve(100.0, strike, t, price, 0.0, True))


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(1e-9, 0.2))
def test_a_higher_price_means_a_higher_volatility(m: float, sd: float, step: float) -> None:
    strike = 100.0 * math.exp(m)
    price = max(_core.black76_price(100.0, np.array([strike]), 1.0, np.array([sd]), 0.0)[0][0], 1e-6)
    assume(price * (1 + step) < 99.0)
    low, high = (solve(100.0, strike, 1.0, p, 0.0, True) for p in (price, price * (1 + step)))
    if low[1] == high[1] == CONVERGED:
        assert low[0] < high[0]


@pytest.mark.parametrize(
    ("price", "is_call", "status"),
    [
        (np.nan, True, NO_PRICE),
        (9.9, True, BELOW),
        (-1.0, True, BELOW),
        (-1e-9, False, BELOW),
        (-np.inf, False, BELOW),
        (10.0, True, IMPRECISE),
        (10.0 + 1e-14, True, IMPRECISE),
        (0.0, False, IMPRECISE),
        (5e-324, False, IMPRECISE),
        (1e-290, False, CONVERGED),
        (10.5, True, CONVERGED),
        (99.0, True, CONVERGED),
        (100.0 - 1e-14, True, IMPRECISE),
        (100.0, True, ABOVE),
        (90.0, False, ABOVE),
        (np.inf, False, ABOVE),
    ],
)
def test_status_by_price(price: float, is_call: bool, status: int) -> None:
    sigma, found = solve(100.0, 90.0, 1.0, price, 0.0, is_call)
    assert found == status
    assert math.isnan(sigma) == (status != CONVERGED)


@pytest.mark.parametrize(
    ("forward", "strike", "t", "rate", "status"),
    [
        (100.0, 90.0, 0.0, 0.05, NO_TIME),
        (100.0, 90.0, -1.0, 0.05, NO_TIME),
        (100.0, 90.0, np.nan, 0.05, NO_TIME),
        (np.nan, np.nan, np.nan, np.nan, NO_TIME),
        (np.nan, 90.0, 1.0, 0.05, NO_FORWARD),
        (0.0, 90.0, 1.0, 0.05, NO_FORWARD),
        (-1.0, 90.0, 1.0, 0.05, NO_FORWARD),
        (np.inf, 90.0, 1.0, 0.05, NO_FORWARD),
        (100.0, np.nan, 1.0, 0.05, INVALID),
        (100.0, 0.0, 1.0, 0.05, INVALID),
        (100.0, np.inf, 1.0, 0.05, INVALID),
        (100.0, 90.0, 1.0, np.nan, INVALID),
        (100.0, 90.0, 1.0, np.inf, INVALID),
        (100.0, 90.0, 1.0, -1e5, INVALID),
    ],
)
@pytest.mark.parametrize("price", [12.0, np.nan])
def test_status_by_market(
    forward: float, strike: float, t: float, rate: float, status: int, price: float
) -> None:
    sigma, found = solve(forward, strike, t, price, rate, True)
    assert found == status
    assert math.isnan(sigma)


def test_no_strikes() -> None:
    sigma, status = _core.implied_volatility(1.0, np.empty(0), 1.0, np.empty(0), 0.0, True)
    assert sigma.shape == status.shape == (0,)


ANYTHING = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


def test_a_volatility_too_small_to_write_is_no_volatility() -> None:
    assert solve(8e307, 8e307, 1e40, 10.0, 0.0, True)[1] == IMPRECISE


@given(ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, st.booleans())
def test_anything_has_an_answer(
    forward: float, strike: float, t: float, price: float, rate: float, is_call: bool
) -> None:
    sigma, status = solve(forward, strike, t, price, rate, is_call)
    assert status in range(8)
    assert (status == CONVERGED) == (sigma > 0.0)
    assert (status != CONVERGED) == math.isnan(sigma)


POSITIVE = st.floats(min_value=5e-324, max_value=1.7e308)


@given(POSITIVE, POSITIVE, POSITIVE, st.booleans())
def test_any_positive_market_has_an_answer(
    forward: float, strike: float, price: float, is_call: bool
) -> None:
    sigma, status = solve(forward, strike, 1.0, price, 0.0, is_call)
    assert status in (CONVERGED, BELOW, ABOVE, IMPRECISE)
    assert (status == CONVERGED) == (sigma > 0.0)
