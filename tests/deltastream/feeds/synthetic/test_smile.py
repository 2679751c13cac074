"""The surface admits no static arbitrage."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.feeds.synthetic._profiles import PROFILES
from deltastream.feeds.synthetic._smile import Smile
from deltastream.pricing import black76

HOUR = 1 / (365 * 24)
TIMES = [HOUR, 8 * HOUR, 1 / 365, 4 / 365, 11 / 365, 30 / 365, 0.25, 1.0, 3.0]
SMILES = [(symbol, profile.smile) for symbol, profile in PROFILES.items()]


@pytest.mark.parametrize(("symbol", "smile"), SMILES)
@pytest.mark.parametrize("level", [0.5, 1.0, 2.0])
def test_no_calendar_arbitrage(symbol, smile, level):
    k = np.linspace(-1.5, 1.5, 601)
    variances = [smile.total_variance(k, smile.theta(t, level)) for t in TIMES]
    for near, far in itertools.pairwise(variances):
        assert (near > 0).all()
        assert (far >= near).all(), symbol


@pytest.mark.parametrize(("symbol", "smile"), SMILES)
@pytest.mark.parametrize("level", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("t", TIMES)
def test_no_butterfly_arbitrage(symbol, smile, level, t):
    forward = 1000.0
    theta = smile.theta(t, level)
    width = min(8 * theta**0.5, 0.6)
    strikes = np.linspace(forward * (1 - width), forward * (1 + width), 401)
    sigmas = np.sqrt(smile.total_variance(np.log(strikes / forward), theta) / t)
    calls, puts = black76.price(forward, strikes, t, sigmas, 0.0, [[True], [False]])
    assert (np.diff(calls) <= 1e-9).all(), symbol
    assert (np.diff(puts) >= -1e-9).all()
    assert (np.diff(calls) >= -np.diff(strikes) - 1e-9).all()
    assert (np.diff(calls, 2) >= -1e-9).all()
    assert np.diff(calls, 2).max() > 1e-6


def density_factor(smile, k, theta, h=1e-5):
    """g(k) of Gatheral and Jacquier, by central differences."""
    low, w, high = (smile.total_variance(k + step, theta) for step in (-h, 0.0, h))
    first, second = (high - low) / (2 * h), (high - 2 * w + low) / (h * h)
    return (1 - k * first / (2 * w)) ** 2 - first**2 / 4 * (1 / w + 0.25) + second / 2


@given(
    st.floats(-0.95, 0.95),
    st.floats(0.05, 2.0),
    st.floats(1e-3, 2.0),
)
def test_every_smile_that_is_accepted_has_a_density(rho, eta, theta):
    try:
        smile = Smile(rho=rho, eta=eta, short_vol=0.2, long_vol=0.2, decay=1.0)
    except ValueError:
        assert eta * (1 + abs(rho)) > 4 or eta * eta * (1 + abs(rho)) > 4
        return
    assert (density_factor(smile, np.linspace(-2, 2, 401), theta) >= -1e-4).all()


@pytest.mark.parametrize(
    "changes", [{"rho": -1.0}, {"eta": 0.0}, {"eta": 1.9, "rho": 0.5}, {"short_vol": 0.0}, {"decay": -1.0}]
)
def test_smiles_that_admit_arbitrage_are_refused(changes):
    fine = {"rho": -0.3, "eta": 0.6, "short_vol": 0.2, "long_vol": 0.2, "decay": 6.0}
    Smile(**fine)
    with pytest.raises(ValueError, match="smile"):
        Smile(**(fine | changes))


def test_term_structure_joins_the_short_and_the_long_volatility():
    smile = Smile(rho=-0.3, eta=0.6, short_vol=0.1, long_vol=0.2, decay=6.0)
    vols = [(smile.theta(t) / t) ** 0.5 for t in (1e-6, 0.1, 1.0, 1e4)]
    assert vols[0] == pytest.approx(0.1, rel=1e-4)
    assert vols[-1] == pytest.approx(0.2, rel=1e-3)
    assert vols == sorted(vols)
