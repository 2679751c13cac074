"""Randomness and logarithms that are the same bits on every machine.

The system's `libm` and NumPy's transcendental functions round differently from processor to
processor; here are only IEEE basic operations, and generators whose streams are fixed for good
(`random.Random.random` and the raw output of PCG64).
"""

from __future__ import annotations

import math
import random
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["ln", "normal", "uniforms"]

_LN2: Final = 0.6931471805599453
_SQRT_HALF: Final = 0.7071067811865476
_TERMS: Final = tuple(1.0 / n for n in range(23, 0, -2))


def ln(x: float) -> float:
    """Natural logarithm of a positive finite number, to about 2e-16 absolutely near 1.

    By x = m·2^e with m near 1 and ln m = 2 artanh((m - 1)/(m + 1)), its series taken to the 23rd power.
    """
    m, e = math.frexp(x)
    if m < _SQRT_HALF:
        m, e = 2.0 * m, e - 1
    y = (m - 1.0) / (m + 1.0)
    square = y * y
    total = 0.0
    for term in _TERMS:
        total = total * square + term
    return 2.0 * y * total + e * _LN2


def normal(rng: random.Random) -> float:
    """A draw of mean 0 and variance 1: the sum of twelve uniforms less 6 (Irwin-Hall).

    Sums of such steps are normal for every purpose of a price path; one alone never leaves [-6, 6].
    """
    draw = rng.random
    total = 0.0
    for _ in range(12):
        total += draw()
    return total - 6.0


def uniforms(bits: np.random.PCG64, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Uniform draws in [0, 1) in steps of 2^-16: float64 of that shape."""
    count = math.prod(shape)
    words = bits.random_raw(count // 4 + 1).astype("<u8", copy=False).view("<u2")
    draws: NDArray[np.float64] = words[:count].reshape(shape) * 2.0**-16
    return draws
