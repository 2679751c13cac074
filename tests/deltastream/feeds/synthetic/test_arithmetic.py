"""Numbers that are the same everywhere."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deltastream.feeds.synthetic._arithmetic import ln, normal, uniforms


@given(st.floats(min_value=1e-300, max_value=1e300))
def test_ln_agrees_with_the_library(x):
    assert ln(x) == pytest.approx(math.log(x), rel=4e-16, abs=2e-16)


def test_ln_of_one_is_zero():
    assert ln(1.0) == 0.0


def test_normal_has_mean_0_and_variance_1():
    rng = random.Random(5)
    draws = np.array([normal(rng) for _ in range(60_000)])
    assert abs(draws.mean()) < 4 / math.sqrt(draws.size)
    assert abs(draws.var() - 1) < 0.03
    assert abs((draws**3).mean()) < 0.06


def test_uniforms_are_pinned():
    draws = uniforms(np.random.PCG64(np.random.SeedSequence([20261120, 0])), (2, 3))
    expected = np.array([[10369, 48894, 21046], [48302, 24959, 30309]])
    assert draws.shape == (2, 3)
    assert (draws >= 0).all()
    assert (draws < 1).all()
    assert (draws * 65536).tolist() == expected.tolist()


def test_uniforms_are_uniform():
    draws = uniforms(np.random.PCG64(7), (40_000,))
    assert abs(draws.mean() - 0.5) < 0.006
    assert abs(draws.var() - 1 / 12) < 0.002
