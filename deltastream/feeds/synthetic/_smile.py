"""An implied volatility surface without static arbitrage: SSVI.

w(k, θ) = θ/2 · (1 + ρφk + √((φk + ρ)² + 1 - ρ²)),  φ(θ) = η / √(θ (1 + θ))

with k = ln(K/F), after Gatheral and Jacquier, "Arbitrage-free SVI volatility surfaces" (2014).
With this φ, θφ²(1+|ρ|) = η²(1+|ρ|)/(1+θ) and θφ(1+|ρ|) < η(1+|ρ|), so that η²(1+|ρ|) ≤ 4 and
η(1+|ρ|) ≤ 4 exclude butterfly arbitrage at every θ; and ∂θ(θφ) = φ/(2(1+θ)) lies between 0 and
φ(1+√(1-ρ²))/ρ², which with θ growing in time excludes calendar arbitrage.

θ(T) = T · (L² + (level·S² - L²)/(1 + κT)), S and L the volatilities of the shortest and the longest
expiry: its slope L² + (level·S² - L²)/(1 + κT)² is a weighted mean of positive numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Smile"]


@dataclass(frozen=True, slots=True)
class Smile:
    """Parameters of the surface.

    Attributes:
        rho: skew, in (-1, 1); eta: curvature, positive.
        short_vol: at-the-money volatility of the shortest expiry at level 1; long_vol: of the longest.
        decay: how fast one passes into the other, per year.

    Raises:
        ValueError: the parameters admit arbitrage.
    """

    rho: float
    eta: float
    short_vol: float
    long_vol: float
    decay: float

    def __post_init__(self) -> None:
        if not (-1 < self.rho < 1 and self.eta > 0 and self.short_vol > 0 and self.long_vol > 0):
            raise ValueError(f"not the parameters of a smile: {self}")
        wing = 1 + abs(self.rho)
        if self.decay < 0 or self.eta * wing > 4 or self.eta * self.eta * wing > 4:
            raise ValueError(f"this smile admits arbitrage: {self}")

    def theta(self, t: float, level: float = 1.0) -> float:
        """Total variance at the money for `t` years; `level` > 0 scales the short variance."""
        long_variance = self.long_vol * self.long_vol
        excess = level * self.short_vol * self.short_vol - long_variance
        return t * (long_variance + excess / (1 + self.decay * t))

    def total_variance(self, k: NDArray[np.float64], theta: float) -> NDArray[np.float64]:
        """w at each log-moneyness ln(K/F): float64[n]."""
        x = k * (self.eta / math.sqrt(theta * (1 + theta)))
        shifted = x + self.rho
        root = np.sqrt(shifted * shifted + (1 - self.rho * self.rho))
        w: NDArray[np.float64] = (root + (x * self.rho + 1.0)) * (0.5 * theta)
        return w
