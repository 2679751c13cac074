"""Max pain equals brute force in exact arithmetic, flats included."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream import _core

# NSE states some open interest in thirds; summed as floats they leave a residue, as fractions they do not.
open_interest = st.one_of(
    st.just(Fraction(0)),
    st.fractions(0, 50, max_denominator=3),
    st.fractions(0, 10**6, max_denominator=1000),
    st.integers(0, 10**9).map(Fraction),
)


@st.composite
def interests(draw: st.DrawFn) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    strikes = sorted(draw(st.sets(st.integers(1, 400), min_size=1, max_size=30)))
    count = len(strikes)
    calls = draw(st.lists(open_interest, min_size=count, max_size=count))
    puts = draw(st.lists(open_interest, min_size=count, max_size=count))
    return [Fraction(k, 2) for k in strikes], calls, puts


def pain(x: Fraction, strikes: list[Fraction], calls: list[Fraction], puts: list[Fraction]) -> Fraction:
    return sum(
        (
            c * max(x - k, Fraction(0)) + p * max(k - x, Fraction(0))
            for k, c, p in zip(strikes, calls, puts, strict=True)
        ),
        Fraction(0),
    )


def floats(values: list[Fraction]) -> np.ndarray:
    return np.array([float(value) for value in values])


@given(interests(), st.integers(0, 500))
def test_equals_brute_force(
    interest: tuple[list[Fraction], list[Fraction], list[Fraction]], spot: int
) -> None:
    strikes, calls, puts = interest
    found = _core.max_pain(floats(strikes), floats(calls), floats(puts), float(spot))
    if not any(calls) and not any(puts):
        assert np.isnan(found).all()
        return
    pains = [pain(x, strikes, calls, puts) for x in strikes]
    # A slope under 1e-9 of all open interest counts as flat: the interval reaches as far as such slopes do.
    total = sum(calls + puts)
    slopes = [(b - a) / (y - x) for a, b, x, y in zip(pains, pains[1:], strikes, strikes[1:], strict=False)]
    flat = [abs(slope) <= total * Fraction(1, 10**9) for slope in slopes]
    lo = hi = pains.index(min(pains))
    while lo > 0 and flat[lo - 1]:
        lo -= 1
    while hi < len(flat) and flat[hi]:
        hi += 1
    point = min(max(Fraction(spot), strikes[lo]), strikes[hi])
    assert found[:3] == (float(strikes[lo]), float(strikes[hi]), float(point))
    assert found[3] == pytest.approx(float(pain(point, strikes, calls, puts)), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [2, 15, 16, 17, 100, 500])
def test_a_long_chain_equals_brute_force(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    strikes = 100 + np.cumsum(rng.integers(1, 5, n))
    calls, puts = 75 * rng.integers(0, 3000, (2, n)) * (rng.random((2, n)) < 0.7)
    calls[0] += 1
    gaps = strikes[:, None] - strikes[None, :]
    pains = np.maximum(gaps, 0) @ calls + np.maximum(-gaps, 0) @ puts
    best = np.flatnonzero(pains == pains.min())
    lo, hi = strikes[best[0]], strikes[best[-1]]
    found = _core.max_pain(*(part.astype(float) for part in (strikes, calls, puts)), np.nan)
    assert found == (lo, hi, lo, pains.min())


def test_a_flat_that_floats_miss() -> None:
    strikes = np.array([100.0, 110.0, 120.0])
    calls = np.array([0.1 + 0.2, 0.0, 0.0])
    puts = np.array([0.0, 0.0, 0.3])
    assert calls[0] != puts[2]
    assert _core.max_pain(strikes, calls, puts, 104.0) == (100.0, 120.0, 104.0, pytest.approx(6.0))


@pytest.mark.parametrize("absent", [0.0, np.nan, -4.0, np.inf])
def test_no_open_interest(absent: float) -> None:
    strikes = np.array([100.0, 110.0])
    assert np.isnan(_core.max_pain(strikes, np.full(2, absent), np.full(2, absent), 100.0)).all()


def test_absent_values_count_as_none() -> None:
    strikes = np.array([100.0, 110.0, 120.0])
    clean = _core.max_pain(strikes, np.array([5.0, 0.0, 1.0]), np.array([0.0, 2.0, 7.0]), 100.0)
    holes = _core.max_pain(strikes, np.array([5.0, np.nan, 1.0]), np.array([-1.0, 2.0, 7.0]), 100.0)
    assert clean == holes


def test_empty_and_single() -> None:
    empty = np.empty(0)
    assert np.isnan(_core.max_pain(empty, empty, empty, 100.0)).all()
    one = np.array([50.0])
    assert _core.max_pain(one, np.array([1.0]), np.array([np.nan]), np.nan) == (50.0, 50.0, 50.0, 0.0)
