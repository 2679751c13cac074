"""The natural logarithm in plain IEEE arithmetic: the same bits on every processor.

NumPy's own logarithm is another one on another processor, in its last bits.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["log"]

Floats = NDArray[np.float64]

_LN2_HIGH: Final = 6.93147180369123816490e-01  # 32 bits, so that exponents times it are exact
_LN2_LOW: Final = 1.90821492927058770002e-10
_TERMS: Final = 13


def log(x: Floats) -> Floats:
    """ln(x) of finite positive numbers, within 2 units in the last place; NaN of anything else.

    With x = 2^e m and m in [sqrt(1/2), sqrt(2)): ln(x) = e ln 2 + 2 artanh(s), s = (m-1)/(m+1), by the
    series of artanh.
    """
    inside = np.isfinite(x) & (x > 0)
    m, e = np.frexp(np.where(inside, x, 1.0))
    small = m < math.sqrt(0.5)
    m = np.where(small, 2.0 * m, m)
    exponent = (e - small).astype(np.float64)
    f = m - 1.0  # exact
    s = f / (m + 1.0)
    square = s * s
    series = np.zeros_like(s)
    for term in range(_TERMS, 0, -1):
        series = square * (series + 1.0 / (2 * term + 1))
    # 2 s = f - s f, so that the rounding of s does not matter to the first order
    tail = 2.0 * s * series - s * f
    value: Floats = exponent * _LN2_HIGH + (f + (tail + exponent * _LN2_LOW))
    return np.where(inside, value, np.nan)
