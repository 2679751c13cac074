"""Peer: py_vollib_vectorized, which needs a Numba, a NumPy and a pandas of 2023.

python vollib_numba.py DIRECTORY    in benches/.venv-peers-2023, started by benches/core.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import py_vollib_vectorized as vollib

sys.path.append(str(Path(__file__).resolve().parent.parent))

from _measure import publish, samples  # beside this directory

MODEL = "black_scholes_merton"


def main(directory: Path) -> None:
    names = ("spot", "strike", "t", "rate", "sigma", "dividend_yield", "is_call", "price")
    s, k, t, r, sigma, q, is_call, price = (np.load(directory / f"{name}.npy") for name in names)
    flag = np.where(is_call, "c", "p")

    def price_and_greeks() -> tuple[Any, ...]:
        value = vollib.vectorized_black_scholes_merton(flag, s, k, t, r, sigma, q, return_as="numpy")
        found = vollib.get_all_greeks(flag, s, k, t, r, sigma, q, model=MODEL, return_as="dict")
        return (value, *(found[greek] for greek in ("delta", "gamma", "vega", "theta", "rho")))

    def implied() -> Any:
        return vollib.vectorized_implied_volatility(
            price, s, k, t, r, flag, q, model=MODEL, return_as="numpy", on_error="ignore"
        )

    rows: list[dict[str, Any]] = []
    for work, function in (("greeks", price_and_greeks), ("iv", implied)):
        file = f"vollib_numba-{work}.npy"
        seconds = samples(function, at_least=5)
        np.save(directory / file, function())
        rows.append(
            {
                "work": work,
                "who": "py_vollib_vectorized",
                "seconds": seconds,
                "options": s.size,
                "values": file,
            }
        )
    publish(rows, "py_vollib_vectorized", "numba", "numpy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
