"""Peer: opengreeks on one chain, both sides: five Greeks and one implied volatility of each option.

python greeks_open.py DIRECTORY     in benches/.venv-peers, started by benches/core.py
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from opengreeks import black76

sys.path.append(str(Path(__file__).resolve().parent.parent))

from _measure import publish, samples  # beside this directory

GREEKS = (
    black76.delta_array,
    black76.gamma_array,
    black76.vega_array,
    black76.theta_array,
    black76.rho_array,
)


def main(directory: Path) -> None:
    names = ("forward", "strike", "t", "sigma", "rate", "call", "put")
    forward, strike, t, sigma, rates, calls, puts = (
        np.load(directory / f"chain-{name}.npy") for name in names
    )
    rate = float(rates[0])

    def sides() -> list[list[Any]]:
        return [
            [greek(flag, forward, strike, t, rate, sigma) for greek in GREEKS]
            + [black76.implied_volatility_array(mid, forward, strike, rate, t, flag)]
            for flag, mid in (("c", calls), ("p", puts))
        ]

    row: dict[str, Any] = {"work": "chain", "who": "opengreeks: 5 Greeks, 1 IV"}
    row |= {"seconds": samples(sides), "options": 2 * strike.size, "values": "greeks_open.npy"}
    np.save(directory / "greeks_open.npy", np.concatenate(sides(), axis=1))
    publish([row], "opengreeks")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
