"""The logarithm in plain arithmetic against mpmath."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.analytics.logarithm import log

positive = st.floats(min_value=5e-324, max_value=1.7976931348623157e308)


def units_off(x: float, y: float) -> float:
    with mpmath.workprec(200):
        exact = mpmath.log(x)
        return float(abs(mpmath.mpf(y) - exact) / mpmath.mpf(math.ulp(float(exact))))


@given(positive)
def test_within_two_units_in_the_last_place(x):
    assert units_off(x, float(log(np.array([x]))[0])) <= 2.0


@given(st.floats(min_value=-0.3, max_value=0.3))
def test_within_two_units_near_the_money(k):
    x = 1.0 + k
    assert units_off(x, float(log(np.array([x]))[0])) <= 2.0


def test_one_is_zero_and_what_has_no_logarithm_has_none():
    assert log(np.array([1.0]))[0] == 0.0
    assert np.isnan(log(np.array([0.0, -0.0, -1.0, math.nan, math.inf]))).all()
    assert log(np.array([])).shape == (0,)


@pytest.mark.parametrize("size", [1, 7, 8, 64, 1001])
def test_an_element_does_not_depend_on_its_neighbours(size):
    x = np.linspace(0.2, 3.0, size)
    assert log(x).tolist() == [float(log(np.array([value]))[0]) for value in x.tolist()]
