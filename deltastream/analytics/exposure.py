"""What all open contracts of a chain add up to: sums of Greeks, and dealer exposure.

Dealer exposures come from the core's chain sweep, under a named convention of who holds what. Sums of
Greeks are `math.fsum` over the chain's own columns, each contract with sign +1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from deltastream._core import sweep
from deltastream.messages import CHAIN_ROWS, EnrichedChain
from deltastream.pricing import Convention

__all__ = [
    "Exposure",
    "Quantities",
    "SideSums",
    "exposure",
    "gamma_profile",
    "side_sums",
    "units_of_interest",
]

Floats = NDArray[np.float64]

_WEIGHTED: Final = ("delta", "gamma", "vega", "theta")


@dataclass(frozen=True, slots=True)
class Quantities:
    """Gamma, delta, vanna and charm exposure, in currency of delta; None where they cannot be computed."""

    gex: float | None
    dex: float | None
    vex: float | None
    chex: float | None


@dataclass(frozen=True, slots=True)
class Exposure:
    """The dealer exposure of one chain, in the units of `docs/numbers.md`.

    Attributes:
        net: under the convention; None where a side is.
        calls, puts: of each side, sign +1.
        call_wall, put_wall: strikes of the largest gamma exposure of a side.
        absolute_gamma_strike: strike of the largest sum of both magnitudes.
        contracts: that entered.
        coverage: their share of the open interest.
    """

    net: Quantities
    calls: Quantities
    puts: Quantities
    call_wall: float | None
    put_wall: float | None
    absolute_gamma_strike: float | None
    contracts: int
    coverage: float | None


@dataclass(frozen=True, slots=True)
class SideSums:
    """Greeks of one side, summed over its open interest; None where no contract has both.

    Attributes:
        open_interest: of the whole side, as stated.
        entered: open interest of the contracts that have the Greeks.
        delta, gamma, vega, theta: sums of Greek x open interest x multiplier; None without a multiplier.
    """

    open_interest: float | None
    entered: float
    contracts: int
    delta: float | None
    gamma: float | None
    vega: float | None
    theta: float | None


def units_of_interest(chain: EnrichedChain) -> float | None:
    """Units of the underlying per unit of open interest; None where the terms are not known."""
    if chain.oi_unit != "contracts":
        return 1.0
    return chain.multiplier if math.isfinite(chain.multiplier) and chain.multiplier > 0 else None


def exposure(chain: EnrichedChain, convention: Convention) -> Exposure:
    """The dealer exposure of a chain, by the rate, time and prices with which it was enriched."""
    multiplier = units_of_interest(chain)
    _, summary = sweep(
        np.ascontiguousarray(chain.columns[:CHAIN_ROWS]),
        spot=_nan(chain.spot),
        future=_nan(chain.future),
        t=_nan(chain.t),
        rate=chain.rate,
        tick_size=_nan(chain.tick_size),
        lot=_nan(chain.lot),
        multiplier=_nan(multiplier),
        convention=convention,
    )
    return Exposure(
        net=_quantities(summary.gex, summary.dex, summary.vex, summary.chex),
        calls=_quantities(summary.call_gex, summary.call_dex, summary.call_vex, summary.call_chex),
        puts=_quantities(summary.put_gex, summary.put_dex, summary.put_vex, summary.put_chex),
        call_wall=_none(summary.call_wall),
        put_wall=_none(summary.put_wall),
        absolute_gamma_strike=_none(summary.absolute_gamma_strike),
        contracts=summary.exposure_count,
        coverage=_none(summary.exposure_coverage),
    )


def side_sums(chain: EnrichedChain, prefix: str) -> SideSums:
    """The sums of one side.

    Args:
        chain: one expiry.
        prefix: "call_" or "put_".
    """
    interest = chain[f"{prefix}oi"]
    greeks = {name: chain[f"{prefix}{name}"] for name in _WEIGHTED}
    stated = np.isfinite(interest)
    enters = stated & np.logical_and.reduce([np.isfinite(greek) for greek in greeks.values()])
    weights = interest[enters]
    multiplier = units_of_interest(chain)

    def weighted(greek: Floats) -> float | None:
        if multiplier is None or not weights.size:
            return None
        return math.fsum((greek[enters] * weights * multiplier).tolist())

    return SideSums(
        open_interest=math.fsum(interest[stated].tolist()) if stated.any() else None,
        entered=math.fsum(weights.tolist()),
        contracts=int(weights.size),
        delta=weighted(greeks["delta"]),
        gamma=weighted(greeks["gamma"]),
        vega=weighted(greeks["vega"]),
        theta=weighted(greeks["theta"]),
    )


def gamma_profile(chain: EnrichedChain) -> tuple[Floats, Floats] | None:
    """Gamma exposure of the calls and of the puts at each strike, sign +1; 0 where no contract enters.

    None where the chain has no spot or no multiplier.
    """
    multiplier = units_of_interest(chain)
    if multiplier is None or chain.spot is None:
        return None
    scale = multiplier * chain.spot * (0.01 * chain.spot)
    calls, puts = (
        np.nan_to_num(chain[f"{prefix}gamma"] * chain[f"{prefix}oi"] * scale, nan=0.0, posinf=0.0, neginf=0.0)
        for prefix in ("call_", "put_")
    )
    return calls, puts


def _quantities(*values: float) -> Quantities:
    return Quantities(*map(_none, values))


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _none(value: float) -> float | None:
    return value if math.isfinite(value) else None
