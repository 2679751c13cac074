"""The expected move against mpmath."""

from __future__ import annotations

import math

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.analytics.expected_move import lognormal


def exactly(forward: float, sigma: float, t: float, z: float) -> tuple[float, float, float]:
    """The band, and the integral of the lognormal density over it."""
    with mpmath.workdps(40):
        s = mpmath.mpf(sigma) * mpmath.sqrt(t)
        mean = mpmath.log(forward) - s * s / 2
        low, high = forward * mpmath.exp(-z * s), forward * mpmath.exp(z * s)
        inside = [mpmath.ncdf((mpmath.log(end) - mean) / s) for end in (low, high)]
        return float(low), float(high), float(inside[1] - inside[0])


@given(
    st.floats(1e-3, 1e6),
    st.floats(0.01, 3.0),
    st.floats(1e-5, 5.0),
    st.sampled_from([0.5, 1.0, 2.0]),
)
def test_it_is_what_the_lognormal_density_says(forward, sigma, t, z):
    low, high, coverage = exactly(forward, sigma, t, z)
    move = lognormal(forward, sigma, t, z)
    assert move.low == pytest.approx(low, rel=1e-14)
    assert move.high == pytest.approx(high, rel=1e-14)
    assert move.coverage == pytest.approx(coverage, rel=1e-9)
    assert move.low * move.high == pytest.approx(forward**2, rel=1e-13)


def test_the_density_integrated_without_its_distribution_function():
    s = 0.8 * math.sqrt(2.0)
    move = lognormal(100.0, 0.8, 2.0)

    def density(x: float) -> mpmath.mpf:
        return mpmath.npdf(mpmath.log(x / 100) / s + s / 2) / (x * s)

    with mpmath.workdps(30):
        inside = float(mpmath.quad(density, [move.low, 100, move.high]))
    assert move.coverage == pytest.approx(inside, rel=1e-12)
    assert move.coverage < 0.62  # far from that of a short time


def test_one_sigma_of_a_short_time_covers_what_everybody_knows():
    assert lognormal(26_000.0, 0.12, 1 / 365).coverage == pytest.approx(0.682689, abs=1e-5)


@pytest.mark.parametrize(
    ("forward", "sigma", "t"),
    [(100.0, 0.0, 1.0), (100.0, 0.2, 0.0), (100.0, 1000.0, 1.0), (math.inf, 0.2, 1.0), (0.0, 0.2, 1.0),
     (-1.0, 0.2, 1.0), (100.0, math.nan, 1.0), (1e308, 3.0, 1.0)],
)  # fmt: skip
def test_there_may_be_no_band(forward, sigma, t):
    assert lognormal(forward, sigma, t) is None
