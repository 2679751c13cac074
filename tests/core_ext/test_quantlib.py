"""Prices and Greeks against QuantLib, an implementation by others, where ``|d1|`` and ``|d2|`` are below 4.

``BlackCalculator`` works on the forward and a total deviation; what it lacks (charm, veta, speed, zomma,
color, ultima) is the slope of what it has. ``AnalyticEuropeanEngine`` counts days itself: it fixes the
payload's units.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import QuantLib as ql  # noqa: N813 - the name all its documentation uses

MODELS = ("black76", "bsm")


def contracts(model: str, n: int = 400) -> list[dict[str, Any]]:
    rng = np.random.default_rng(1998)
    found: list[dict[str, Any]] = []
    while len(found) < n:
        t, sigma = 10 ** rng.uniform(-2.5, 1), rng.uniform(0.05, 1.2)
        rate, dividend_yield = rng.uniform(-0.03, 0.15), rng.uniform(-0.02, 0.1)
        underlying, s = 10 ** rng.uniform(0, 4.5), sigma * math.sqrt(t)
        drift = (rate - dividend_yield) * t if model == "bsm" else 0.0
        d2 = rng.uniform(-4, 4)
        strike = underlying * math.exp(drift - d2 * s - s * s / 2)
        if abs(d2 + s) < 4:
            is_call = bool(rng.random() < 0.5)
            found.append(
                {
                    "underlying": underlying,
                    "strike": strike,
                    "t": t,
                    "sigma": sigma,
                    "rate": rate,
                    "dividend_yield": dividend_yield if model == "bsm" else rate,
                    "is_call": is_call,
                }
            )
    return found


def quantlib(c: dict[str, Any]) -> dict[str, float]:
    """What QuantLib computes in closed form; a forward is a spot that yields the rate."""
    t = c["t"]
    forward = c["underlying"] * math.exp((c["rate"] - c["dividend_yield"]) * t)
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if c["is_call"] else ql.Option.Put, c["strike"])
    discount = math.exp(-c["rate"] * t)
    black = ql.BlackCalculator(payoff, forward, c["sigma"] * math.sqrt(t), discount)
    spot = c["underlying"]
    return {
        "price": black.value(),
        "delta": black.delta(spot),
        "gamma": black.gamma(spot),
        "vega": black.vega(t),
        "theta": black.theta(spot, t),
        "rho": black.rho(t),
        "vanna": black.vanna(spot, t),
        # QuantLib 1.44 divides by the total deviation where the second derivative by sigma divides by sigma.
        "vomma": black.volga(t) * math.sqrt(t),
        "forward_delta": black.deltaForward() / discount,
    }


def black_rho(c: dict[str, Any], values: dict[str, float]) -> float:
    """With the forward held fixed the rate only discounts."""
    return -c["t"] * values["price"]


@pytest.mark.parametrize("model", MODELS)
def test_closed_forms(kernels: Any, measured: Callable[..., None], model: str) -> None:
    worst: dict[str, float] = {}
    cases = contracts(model)
    columns = {name: np.array([c[name] for c in cases]) for name in cases[0]}
    ours = kernels.all_greeks(model, *columns.values())
    theirs = [quantlib(c) for c in cases]
    for i, (c, q) in enumerate(zip(cases, theirs, strict=True)):
        if model == "black76":
            q["rho"] = black_rho(c, q)
        s = c["sigma"] * math.sqrt(c["t"])
        # QuantLib subtracts terms of the size of the underlying.
        scale = {
            "price": c["underlying"] + c["strike"],
            "delta": 1.0,
            "forward_delta": 1.0,
            "gamma": q["gamma"],
            "vega": q["vega"],
            "theta": abs(q["theta"])
            + q["vega"] * c["sigma"] / c["t"]
            + 0.2 * (c["underlying"] + c["strike"]),
            "rho": c["t"] * (c["underlying"] + c["strike"]),
            "vanna": q["vega"] / (c["underlying"] * s) * 4,
            "vomma": q["vega"] / c["sigma"] * 16,
        }
        for name, value in q.items():
            error = abs(ours[name][i] - value) / scale[name]
            worst[name] = max(worst.get(name, 0.0), error)
            assert error <= 1e-12, (name, ours[name][i], value, c)
    for name, error in worst.items():
        measured(f"QuantLib, {model}", name, error, "of the scale of its terms")


SLOPES = {
    "charm": ("delta", "t", -1.0),
    "veta": ("vega", "t", 1.0),
    "speed": ("gamma", "underlying", 1.0),
    "zomma": ("gamma", "sigma", 1.0),
    "color": ("gamma", "t", 1.0),
    "ultima": ("vomma", "sigma", 1.0),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", list(SLOPES))
def test_slopes_of_closed_forms(kernels: Any, model: str, name: str) -> None:
    of, by, sign = SLOPES[name]
    cases = contracts(model, 100)
    columns = {column: np.array([c[column] for c in cases]) for column in cases[0]}
    ours = kernels.all_greeks(model, *columns.values())[name]
    for c, value in zip(cases, ours, strict=True):
        s = c["sigma"] * math.sqrt(c["t"])
        step = c[by] * 1e-4 * min(1.0, s)

        def slope(width: float, c: dict[str, Any] = c) -> float:
            up, down = (quantlib(c | {by: c[by] + x})[of] for x in (width, -width))
            return sign * (up - down) / (2 * width)

        extrapolated = (4 * slope(step) - slope(2 * step)) / 3
        scale = abs(quantlib(c)[of]) / c[by] * 20 / min(1.0, s)
        if of == "delta":
            scale = 20 / c[by]
        assert value == pytest.approx(extrapolated, rel=1e-7, abs=1e-8 * scale), c


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(("days", "moneyness"), [(1, 1.0), (7, 0.98), (30, 1.05), (365, 1.0), (1095, 0.7)])
def test_the_units_of_a_payload_are_calendar_days_and_percent(
    kernels: Any, days: int, moneyness: float, is_call: bool
) -> None:
    """QuantLib counts the days from dates, 365 to a year, and discounts on its own curves."""
    spot, rate, dividend_yield, sigma = 24_500.0, 0.065, 0.012, 0.14
    today = ql.Date(20, 11, 2026)
    ql.Settings.instance().evaluationDate = today
    days_of_year = ql.Actual365Fixed()

    def flat(value: float) -> ql.YieldTermStructureHandle:
        return ql.YieldTermStructureHandle(ql.FlatForward(today, value, days_of_year))

    volatility = ql.BlackVolTermStructureHandle(
        ql.BlackConstantVol(today, ql.NullCalendar(), sigma, days_of_year)
    )
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(spot)), flat(dividend_yield), flat(rate), volatility
    )
    payoff = ql.PlainVanillaPayoff(ql.Option.Call if is_call else ql.Option.Put, spot * moneyness)
    option = ql.VanillaOption(payoff, ql.EuropeanExercise(today + days))
    option.setPricingEngine(ql.AnalyticEuropeanEngine(process))
    contract = ("bsm", spot, spot * moneyness, days / 365, sigma, rate, dividend_yield, is_call)
    ours = kernels.greeks(*contract, raw=False)
    for name, value in {
        "price": option.NPV(),
        "delta": option.delta(),
        "gamma": option.gamma(),
        "vega": option.vega() / 100,
        "theta": option.thetaPerDay(),
        "rho": option.rho() / 100,
    }.items():
        assert ours[name][0] == pytest.approx(value, rel=1e-10), name


@pytest.mark.parametrize("is_call", [True, False])
def test_implied_volatilities(kernels: Any, is_call: bool) -> None:
    """QuantLib's price of an option implies the volatility it was made with."""
    side = ql.Option.Call if is_call else ql.Option.Put
    for c in contracts("black76", 200):
        s = c["sigma"] * math.sqrt(c["t"])
        price = ql.blackFormula(side, c["strike"], c["underlying"], s, math.exp(-c["rate"] * c["t"]))
        quote = (c["underlying"], c["strike"], c["t"], c["rate"], 0.0, is_call)
        sigma, status = kernels.implied("black76", price, *quote)
        vega = kernels.greeks("black76", *quote[:3], c["sigma"], *quote[3:])["vega"][0]
        assert status[0] == 0
        # QuantLib's price is off by some eps of the underlying and the strike.
        loss = 2e-15 * (c["underlying"] + c["strike"]) / (vega * c["sigma"])
        assert sigma[0] == pytest.approx(c["sigma"], rel=1e-13 + loss)
