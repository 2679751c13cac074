"""At expiry, without volatility, and at a strike of zero: the documented limits, exactly where they apply."""

import math
from typing import Any

import numpy as np
import pytest

EPS = 2.0**-52
MODELS = ("black76", "bsm")
RATE, YIELD = 0.05, 0.02
BY_DENSITY = ("gamma", "vega", "vanna", "vomma", "veta", "speed", "zomma", "color", "ultima")
HIGHER = ("gamma", "theta", "vanna", "charm", "vomma", "veta", "speed", "zomma", "color", "ultima")


def greeks(
    kernels: Any, model: str, strike: float, t: float, sigma: float, is_call: bool
) -> dict[str, float]:
    values = kernels.all_greeks(model, 100.0, strike, t, sigma, RATE, YIELD, is_call)
    return {name: float(value[0]) for name, value in values.items()}


def forward_contract(model: str, strike: float, t: float) -> tuple[dict[str, float], float]:
    """Price and derivatives of receiving 100 for the strike at expiry, and the carry."""
    carry = RATE if model == "black76" else YIELD
    factor, paid = math.exp(-carry * t), strike * math.exp(-RATE * t)
    price = 100.0 * factor - paid
    return {
        "price": price,
        "delta": factor,
        "theta": carry * 100.0 * factor - RATE * paid,
        "rho": -t * price if model == "black76" else t * paid,
        "charm": carry * factor,
        "forward_delta": 1.0,
    }, carry


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("t", "sigma"), [(0.0, 0.2), (-0.0, 0.2), (0.0, 0.0), (1.5, 0.0), (1.5, -0.0)])
@pytest.mark.parametrize("strike", [80.0, 99.9, 120.0])
def test_without_time_or_volatility_an_option_is_a_forward_contract_or_nothing(
    kernels: Any, model: str, is_call: bool, t: float, sigma: float, strike: float
) -> None:
    computed = greeks(kernels, model, strike, t, sigma, is_call)
    contract, _ = forward_contract(model, strike, t)
    forward = 100.0 * math.exp((RATE - YIELD) * t) if model == "bsm" else 100.0
    sign = 1.0 if is_call else -1.0
    alive = sign * (forward - strike) > 0.0
    for name, value in computed.items():
        expected = sign * contract.get(name, 0.0) if alive else 0.0
        assert value == pytest.approx(expected, rel=4 * EPS, abs=4 * EPS * 100.0 if expected else 0.0), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("t", "sigma"), [(0.0, 0.2), (0.0, 0.0), (1.5, 0.0)])
def test_exactly_at_the_money_the_kink_is_half_or_unknown(
    kernels: Any, model: str, is_call: bool, t: float, sigma: float
) -> None:
    dividend_yield = RATE if model == "bsm" else 0.0  # so that the forward is 100
    values = kernels.all_greeks(model, 100.0, 100.0, t, sigma, RATE, dividend_yield, is_call)
    factor, sign = math.exp(-RATE * t), 1.0 if is_call else -1.0
    assert values["price"][0] == 0.0
    assert values["delta"][0] == pytest.approx(sign * factor / 2, rel=4 * EPS)
    assert values["forward_delta"][0] == sign / 2
    assert values["vega"][0] == pytest.approx(
        100.0 * factor * math.sqrt(t) / math.sqrt(2 * math.pi), rel=4 * EPS
    )
    rho = 0.0 if model == "black76" else sign * t * 100.0 * factor / 2
    assert values["rho"][0] == pytest.approx(rho, rel=4 * EPS)
    for name in HIGHER:
        assert math.isnan(values[name][0]), name


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("t", "sigma"), [(1.5, 0.2), (0.0, 0.2), (1.5, 0.0), (1.5, 1e50)])
def test_at_a_strike_of_zero_a_call_is_the_underlying(
    kernels: Any, model: str, t: float, sigma: float
) -> None:
    call = greeks(kernels, model, 0.0, t, sigma, True)
    contract, _ = forward_contract(model, 0.0, t)
    for name, value in call.items():
        assert value == pytest.approx(contract.get(name, 0.0), rel=4 * EPS, abs=0.0), name
    assert set(greeks(kernels, model, 0.0, t, sigma, False).values()) == {0.0}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("name", "small"), [("t", 1e-12), ("sigma", 1e-9)])
@pytest.mark.parametrize("strike", [80.0, 120.0])
@pytest.mark.parametrize("is_call", [True, False])
def test_the_limit_is_reached_without_a_jump(
    kernels: Any, model: str, name: str, small: float, strike: float, is_call: bool
) -> None:
    here = {"t": 1.5, "sigma": 0.2} | {name: small}
    there = here | {name: 0.0}
    near = greeks(kernels, model, strike, here["t"], here["sigma"], is_call)
    limit = greeks(kernels, model, strike, there["t"], there["sigma"], is_call)
    for greek, value in limit.items():
        assert near[greek] == pytest.approx(value, rel=1e-10, abs=1e-9), greek


@pytest.mark.parametrize("model", MODELS)
def test_endless_volatility_is_the_maximum(kernels: Any, model: str) -> None:
    call, put = (greeks(kernels, model, 90.0, 1.5, 50.0, is_call) for is_call in (True, False))
    carry = RATE if model == "black76" else YIELD
    assert call["price"] == pytest.approx(100.0 * math.exp(-carry * 1.5), rel=4 * EPS)
    assert put["price"] == pytest.approx(90.0 * math.exp(-RATE * 1.5), rel=4 * EPS)
    assert call["forward_delta"] == 1.0
    assert put["forward_delta"] == pytest.approx(0.0, abs=1e-100)
    for name in BY_DENSITY:
        assert call[name] == pytest.approx(0.0, abs=1e-100), name


def test_prices_at_expiry_are_exact(kernels: Any) -> None:
    strikes = np.array([90.0, 100.0, 110.0])
    for model in MODELS:
        np.testing.assert_array_equal(
            kernels.price(model, 100.0, strikes, 0.0, 0.2, RATE, YIELD, True), [10.0, 0.0, 0.0]
        )
        np.testing.assert_array_equal(
            kernels.price(model, 100.0, strikes, 0.0, 0.2, RATE, YIELD, False), [0.0, 0.0, 10.0]
        )
