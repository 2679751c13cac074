"""All Greeks against mpmath: ``|error| <= 1e-10 (|value| + natural scale)``.

The natural scale of a Greek is the sum of the magnitudes of its terms, written with ``a = x / s`` and ``h = s
/ 2`` (``x`` log-moneyness of the forward, ``s = sigma sqrt(T)``, ``d1 = a + h``, ``d2 = a - h``). It falls
with the Gaussian factor: a tail must be right in relative terms, and only where terms cancel may the error be
measured by them. Price, delta, gamma, vega, rho and forward delta have one term: their scale is the value.

With Black-Scholes-Merton ``x`` is rounded before anything is computed (`test_price`); a Greek moves by at
most ``envelope (1 + |d1| + |d2|) / s`` times that error, where the envelope is its scale with ``a`` and ``h``
one larger.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

EPS = 2.0**-52
INPUTS = ("underlying", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
MODELS = ("black76", "bsm")


def scales(g: dict[str, np.ndarray], model: str, wider: float = 0.0) -> dict[str, np.ndarray]:
    """Natural scale of each Greek of more than one term, from the exact vega, gamma, delta and price."""
    s = g["sigma"] * np.sqrt(g["t"])
    black = model == "black76"
    drift = 0.0 * s if black else (g["rate"] - g["dividend_yield"]) * g["t"]
    carry = np.abs(g["rate"] if black else g["dividend_yield"])
    a = np.abs(np.log(g["underlying"] / g["strike"]) + drift) / s + wider
    h = s / 2 + wider
    p = a * a + h * h
    drift = np.abs(drift)
    t, sigma, spot = g["t"], g["sigma"], g["underlying"]
    vega, gamma, delta, price = (np.abs(g[name]) for name in ("vega", "gamma", "delta", "price"))
    density = gamma * spot * s  # exp(-q T) phi(d1)
    strike_term = price + spot * delta
    decay = (drift * (a + h) / s + p / 2 + 0.5) / t  # of |d1 d(d1)/dT| and 1 / (2 T)
    return {
        "theta": vega * sigma / (2 * t)
        + (carry * price if black else np.abs(g["rate"]) * strike_term + carry * spot * delta),
        "vanna": vega / (spot * s) * (a + h),
        "charm": carry * delta + density / t * (drift / s + a / 2 + h / 2),
        "vomma": vega / sigma * p,
        "veta": vega * (carry + decay),
        "speed": gamma / spot * (a / s + 1.5),
        "zomma": gamma / sigma * (p + 1),
        "color": gamma * (carry + decay),
        "ultima": vega / sigma**2 * (p * p + 3 * p),
    }


def forced(g: dict[str, np.ndarray], model: str) -> dict[str, np.ndarray]:
    """Error of each Greek that rounding the log-moneyness of Black-Scholes-Merton causes."""
    if model == "black76":
        return {}
    s = g["sigma"] * np.sqrt(g["t"])
    logarithm = np.log(g["underlying"] / g["strike"])
    carry = (g["rate"] - g["dividend_yield"]) * g["t"]
    error = EPS * (2 * np.abs(logarithm) + np.abs(carry) + 0.5 * np.abs(logarithm + carry))
    a, h = np.abs(logarithm + carry) / s, s / 2
    envelopes = {name: np.abs(column) for name, column in g.items()} | scales(g, model, wider=1.0)
    return {name: envelope * (1 + 2 * (a + h)) / s * error for name, envelope in envelopes.items()}


@pytest.fixture(scope="module", params=MODELS)
def table(
    request: pytest.FixtureRequest, golden: Callable[[str], dict[str, Any]]
) -> tuple[str, dict[str, Any]]:
    g = golden("greeks")
    of = g["model"] == request.param
    return request.param, {name: column[of] for name, column in g.items() if name != "model"}


def test_every_greek(table: tuple[str, dict[str, Any]], kernels: Any, measured: Callable[..., None]) -> None:
    model, g = table
    computed = kernels.all_greeks(model, *(g[name] for name in INPUTS))
    natural, unavoidable = scales(g, model), forced(g, model)
    failures = []
    for name in kernels.all_greeks_names:
        exact = g[name]
        scale = np.abs(exact) + natural.get(name, 0.0)
        error = np.abs(computed[name] - exact)
        bound = 1e-10 * scale + unavoidable.get(name, 0.0) + 1e-300
        shown = unavoidable.get(name, 0.0) < 1e-12 * scale
        measured(f"{model}, forced < 1e-12", name, (error / scale)[shown].max(), "of |value| + scale")
        if not np.all(error <= bound):
            i = int(np.argmax(np.where(np.isnan(error), np.inf, error) / bound))
            inputs = " ".join(f"{column}={g[column][i]!r}" for column in INPUTS)
            failures.append(
                f"{name}: {computed[name][i]!r}, exact {exact[i]!r}, scale {scale[i]:.3g}: {inputs}"
            )
    assert not failures, "\n".join(failures)


def test_the_six_are_those_of_the_fifteen(table: tuple[str, dict[str, Any]], kernels: Any) -> None:
    model, g = table
    contract = [g[name] for name in INPUTS]
    for raw in (False, True):
        few, all_of_them = (
            kernels.greeks(model, *contract, raw=raw),
            kernels.all_greeks(model, *contract, raw=raw),
        )
        for name, values in few.items():
            np.testing.assert_array_equal(values, all_of_them[name], err_msg=name)


def test_the_price_among_the_greeks_is_the_price(table: tuple[str, dict[str, Any]], kernels: Any) -> None:
    model, g = table
    contract = [g[name] for name in INPUTS]
    np.testing.assert_array_equal(kernels.greeks(model, *contract)["price"], kernels.price(model, *contract))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("price", 1.0),
        ("delta", 1.0),
        ("gamma", 1.0),
        ("vega", 1 / 100),
        ("theta", 1 / 365),
        ("rho", 1 / 100),
        ("vanna", 1 / 100),
        ("charm", 1 / 365),
        ("vomma", 1 / 100**2),
        ("veta", 1 / 100 / 365),
        ("speed", 1.0),
        ("zomma", 1 / 100),
        ("color", 1 / 365),
        ("ultima", 1 / 100**3),
        ("forward_delta", 1.0),
    ],
)
def test_payload_units(table: tuple[str, dict[str, Any]], kernels: Any, name: str, unit: float) -> None:
    """Per volatility point, per calendar day, per 1 % of rate; theta and charm as time passes in both."""
    model, g = table
    contract = [g[column] for column in INPUTS]
    raw = kernels.all_greeks(model, *contract, raw=True)[name]
    payload = kernels.all_greeks(model, *contract, raw=False)[name]
    np.testing.assert_allclose(payload, raw * unit, rtol=4 * EPS, atol=1e-305)
