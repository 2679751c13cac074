"""What all open contracts of a chain add up to: sums of Greeks, and dealer exposure.

Dealer exposures come from the core's chain sweep, under a named convention of who holds what. Sums of
Greeks are `math.fsum` over the chain's own columns, each contract with sign +1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from deltastream._core import Summary, sweep
from deltastream.messages import CHAIN_ROWS, EnrichedChain
from deltastream.pricing import Convention

__all__ = [
    "EXPOSURES",
    "SIDES",
    "SUMS",
    "WALLS",
    "Aggregates",
    "Gamma",
    "aggregates",
    "gamma_by_strike",
    "net",
    "together",
    "units_of_interest",
]

SIDES: Final = ("call", "put")
SUMS: Final = ("delta_oi", "gamma_oi", "vega_oi", "theta_oi")
EXPOSURES: Final = ("gex", "dex", "vex", "chex")
WALLS: Final = ("call_wall", "put_wall", "absolute_gamma_strike")

_OF_SIDES: Final = tuple(f"{side}_{name}" for side in SIDES for name in (*SUMS, *EXPOSURES))
_IN_CURRENCY: Final = frozenset(name for name in _OF_SIDES if not name.endswith(("delta_oi", "gamma_oi")))

Gamma = Mapping[float, tuple[float, float]]
"""Gamma exposure of the calls and of the puts, sign +1, by strike."""


class Aggregates(msgspec.Struct, frozen=True, kw_only=True):
    """What open contracts add up to; None where it cannot be computed.

    Attributes:
        gex: net gamma exposure under the convention, in currency of delta per 1 % of spot.
        dex: net delta exposure, in currency of delta.
        vex: net vanna exposure, in currency of delta per volatility point.
        chex: net charm exposure, in currency of delta per calendar day.
        call_wall, put_wall: strike of the largest gamma exposure among the calls, among the puts.
        absolute_gamma_strike: strike of the largest sum of both magnitudes.
        total_call_oi, total_put_oi: open interest, in the unit that the source states.
        contracts: kinds of contract that enter: open interest stated, Greeks known.
        coverage: their share of the open interest.
        call_delta_oi, put_delta_oi: sum of delta x OI x multiplier, in units of the underlying.
        call_gamma_oi, put_gamma_oi: likewise of gamma, in units of the underlying per point.
        call_vega_oi, put_vega_oi: likewise of vega, in currency per volatility point.
        call_theta_oi, put_theta_oi: likewise of theta, in currency per calendar day.
        call_gex, put_gex: gamma exposure of a side, every contract with sign +1.
        call_dex, put_dex: delta exposure of a side.
        call_vex, put_vex: vanna exposure of a side.
        call_chex, put_chex: charm exposure of a side.
    """

    gex: float | None
    dex: float | None
    vex: float | None
    chex: float | None
    call_wall: float | None
    put_wall: float | None
    absolute_gamma_strike: float | None
    total_call_oi: float | None
    total_put_oi: float | None
    contracts: int
    coverage: float | None
    call_delta_oi: float | None
    call_gamma_oi: float | None
    call_vega_oi: float | None
    call_theta_oi: float | None
    call_gex: float | None
    call_dex: float | None
    call_vex: float | None
    call_chex: float | None
    put_delta_oi: float | None
    put_gamma_oi: float | None
    put_vega_oi: float | None
    put_theta_oi: float | None
    put_gex: float | None
    put_dex: float | None
    put_vex: float | None
    put_chex: float | None


def units_of_interest(chain: EnrichedChain) -> float | None:
    """Units of the underlying per unit of open interest; None where the terms are not known."""
    if chain.oi_unit != "contracts":
        return 1.0
    return chain.multiplier if math.isfinite(chain.multiplier) and chain.multiplier > 0 else None


def net(convention: Convention, call: float | None, put: float | None) -> float | None:
    """Exposure of the dealers where both sides, each with sign +1, are these; None where one is."""
    if call is None or put is None:
        return None
    if convention == "short_all":
        return 0.0 - (call + put)
    return call - put if convention == "naive" else put - call


def aggregates(chain: EnrichedChain, convention: Convention) -> Aggregates:
    """What one chain adds up to, by the rate, time and prices with which it was enriched."""
    units = units_of_interest(chain)
    summary = _swept(chain, units, convention)
    values: dict[str, Any] = {name: _none(getattr(summary, name)) for name in (*EXPOSURES, *WALLS)}
    for side in SIDES:
        values |= {f"{side}_{name}": _none(getattr(summary, f"{side}_{name}")) for name in EXPOSURES}
        values |= _sums(chain, side, units)
    return Aggregates(
        total_call_oi=chain.total_call_oi,
        total_put_oi=chain.total_put_oi,
        contracts=0 if units is None else summary.exposure_count,
        coverage=0.0 if units is None else _none(summary.exposure_coverage),
        **values,
    )


def together(
    chains: Sequence[EnrichedChain], parts: Sequence[Aggregates], gamma: Gamma, convention: Convention
) -> Aggregates:
    """What several chains add up to, each as far as it enters.

    Args:
        chains: of one product.
        parts: of each of them, as `aggregates` made it.
        gamma: of all of them, as `gamma_by_strike` made it.
        convention: who is taken to hold what.
    """
    one_currency = len({chain.currency for chain in chains}) == 1
    one_unit = len({chain.oi_unit for chain in chains}) == 1
    values: dict[str, Any] = {}
    for name in _OF_SIDES:
        adds = one_currency or name not in _IN_CURRENCY
        values[name] = _total(getattr(part, name) for part in parts) if adds else None
    for name in EXPOSURES:
        values[name] = net(convention, values[f"call_{name}"], values[f"put_{name}"])
    for name in ("total_call_oi", "total_put_oi"):
        values[name] = _total(getattr(part, name) for part in parts) if one_unit else None
    weights = [
        math.fsum(oi for oi in (part.total_call_oi, part.total_put_oi) if oi is not None) for part in parts
    ]
    entered = [weight * (part.coverage or 0.0) for weight, part in zip(weights, parts, strict=True)]
    whole = math.fsum(weights)
    return Aggregates(
        call_wall=_largest(gamma, lambda call, put: call),
        put_wall=_largest(gamma, lambda call, put: put),
        absolute_gamma_strike=_largest(gamma, lambda call, put: call + put),
        contracts=sum(part.contracts for part in parts),
        coverage=math.fsum(entered) / whole if whole and one_unit else None,
        **values,
    )


def gamma_by_strike(chains: Iterable[EnrichedChain]) -> Gamma:
    """Gamma exposure of the calls and of the puts at each strike, over all chains, ascending."""
    found: dict[float, tuple[float, float]] = {}
    for chain in chains:
        units = units_of_interest(chain)
        if units is None or chain.spot is None:
            continue
        scale = units * chain.spot * (0.01 * chain.spot)
        calls, puts = (
            np.nan_to_num(
                chain[f"{side}_gamma"] * chain[f"{side}_oi"] * scale, posinf=0.0, neginf=0.0
            ).tolist()
            for side in SIDES
        )
        for strike, call, put in zip(chain.strikes.tolist(), calls, puts, strict=True):
            before = found.get(strike, (0.0, 0.0))
            found[strike] = (before[0] + call, before[1] + put)
    return dict(sorted(found.items()))


def _swept(chain: EnrichedChain, units: float | None, convention: Convention) -> Summary:
    _, summary = sweep(
        np.ascontiguousarray(chain.columns[:CHAIN_ROWS]),
        spot=_nan(chain.spot),
        future=_nan(chain.future),
        t=_nan(chain.t),
        rate=chain.rate,
        tick_size=_nan(chain.tick_size),
        lot=_nan(chain.lot),
        multiplier=_nan(units),
        convention=convention,
    )
    return summary


def _sums(chain: EnrichedChain, side: str, units: float | None) -> dict[str, float | None]:
    interest = chain[f"{side}_oi"]
    greeks = {name: chain[f"{side}_{name.removesuffix('_oi')}"] for name in SUMS}
    enters = np.isfinite(interest) & np.logical_and.reduce([np.isfinite(greek) for greek in greeks.values()])
    if units is None or not enters.any():
        return {f"{side}_{name}": None for name in SUMS}
    weights: NDArray[np.float64] = interest[enters] * units
    return {f"{side}_{name}": math.fsum((greek[enters] * weights).tolist()) for name, greek in greeks.items()}


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if known else None


def _largest(gamma: Gamma, of: Any) -> float | None:
    """The lowest strike of the largest value; None where none is positive."""
    strike = max(gamma, key=lambda strike: of(*gamma[strike]), default=None)
    return strike if strike is not None and of(*gamma[strike]) > 0 else None


def _nan(value: float | None) -> float:
    return math.nan if value is None else value


def _none(value: float) -> float | None:
    return value if math.isfinite(value) else None
