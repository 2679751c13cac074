"""Implied volatilities: as exact as the price allows, and a status on every edge.

A price ``p`` is rounded by up to ``eps p / 2``, ``eps = 2**-52``, and ``d(sigma) = dp / vega``: no method
gets more out of it than ``eps p / (vega sigma)`` of sigma, nor less than eps (P. Jaeckel, "Let's Be
Rational", Wilmott 2015: attainable accuracy). The promise is four of these units:

    |error of sigma| <= 4 eps (1 + p / (vega sigma)) sigma

In the money ``p`` contains the intrinsic value, whose digits say nothing: that is the loss there. A subnormal
price carries fewer digits: its own spacing stands for ``eps p``. Undiscounting adds eps/2 ``|r| T`` of ``p``.
With Black-Scholes-Merton the log-moneyness is a rounded sum (`test_price`) and moves sigma by ``S |delta| /
vega`` times its error; in the money the intrinsic value ``S exp(-q T) - K exp(-r T)`` is rounded, too.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

CONVERGED, NO_PRICE, BELOW, ABOVE, IMPRECISE, EXPIRED, NO_FORWARD, INVALID = range(8)
EPS = 2.0**-52
MODELS = ("black76", "bsm")
INPUTS = ("underlying", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
MARKET = ("underlying", "strike", "t", "rate", "dividend_yield", "is_call")


def information(q: dict[str, np.ndarray], model: str, exact: dict[str, np.ndarray]) -> np.ndarray:
    """Relative error of sigma allowed for the quotes ``q`` (with ``price``), from exact deltas and vegas."""
    swing = np.abs(exact["vega"] * q["sigma"])
    price = q["price"]
    rounding = np.maximum(EPS * price, np.spacing(price))
    bound = 4 * EPS + 4 * rounding / swing + EPS / 2 * np.abs(q["rate"]) * q["t"] * price / swing
    if model == "black76":
        return bound
    logarithm = np.log(q["underlying"] / q["strike"])
    carry = (q["rate"] - q["dividend_yield"]) * q["t"]
    moneyness = EPS * (2 * np.abs(logarithm) + np.abs(carry) + 0.5 * np.abs(logarithm + carry))
    held = q["underlying"] * np.exp(-q["dividend_yield"] * q["t"])
    paid = q["strike"] * np.exp(-q["rate"] * q["t"])
    out = np.where(q["is_call"], held <= paid, held >= paid)
    delta = np.abs(exact["delta"])
    out_delta = np.where(out, delta, held / q["underlying"] - delta) * q["underlying"]
    intrinsic = EPS * (
        held * (1 + np.abs(q["dividend_yield"]) * q["t"]) + paid * (1 + np.abs(q["rate"]) * q["t"])
    )
    discounting = EPS / 2 * np.abs(q["dividend_yield"]) * q["t"] * price
    return bound + (moneyness * out_delta + np.where(out, discounting, intrinsic)) / swing


def round_trip(
    kernels: Any, model: str, q: dict[str, np.ndarray], label: str, measured: Callable[..., None]
) -> None:
    """Asserts statuses and errors of quotes whose volatility is known."""
    exact = kernels.greeks(model, *(q[name] for name in INPUTS))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        bound = information(q, model, exact)
    found, status = kernels.implied(model, q["price"], *(q[name] for name in MARKET))
    assert np.array_equal(np.isnan(found), status != CONVERGED)

    def row(i: int) -> str:
        return f"got {found[i]!r}, status {status[i]}, bound {bound[i]:.3g}: " + " ".join(
            f"{name}={q[name][i]!r}" for name in ("price", *INPUTS)
        )

    # A subnormal price, or one that is subnormal in units of the forward, may be refused.
    normal = 1e-300 * np.maximum(q["underlying"], 1.0)
    good = (bound < 1e-6) & (q["price"] >= normal)
    refused = np.flatnonzero(good & (status != CONVERGED))
    assert refused.size == 0, f"{label}: {refused.size} refused: {row(refused[0])}"
    solved = status == CONVERGED
    error = np.abs(found - q["sigma"]) / q["sigma"]
    share = np.where(solved & (bound < 0.1), error / bound, 0.0)
    measured(f"{label}, {model}", "sigma", share.max() * 4, "ulp of the information (bound 4)")
    i = int(np.argmax(share))
    assert share[i] <= 1.0, f"{label}: {share[i]:.3g} of the bound, {(share > 1).sum()} rows: {row(i)}"


@pytest.mark.parametrize("model", MODELS)
def test_round_trip_of_exact_prices(
    model: str, golden: Callable[[str], dict[str, Any]], kernels: Any, measured: Callable[..., None]
) -> None:
    """Prices of mpmath, rounded once, both sides of parity."""
    g = golden("prices")
    of = g["model"] == model
    for side, is_call in (("call", True), ("put", False)):
        q = {name: column[of] for name, column in g.items() if name != "model"}
        q |= {"price": q[side], "is_call": np.full(of.sum(), is_call)}
        kept = q["price"] > 0.0
        round_trip(
            kernels, model, {name: column[kept] for name, column in q.items()}, f"exact {side}", measured
        )


@pytest.mark.parametrize("model", MODELS)
def test_round_trip_of_our_prices(model: str, kernels: Any, measured: Callable[..., None]) -> None:
    """A hundred thousand options over sigma sqrt(T) from 1e-4 to 6 and log-moneyness to 10."""
    rng = np.random.default_rng(2015)
    n = 100_000
    sd = np.exp(rng.uniform(math.log(1e-4), math.log(6.0), n))
    depth = rng.choice([0.0, 1e-6, 1.0, 3.0, 8.0, 28.0], n) * rng.uniform(-1, 1, n)
    x = np.clip(depth * sd, -10.0, 10.0)
    t = 10 ** rng.uniform(-4, 1, n)
    rate = rng.choice([0.0, 0.05, -0.01, 0.2], n)
    yields = rng.choice([0.0, 0.02, -0.01, 0.1], n) if model == "bsm" else np.zeros(n)
    underlying = 10 ** rng.uniform(-2, 5.5, n)
    q = {
        "underlying": underlying,
        "strike": underlying * np.exp(((rate - yields) * t if model == "bsm" else 0.0) - x),
        "t": t,
        "sigma": sd / np.sqrt(t),
        "rate": rate,
        "dividend_yield": yields,
        "is_call": rng.random(n) < 0.5,
    }
    q["price"] = kernels.price(model, *(q[name] for name in INPUTS))
    kept = q["price"] > 1e-300 * q["underlying"]
    round_trip(kernels, model, {name: column[kept] for name, column in q.items()}, "our prices", measured)


@pytest.mark.parametrize("model", MODELS)
def test_the_volatility_gives_the_price_back(model: str, kernels: Any) -> None:
    """Whatever the price between its bounds, pricing the volatility found gives it again."""
    rng = np.random.default_rng(7)
    n = 20_000
    strike = 100.0 * np.exp(rng.normal(0, 1, n))
    t, rate, yields = 10 ** rng.uniform(-3, 1, n), 0.03, 0.03 if model == "bsm" else 0.0
    is_call = rng.random(n) < 0.5
    discount = np.exp(-rate * t)
    low = discount * np.maximum(np.where(is_call, 100.0 - strike, strike - 100.0), 0.0)
    high = discount * np.where(is_call, 100.0, strike)
    price = low + (high - low) * rng.uniform(1e-3, 0.999, n)
    sigma, status = kernels.implied(model, price, 100.0, strike, t, rate, yields, is_call)
    assert np.all(status == CONVERGED)
    again = kernels.price(model, 100.0, strike, t, sigma, rate, yields, is_call)
    np.testing.assert_allclose(again, price, rtol=1e-13)


STRIKES = (90.0, 110.0)


def edges(strike: float, is_call: bool) -> dict[str, tuple[float, set[int]]]:
    """Prices of a forward of 100 without discounting, and the statuses each may have."""
    intrinsic = max(100.0 - strike if is_call else strike - 100.0, 0.0)
    maximum = 100.0 if is_call else strike
    in_the_money = intrinsic > 0.0
    return {
        "no price": (math.nan, {NO_PRICE}),
        "infinite": (math.inf, {ABOVE}),
        "minus infinite": (-math.inf, {BELOW}),
        "negative": (-1e-9, {BELOW}),
        "smallest negative": (-5e-324, {BELOW}),
        "well below intrinsic": (intrinsic - 1e-9, {BELOW}),
        "an ulp below intrinsic": (math.nextafter(intrinsic, -math.inf), {BELOW}),
        "intrinsic": (intrinsic, {IMPRECISE}),
        "an ulp above intrinsic": (math.nextafter(intrinsic, math.inf), {IMPRECISE}),
        "a subnormal above": (intrinsic + 1e-310, {IMPRECISE} if in_the_money else {CONVERGED, IMPRECISE}),
        "a tiny price": (intrinsic + 1e-290, {IMPRECISE} if in_the_money else {CONVERGED}),
        "an ordinary price": (intrinsic + 1.0, {CONVERGED}),
        "near the maximum": (maximum * (1 - 1e-6), {CONVERGED}),
        "an ulp below the maximum": (math.nextafter(maximum, 0.0), {CONVERGED, IMPRECISE}),
        "maximum": (maximum, {ABOVE}),
        "an ulp above the maximum": (math.nextafter(maximum, math.inf), {ABOVE}),
        "huge": (1e300, {ABOVE}),
    }


@pytest.mark.parametrize("edge", list(edges(90.0, True)))
@pytest.mark.parametrize(("strike", "is_call"), list(itertools.product(STRIKES, (True, False))))
@pytest.mark.parametrize("model", MODELS)
def test_status_by_price(kernels: Any, model: str, strike: float, is_call: bool, edge: str) -> None:
    price, allowed = edges(strike, is_call)[edge]
    sigma, status = kernels.implied(model, price, 100.0, strike, 1.0, 0.0, 0.0, is_call)
    assert status[0] in allowed
    assert math.isnan(sigma[0]) == (status[0] != CONVERGED)


MARKETS: dict[str, tuple[dict[str, float], int]] = {
    "expired now": ({"t": 0.0}, EXPIRED),
    "expired, minus zero": ({"t": -0.0}, EXPIRED),
    "expired": ({"t": -1.0}, EXPIRED),
    "no time at all": ({"t": -math.inf}, EXPIRED),
    "unknown time": ({"t": math.nan}, INVALID),
    "endless": ({"t": math.inf}, INVALID),
    "no underlying": ({"underlying": math.nan}, NO_FORWARD),
    "underlying at zero": ({"underlying": 0.0}, NO_FORWARD),
    "underlying below zero": ({"underlying": -1.0}, NO_FORWARD),
    "infinite underlying": ({"underlying": math.inf}, NO_FORWARD),
    "no strike": ({"strike": math.nan}, INVALID),
    "strike of zero": ({"strike": 0.0}, INVALID),
    "strike below zero": ({"strike": -90.0}, INVALID),
    "infinite strike": ({"strike": math.inf}, INVALID),
    "no rate": ({"rate": math.nan}, INVALID),
    "infinite rate": ({"rate": math.inf}, INVALID),
    "rate of minus infinity": ({"rate": -math.inf}, INVALID),
    "a rate whose discount factor is infinite": ({"rate": -1e5}, INVALID),
    "a rate whose discount factor is zero": ({"rate": 1e5}, INVALID),
}


@pytest.mark.parametrize("market", list(MARKETS))
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("price", [12.0, math.nan])
def test_status_by_market(kernels: Any, market: str, model: str, price: float) -> None:
    changed, expected = MARKETS[market]
    quote = {
        "underlying": 100.0, "strike": 90.0, "t": 1.0, "rate": 0.05, "dividend_yield": 0.0, "is_call": True
    } | changed  # fmt: skip
    sigma, status = kernels.implied(model, price, *(quote[name] for name in MARKET))
    assert status[0] == expected
    assert math.isnan(sigma[0])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_only_the_model_with_a_yield_looks_at_it(kernels: Any, bad: float) -> None:
    assert kernels.implied("bsm", 12.0, 100.0, 90.0, 1.0, 0.05, bad, True)[1][0] == INVALID
    assert kernels.implied("black76", 12.0, 100.0, 90.0, 1.0, 0.05, bad, True)[1][0] == CONVERGED


def test_prices_where_vega_is_gone_are_imprecise(kernels: Any) -> None:
    """In the money the digits of the intrinsic value hide the rest: never an invented volatility."""
    for strike in (1.0, 10.0, 50.0):
        intrinsic = 100.0 - strike
        prices = intrinsic + np.arange(-3, 4) * np.spacing(intrinsic)
        _, status = kernels.implied("black76", prices, 100.0, strike, 0.01, 0.0, 0.0, True)
        assert np.all(status[:3] == BELOW)
        assert np.all(status[3:5] == IMPRECISE)


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(0.01, 2.0), st.integers(-20, 20))
def test_currency_does_not_matter(kernels: Any, m: float, sigma: float, t: float, power: int) -> None:
    strike, scale = 100.0 * math.exp(m), 4.0**power
    price = kernels.price("black76", 100.0, strike, t, sigma, 0.0, 0.0, True)[0]
    one = kernels.implied("black76", price, 100.0, strike, t, 0.0, 0.0, True)
    scaled = kernels.implied("black76", scale * price, scale * 100.0, scale * strike, t, 0.0, 0.0, True)
    np.testing.assert_array_equal(scaled, one)


@given(st.floats(-0.5, 0.5), st.floats(0.05, 2.0), st.floats(1e-9, 0.2))
def test_a_higher_price_means_a_higher_volatility(kernels: Any, m: float, sd: float, step: float) -> None:
    strike = 100.0 * math.exp(m)
    price = max(kernels.price("black76", 100.0, strike, 1.0, sd, 0.0, 0.0, True)[0], 1e-6)
    assume(price * (1 + step) < 99.0)
    prices = np.array([price, price * (1 + step)])
    (low, high), status = kernels.implied("black76", prices, 100.0, strike, 1.0, 0.0, 0.0, True)
    if np.all(status == CONVERGED):
        assert low < high


ANYTHING = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)
POSITIVE = st.floats(min_value=5e-324, max_value=1.7e308)


@given(st.sampled_from(MODELS), ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, ANYTHING, st.booleans())
def test_anything_has_an_answer(
    kernels: Any,
    model: str,
    price: float,
    underlying: float,
    strike: float,
    t: float,
    rate: float,
    dividend_yield: float,
    is_call: bool,
) -> None:
    sigma, status = kernels.implied(model, price, underlying, strike, t, rate, dividend_yield, is_call)
    assert status[0] in range(8)
    assert (status[0] == CONVERGED) == (0.0 < sigma[0] < math.inf)
    assert (status[0] != CONVERGED) == math.isnan(sigma[0])


@given(st.sampled_from(MODELS), POSITIVE, POSITIVE, POSITIVE, st.booleans())
def test_any_positive_market_has_an_answer(
    kernels: Any, model: str, underlying: float, strike: float, price: float, is_call: bool
) -> None:
    sigma, status = kernels.implied(model, price, underlying, strike, 1.0, 0.0, 0.0, is_call)
    assert status[0] in (CONVERGED, BELOW, ABOVE, IMPRECISE)
    assert (status[0] == CONVERGED) == (0.0 < sigma[0] < math.inf)
