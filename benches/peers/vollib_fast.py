"""Peer: fast-vollib, its NumPy backend (what an installation gives), its Numba backend, its Jäckel solver.

python vollib_fast.py DIRECTORY     in benches/.venv-peers, started by benches/core.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import fast_vollib
import numpy as np
from fast_vollib.jackel.numpy_backend import implied_volatility as jaeckel
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).resolve().parent.parent))

from _measure import publish, samples  # beside this directory

Floats = NDArray[np.float64]
MODEL = "black_scholes_merton"
BACKENDS = {"numpy": "fast-vollib", "numba": "fast-vollib, Numba backend"}


def main(directory: Path) -> None:
    names = ("spot", "strike", "t", "rate", "sigma", "dividend_yield", "is_call", "price")
    s, k, t, r, sigma, q, is_call, price = (np.load(directory / f"{name}.npy") for name in names)
    flag = np.where(is_call, "c", "p")
    rows: list[dict[str, Any]] = []

    def measure(work: str, who: str, function: Any) -> None:
        file = f"vollib_fast-{len(rows)}.npy"
        seconds = samples(function, at_least=5)
        np.save(directory / file, function())
        rows.append({"work": work, "who": who, "seconds": seconds, "options": s.size, "values": file})

    for backend, name in BACKENDS.items():

        def price_and_greeks(backend: str = backend) -> tuple[Floats, ...]:
            value = fast_vollib.fast_black_scholes_merton(
                flag, s, k, t, r, sigma, q, return_as="numpy", backend=backend
            )
            found = fast_vollib.get_all_greeks(
                flag, s, k, t, r, sigma, q, model=MODEL, return_as="dict", backend=backend
            )
            return (value, *(found[greek] for greek in ("delta", "gamma", "vega", "theta", "rho")))

        def implied(backend: str = backend) -> Any:
            return fast_vollib.fast_implied_volatility(
                price, s, k, t, r, flag, q, model=MODEL, return_as="numpy", backend=backend
            )

        measure("greeks", name, price_and_greeks)
        measure("iv", name, implied)
    measure("iv", "fast-vollib, Jäckel solver", lambda: jaeckel(MODEL, price, s, k, t, r, flag, q))
    publish(rows, "fast-vollib", "numba")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
