"""Prices and Greeks against mpmath and against the laws they obey."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream import _core

GREEKS = ("delta", "gamma", "theta", "vega", "rho")
forwards = st.floats(1e-2, 1e6)
moneyness = st.floats(-3.0, 3.0)
times = st.floats(1e-4, 5.0)
volatilities = st.floats(0.01, 3.0)
rates = st.floats(-0.05, 0.3)


def price(forward: float, strike: float, t: float, sigma: float, rate: float) -> tuple[float, float]:
    calls, puts = _core.black76_price(forward, np.array([strike]), t, np.array([sigma]), rate)
    return calls[0], puts[0]


def test_golden_prices(golden_black: dict[str, np.ndarray]) -> None:
    g = golden_black
    compared = 0
    for i, forward in enumerate(g["forward"]):
        computed = price(forward, g["strike"][i], g["t"][i], g["sigma"][i], g["rate"][i])
        for value, reference in zip(computed, (g["call"][i], g["put"][i]), strict=True):
            if reference > 1e-200 * forward:
                assert value == pytest.approx(reference, rel=1e-12, abs=0.0)
                compared += 1
    assert compared > 400


def test_golden_greeks(golden_black: dict[str, np.ndarray]) -> None:
    g = golden_black
    for i, (forward, strike, t, sigma, rate, spot) in enumerate(
        zip(*(g[name] for name in ("forward", "strike", "t", "sigma", "rate", "spot")), strict=True)
    ):
        sd = sigma * np.sqrt(t)
        scales = (
            1.0,
            1.0 / (spot * sd),
            forward * sigma / np.sqrt(t) / 365,
            forward * np.sqrt(t) / 100,
            strike * t,
        )
        sides = _core.black76_greeks(forward, np.array([strike]), t, np.array([sigma]), rate, spot)
        for side, values in zip(("call", "put"), sides, strict=True):
            for name, value, scale in zip(GREEKS, values[:, 0], scales, strict=True):
                reference = g[f"{side}_{name}"][i]
                assert abs(value - reference) <= 1e-10 * (abs(reference) + 1e-3 * scale), (side, name, i)


@given(forwards, moneyness, times, volatilities, rates)
def test_put_call_parity(forward: float, m: float, t: float, sigma: float, rate: float) -> None:
    strike = forward * np.exp(m)
    call, put = price(forward, strike, t, sigma, rate)
    assert call - put == pytest.approx(
        np.exp(-rate * t) * (forward - strike), abs=4e-15 * max(forward, strike)
    )


@given(forwards, moneyness, times, volatilities, rates)
def test_bounds(forward: float, m: float, t: float, sigma: float, rate: float) -> None:
    strike = forward * np.exp(m)
    discount = np.exp(-rate * t)
    call, put = price(forward, strike, t, sigma, rate)
    slack = 1 + 1e-14
    assert max(forward - strike, 0.0) * discount <= call * slack
    assert call <= forward * discount * slack
    assert max(strike - forward, 0.0) * discount <= put * slack
    assert put <= strike * discount * slack


@given(forwards, moneyness, times, volatilities, rates, st.integers(-20, 20))
def test_homogeneous_in_forward_and_strike(
    forward: float, m: float, t: float, sigma: float, rate: float, power: int
) -> None:
    strike = forward * np.exp(m)
    scale = 4.0**power
    assert price(scale * forward, scale * strike, t, sigma, rate) == tuple(
        scale * value for value in price(forward, strike, t, sigma, rate)
    )


@given(forwards, moneyness, times, volatilities, st.floats(1e-6, 0.5))
def test_monotone(forward: float, m: float, t: float, sigma: float, step: float) -> None:
    strike = forward * np.exp(m)
    call, put = price(forward, strike, t, sigma, 0.0)
    slack = 1 - 1e-13
    more = price(forward, strike, t, sigma * (1 + step), 0.0)
    assert more[0] >= call * slack
    assert more[1] >= put * slack
    higher = price(forward, strike * (1 + step), t, sigma, 0.0)
    assert higher[0] <= call / slack
    assert higher[1] >= put * slack


@given(forwards, moneyness, times, volatilities)
def test_swapping_forward_and_strike_swaps_call_and_put(
    forward: float, m: float, t: float, sigma: float
) -> None:
    strike = forward * np.exp(m)
    call, put = price(forward, strike, t, sigma, 0.0)
    assert price(strike, forward, t, sigma, 0.0) == pytest.approx((put, call), rel=1e-13)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_outside_the_domain_is_nan(bad: float) -> None:
    assert np.isnan(price(bad, 100.0, 1.0, 0.2, 0.0)).all()
    assert np.isnan(price(100.0, bad, 1.0, 0.2, 0.0)).all()
    for side in _core.black76_greeks(100.0, np.array([bad]), 1.0, np.array([0.2]), 0.0, 100.0):
        assert np.isnan(side).all()
    for side in _core.black76_greeks(100.0, np.array([100.0]), bad, np.array([0.2]), 0.0, 100.0):
        assert np.isnan(side).all()


@pytest.mark.parametrize("t", [np.nan, -1.0, np.inf])
def test_impossible_times_are_nan(t: float) -> None:
    assert np.isnan(price(100.0, 100.0, t, 0.2, 0.0)).all()


def test_without_time_or_volatility_prices_are_intrinsic() -> None:
    assert price(100.0, 90.0, 0.0, 0.2, 0.05) == (10.0, 0.0)
    assert price(100.0, 110.0, 1.0, 0.0, 0.0) == (0.0, 10.0)


def test_without_spot_vega_and_rho_remain() -> None:
    for side in _core.black76_greeks(100.0, np.array([100.0]), 1.0, np.array([0.2]), 0.05, np.nan):
        assert np.isnan(side[:3]).all()
        assert np.isfinite(side[3:]).all()


def test_no_strikes() -> None:
    empty = np.empty(0)
    assert [side.shape for side in _core.black76_price(1.0, empty, 1.0, empty, 0.0)] == [(0,), (0,)]
    assert [side.shape for side in _core.black76_greeks(1.0, empty, 1.0, empty, 0.0, 1.0)] == [(5, 0), (5, 0)]
