"""Peer: NumPy and SciPy, the closed formulas over whole arrays as one writes them down.

python vectorised.py DIRECTORY      in benches/.venv-peers, started by benches/core.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

sys.path.append(str(Path(__file__).resolve().parent.parent))

from _measure import publish, samples  # beside this directory

Floats = NDArray[np.float64]


def price_and_greeks(
    s: Floats, k: Floats, t: Floats, sigma: Floats, r: Floats, q: Floats, is_call: NDArray[np.bool_]
) -> tuple[Floats, ...]:
    """Price, delta, gamma, vega, theta and rho of Black-Scholes-Merton, in DeltaStream's units."""
    side = np.where(is_call, 1.0, -1.0)
    root = np.sqrt(t)
    sd = sigma * root
    d1 = (np.log(s / k) + (r - q) * t) / sd + 0.5 * sd
    n1, n2 = ndtr(side * d1), ndtr(side * (d1 - sd))
    carry = np.exp(-q * t)
    spot, strike = s * carry, k * np.exp(-r * t)
    density = np.exp(-0.5 * d1 * d1) / np.sqrt(2 * np.pi)
    price = side * (spot * n1 - strike * n2)
    delta = side * carry * n1
    gamma = carry * density / (s * sd)
    vega = spot * density * root / 100
    theta = (side * (q * spot * n1 - r * strike * n2) - spot * density * sigma / (2 * root)) / 365
    rho = side * strike * t * n2 / 100
    return price, delta, gamma, vega, theta, rho


def main(directory: Path) -> None:
    names = ("spot", "strike", "t", "sigma", "rate", "dividend_yield", "is_call")
    inputs = [np.load(directory / f"{name}.npy") for name in names]
    seconds = samples(lambda: price_and_greeks(*inputs))
    np.save(directory / "vectorised.npy", price_and_greeks(*inputs))
    row = {"work": "greeks", "who": "NumPy + SciPy", "seconds": seconds, "options": inputs[0].size}
    publish([row | {"values": "vectorised.npy"}], "scipy", "numpy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
