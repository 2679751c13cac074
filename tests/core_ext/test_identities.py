"""The laws that prices, Greeks and implied volatilities obey, whatever formula computes them.

``slack`` is what rounding allows: a few units of the largest term, never a share of the result where the law
holds between results of one sign.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

EPS = 2.0**-52
CALL, PUT = True, False


class Market(NamedTuple):
    """A contract as the kernels take it, less the side."""

    model: str
    underlying: float
    strike: float
    t: float
    sigma: float
    rate: float
    dividend_yield: float

    @property
    def held(self) -> float:
        """Present value of the underlying delivered at expiry."""
        carry = self.rate if self.model == "black76" else self.dividend_yield
        return self.underlying * math.exp(-carry * self.t)

    @property
    def paid(self) -> float:
        """Present value of the strike paid at expiry."""
        return self.strike * math.exp(-self.rate * self.t)

    @property
    def slack(self) -> float:
        """Rounding of both, their discount factors included."""
        rounds = 3 + (abs(self.rate) + abs(self.dividend_yield)) * self.t
        return rounds * EPS * max(self.held, self.paid)

    @property
    def deviation(self) -> float:
        return self.sigma * math.sqrt(self.t)

    @property
    def log_moneyness(self) -> float:
        return math.log(self.held / self.paid)


def build(
    model: str,
    underlying: float,
    depth: float,
    t: float,
    deviation: float,
    rate: float,
    dividend_yield: float,
) -> Market:
    strike = underlying * math.exp(max(-8.0, min(8.0, depth * deviation)))
    if model == "black76":
        dividend_yield = 0.0
    return Market(model, underlying, strike, t, deviation / math.sqrt(t), rate, dividend_yield)


def markets(depth: float = 12.0, deviation: tuple[float, float] = (1e-3, 5.0)) -> st.SearchStrategy[Market]:
    """Contracts of both models, ``depth`` deviations around the money."""
    low, high = map(math.log, deviation)
    return st.builds(
        build,
        st.sampled_from(("black76", "bsm")),
        st.floats(-2.0, 6.0).map(lambda power: 10.0**power),
        st.floats(-depth, depth),
        st.floats(-4.0, 1.0).map(lambda power: 10.0**power),
        st.floats(low, high).map(math.exp),
        st.floats(-0.05, 0.3),
        st.floats(-0.05, 0.3),
    )


@pytest.fixture(scope="session")
def price(kernels: Any) -> Any:
    return lambda market, is_call: float(kernels.price(*market, is_call)[0])


@pytest.fixture(scope="session")
def greeks(kernels: Any) -> Any:
    """Raw derivatives as floats."""

    def compute(market: Market, is_call: bool) -> dict[str, float]:
        return {name: float(values[0]) for name, values in kernels.all_greeks(*market, is_call).items()}

    return compute


@given(markets())
def test_put_call_parity(greeks: Any, m: Market) -> None:
    """A call less a put is a forward contract: its value, and all its derivatives."""
    call, put = greeks(m, CALL), greeks(m, PUT)
    black, held, paid, slack = m.model == "black76", m.held, m.paid, m.slack
    carry = m.rate if black else m.dividend_yield
    factor = held / m.underlying
    assert call["price"] - put["price"] == pytest.approx(held - paid, abs=2 * slack)
    assert call["delta"] - put["delta"] == pytest.approx(factor, rel=4 * slack / max(held, paid))
    assert call["forward_delta"] - put["forward_delta"] == pytest.approx(1.0, abs=2 * EPS)
    by_time = abs(carry) * held + abs(m.rate) * paid
    decay = max(abs(call["theta"]), abs(put["theta"]), by_time)
    assert call["theta"] - put["theta"] == pytest.approx(
        carry * held - m.rate * paid, abs=16 * slack / max(held, paid) * decay
    )
    drift = max(abs(call["charm"]), abs(put["charm"]), abs(carry) * factor)
    assert call["charm"] - put["charm"] == pytest.approx(
        carry * factor, abs=16 * slack / max(held, paid) * drift
    )
    rho = -m.t * (held - paid) if black else m.t * paid
    assert call["rho"] - put["rho"] == pytest.approx(rho, abs=4 * m.t * slack)


@given(markets())
def test_what_call_and_put_share(greeks: Any, m: Market) -> None:
    """Derivatives of the forward contract that are zero: the same bits on both sides."""
    call, put = greeks(m, CALL), greeks(m, PUT)
    for name in ("gamma", "vega", "vanna", "vomma", "veta", "speed", "zomma", "color", "ultima"):
        assert call[name] == put[name], name


@given(markets(depth=38.0, deviation=(1e-4, 6.0)))
def test_bounds(greeks: Any, m: Market) -> None:
    call, put = greeks(m, CALL), greeks(m, PUT)
    held, paid, slack = m.held, m.paid, 2 * m.slack
    assert max(held - paid, 0.0) - slack <= call["price"] <= held + slack
    assert max(paid - held, 0.0) - slack <= put["price"] <= paid + slack
    factor = held / m.underlying * (1 + slack / max(held, paid))
    assert 0.0 <= call["delta"] <= factor
    assert -factor <= put["delta"] <= 0.0
    assert 0.0 <= call["forward_delta"] <= 1.0
    assert -1.0 <= put["forward_delta"] <= 0.0
    assert call["gamma"] >= 0.0
    assert call["vega"] >= 0.0
    assert call["price"] >= 0.0
    assert put["price"] >= 0.0


@given(markets(depth=30.0, deviation=(1e-4, 6.0)), st.floats(1e-6, 1.0), st.booleans())
def test_monotone(price: Any, m: Market, step: float, is_call: bool) -> None:
    """In volatility upwards; in strike and underlying as the side has it."""
    here = price(m, is_call)
    assert price(m._replace(sigma=m.sigma * (1 + step)), is_call) >= here * (1 - 2 * EPS)
    dearer = price(m._replace(strike=m.strike * (1 + step)), is_call)
    richer = price(m._replace(underlying=m.underlying * (1 + step)), is_call)
    if is_call:
        assert dearer <= here * (1 + 2 * EPS)
        assert richer >= here * (1 - 2 * EPS)
    else:
        assert dearer >= here * (1 - 2 * EPS)
        assert richer <= here * (1 + 2 * EPS)


@given(markets(depth=10.0), st.floats(1e-3, 1.0), st.floats(0.01, 0.99), st.booleans())
def test_convex_in_strike(price: Any, m: Market, width: float, weight: float, is_call: bool) -> None:
    low, high = m, m._replace(strike=m.strike * (1 + width * m.deviation))
    strike = weight * low.strike + (1 - weight) * high.strike
    between = price(m._replace(strike=strike), is_call)
    chord = weight * price(low, is_call) + (1 - weight) * price(high, is_call)
    # The strike between is rounded, and a price moves by at most the discounted move of its strike.
    assert between <= chord + 2 * high.slack


@given(markets(depth=20.0), st.integers(-60, 60), st.booleans())
def test_powers_of_two_are_only_a_currency(greeks: Any, m: Market, power: int, is_call: bool) -> None:
    """``V(cF, cK) = c V(F, K)`` to the bit, and each Greek with its power of the currency."""
    scale = 4.0**power
    here = greeks(m, is_call)
    there = greeks(m._replace(underlying=scale * m.underlying, strike=scale * m.strike), is_call)
    powers = {"delta": 0, "forward_delta": 0, "vanna": 0, "charm": 0}
    powers |= {"gamma": -1, "zomma": -1, "color": -1, "speed": -2}
    for name, value in here.items():
        expected = value * scale ** powers.get(name, 1)
        if 1e-290 < abs(expected) < 1e290 and abs(value) > 1e-290:
            assert there[name] == expected, name


@given(markets(depth=20.0), st.floats(-5.0, 5.0), st.booleans())
def test_homogeneous_in_underlying_and_strike(price: Any, m: Market, log_scale: float, is_call: bool) -> None:
    scale = math.exp(log_scale)
    scaled = m._replace(underlying=scale * m.underlying, strike=scale * m.strike)
    # Both products are rounded: the moneyness moves by an eps, the price by its derivative times that.
    moved = EPS * (m.held + m.paid) + 1e-12 * price(m, is_call)
    assert price(scaled, is_call) == pytest.approx(scale * price(m, is_call), rel=0.0, abs=scale * moved)


@given(markets(depth=30.0, deviation=(1e-4, 6.0)))
def test_swapping_forward_and_strike_swaps_call_and_put(price: Any, m: Market) -> None:
    m = m._replace(model="black76")
    swapped = m._replace(underlying=m.strike, strike=m.underlying)
    out_of_the_money = CALL if m.underlying <= m.strike else PUT
    for is_call in (CALL, PUT):
        bound = 1e-12 * price(m, is_call) + 1e-300 if is_call == out_of_the_money else 2 * m.slack
        assert price(swapped, not is_call) == pytest.approx(price(m, is_call), rel=0.0, abs=bound)


@given(markets(depth=30.0), st.booleans())
def test_without_drift_the_models_agree(greeks: Any, m: Market, is_call: bool) -> None:
    """With a yield equal to the rate the forward is the spot: all but rho, which holds another thing."""
    rate = m.rate
    spot = greeks(m._replace(model="bsm", dividend_yield=rate), is_call)
    forward = greeks(m._replace(model="black76"), is_call)
    for name in forward.keys() - {"rho"}:
        scale = abs(forward["theta"]) + abs(rate) * m.strike if name == "theta" else abs(forward[name])
        assert spot[name] == pytest.approx(forward[name], rel=1e-11, abs=1e-13 * scale + 1e-300), name


@given(markets(depth=10.0), st.booleans())
def test_spot_model_is_the_forward_model_on_its_forward(greeks: Any, m: Market, is_call: bool) -> None:
    m = m._replace(model="bsm")
    growth = math.exp((m.rate - m.dividend_yield) * m.t)
    spot = greeks(m, is_call)
    forward = greeks(m._replace(model="black76", underlying=m.underlying * growth), is_call)
    # The forward is rounded here (three times), its logarithm there.
    carry = abs(m.rate - m.dividend_yield) * m.t
    error = EPS * (4 + 3 * carry + 3 * abs(m.log_moneyness))
    moved = error * abs(spot["delta"]) * m.underlying + 4 * EPS * spot["price"]
    assert spot["price"] == pytest.approx(forward["price"], rel=1e-12, abs=moved)
    sensitivity = spot["gamma"] * m.underlying * error + 1e-12 * abs(spot["delta"])
    assert spot["delta"] == pytest.approx(forward["delta"] * growth, rel=0.0, abs=sensitivity)
    assert spot["forward_delta"] == pytest.approx(
        forward["forward_delta"], rel=0.0, abs=sensitivity / min(1.0, m.held / m.underlying)
    )


STEPS = {
    "delta": ("price", "underlying", 1.0),
    "gamma": ("delta", "underlying", 1.0),
    "vega": ("price", "sigma", 1.0),
    "theta": ("price", "t", -1.0),
    "rho": ("price", "rate", 1.0),
    "vanna": ("delta", "sigma", 1.0),
    "charm": ("delta", "t", -1.0),
    "vomma": ("vega", "sigma", 1.0),
    "veta": ("vega", "t", 1.0),
    "speed": ("gamma", "underlying", 1.0),
    "zomma": ("gamma", "sigma", 1.0),
    "color": ("gamma", "t", 1.0),
    "ultima": ("vomma", "sigma", 1.0),
}


@pytest.mark.parametrize("name", list(STEPS))
@given(m=markets(depth=4.0, deviation=(0.01, 3.0)), is_call=st.booleans())
def test_each_greek_is_the_slope_of_another(greeks: Any, name: str, m: Market, is_call: bool) -> None:
    """Against a central difference, whose error is bounded by a second one of twice the step."""
    of, by, sign = STEPS[name]
    value = getattr(m, by)
    step = 1e-4 / (1 + m.t) if by == "rate" else value * min(1e-3, 1e-2 * m.deviation)
    if by == "rate":
        step *= min(1.0, m.deviation)

    def slope(width: float) -> float:
        high, low = (greeks(m._replace(**{by: value + x}), is_call)[of] for x in (width, -width))
        return sign * (high - low) / ((value + width) - (value - width))

    near, far = slope(step), slope(2 * step)
    here = greeks(m, is_call)
    noise = 1e-12 * abs(here[of]) / step + 1e-10 * abs(here[name])
    assert here[name] == pytest.approx(near, rel=0.0, abs=abs(near - far) + noise)


@given(markets(depth=6.0, deviation=(1e-3, 5.0)), st.booleans())
def test_black_scholes_equation(greeks: Any, m: Market, is_call: bool) -> None:
    """Decay, curvature and carry pay for each other."""
    g = greeks(m, is_call)
    drift = 0.0 if m.model == "black76" else m.rate - m.dividend_yield
    terms = (
        g["theta"],
        0.5 * m.sigma**2 * m.underlying**2 * g["gamma"],
        drift * m.underlying * g["delta"],
        -m.rate * g["price"],
    )
    assert math.fsum(terms) == pytest.approx(0.0, abs=1e-11 * max(map(abs, terms)))


@given(markets(depth=6.0, deviation=(1e-3, 4.0)), st.booleans())
def test_implied_volatility_of_a_price(kernels: Any, greeks: Any, m: Market, is_call: bool) -> None:
    here = greeks(m, is_call)
    # All the price loses by being rounded, the intrinsic value and the forward it is measured from included.
    loss = m.slack * (1 + m.dividend_yield * m.t) * 8 / max(here["vega"] * m.sigma, 1e-300)
    assume(loss < 1e-3)
    quote = (m.model, here["price"], m.underlying, m.strike, m.t, m.rate, m.dividend_yield, is_call)
    sigma, status = kernels.implied(*quote)
    assert status[0] == 0
    assert sigma[0] == pytest.approx(m.sigma, rel=16 * EPS + loss)


@given(markets(depth=6.0, deviation=(0.05, 3.0)))
def test_both_sides_imply_one_volatility(kernels: Any, price: Any, m: Market) -> None:
    sides = np.array([price(m, CALL), price(m, PUT)])
    quote = (m.underlying, m.strike, m.t, m.rate, m.dividend_yield, np.array([CALL, PUT]))
    sigma, status = kernels.implied(m.model, sides, *quote)
    if np.all(status == 0):
        vega = kernels.greeks(*m, CALL)["vega"][0]
        loss = 16 * m.slack / (vega * m.sigma) + 16 * EPS
        assert sigma[0] == pytest.approx(sigma[1], rel=loss)
